"""The general form of a convolutional network, with its sizes worked out before it is built.

A side of an image goes through a layer as ``(W - F + 2P) / S + 1``: its width W, the layer's kernel
F, padding P and stride S. PyTorch rounds that down and says nothing, and so leaves out pixels of
the right and the lower edge; here it must be a whole number.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from torch import nn

from lenet.errors import UserError
from lenet.models.base import ImageClassifier
from lenet.models.lenet import ACTIVATIONS, POOLINGS, Activation, Pooling
from lenet.models.mlp import perceptron

__all__ = ["ConvNet", "Layer", "check_sides"]

Numbers = list[int] | int
Stage = dict[str, int]


@dataclass(frozen=True)
class Layer:
    """A layer that changes the sides of maps.

    Args:
        name: What it is called in the network.
        width: Maps that come out of it.
        kernel_size: F, in pixels.
        padding: P, in pixels at every edge.
        stride: S, in pixels.
    """

    name: str
    width: int
    kernel_size: int
    padding: int = 0
    stride: int = 1

    def side(self, side: int) -> Fraction:
        """Work out the side that a side of so many pixels becomes, whole or not."""
        return Fraction(side - self.kernel_size + 2 * self.padding, self.stride) + 1


class ConvNet(ImageClassifier):
    """A convolutional network of any shape: [[conv > act] * N > pool] * M > [fc > act] * K > fc.

    Takes images ``(N, C, H, W)`` and gives logits ``(N, num_classes)``. The options of the stages
    are one number for all of them, or a list with a number for each. By default there are two
    stages of 32 and 64 maps and a hidden layer of 128 units: 544,522 parameters for one channel,
    32x32 pixels and ten classes.

    Before anything is built the sizes (W - F + 2P) / S + 1 are worked out layer by layer. One that
    is not a whole number, or that shrinks to nothing, is refused, with the way there and what would
    fit.

    Args:
        widths: Maps that come out of the convolutions of a stage. By default 32, then 64.
        kernel_sizes: Side of a stage's kernels, in pixels.
        paddings: Zeros at every edge before each of a stage's convolutions, in pixels.
        repeats: Number of a stage's convolutions.
        pool_sizes: Side of the squares that become one pixel at a stage's end. With 1 there is no
            pooling.
        pooling: How such a square becomes one pixel: by its maximum or its average.
        batch_norm: Whether batch normalization follows every convolution.
        hidden_sizes: Units of every hidden layer after the stages, in order. By default 128. An
            empty list goes straight to the classes.
        activation: Nonlinearity after every layer with weights but the last.
        dropout: Fraction of every hidden layer's units that is dropped in training, in [0, 1).
        **kwargs: Passed on to :class:`ImageClassifier`.

    Raises:
        UserError: If a number is out of range, lists differ in length, or the network does not fit
            the images.
    """

    def __init__(
        self,
        widths: Numbers | None = None,
        kernel_sizes: Numbers = 3,
        paddings: Numbers = 1,
        repeats: Numbers = 1,
        pool_sizes: Numbers = 2,
        pooling: Pooling = "max",
        batch_norm: bool = False,
        hidden_sizes: Numbers | None = None,
        activation: Activation = "relu",
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        stages = _by_stage(
            widths=[32, 64] if widths is None else widths,
            kernel_sizes=kernel_sizes,
            paddings=paddings,
            repeats=repeats,
            pool_sizes=pool_sizes,
        )
        side = check_sides(stages, self.image_size)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = self.in_channels
        for layer in _plan(stages):
            if layer.name.startswith("pool"):
                layers[layer.name] = POOLINGS[pooling](layer.kernel_size)
                continue
            layers[layer.name] = nn.Conv2d(
                channels,
                layer.width,
                layer.kernel_size,
                padding=layer.padding,
                bias=not batch_norm,  # which has one of its own
            )
            number = layer.name.removeprefix("conv")
            if batch_norm:
                layers[f"norm{number}"] = nn.BatchNorm2d(layer.width)
            layers[f"act{number}"] = ACTIVATIONS[activation]()
            channels = layer.width
        layers["flatten"] = nn.Flatten()
        layers["classifier"] = nn.Sequential(
            *perceptron(
                channels * side**2,
                hidden_sizes,
                self.num_classes,
                activation,
                dropout,
                default=[128],
            )
        )
        self.network = nn.Sequential(layers)


def _by_stage(**options: Numbers) -> list[Stage]:
    """Give every stage its numbers, out of one for all or a list with one for each."""
    counts = {name: len(value) for name, value in options.items() if isinstance(value, list)}
    number = max(counts.values(), default=1)
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        least = 0 if name == "paddings" else 1
        if not values:
            raise UserError(f"--model.{name} []: must have a number for each stage.")
        if any(v < least for v in values):
            raise UserError(f"--model.{name} {value}: each must be at least {least}.")
        if counts.get(name, number) != number:
            longest = max(counts, key=lambda other: counts[other])
            raise UserError(
                f"--model.{name} {value}: is for {len(values)} stages, where --model.{longest} "
                f"{options[longest]} is for {number}. Give a number for each, or one for all."
            )
    return [
        {name: value[i] if isinstance(value, list) else value for name, value in options.items()}
        for i in range(number)
    ]


def _plan(stages: list[Stage]) -> Iterator[Layer]:
    for i, stage in enumerate(stages, start=1):
        width = stage["widths"]
        size = stage["pool_sizes"]
        for j in range(1, stage["repeats"] + 1):
            yield Layer(f"conv{i}_{j}", width, stage["kernel_sizes"], padding=stage["paddings"])
        if size > 1:
            yield Layer(f"pool{i}", width, size, stride=size)


def check_sides(stages: list[Stage], image_size: int) -> int:
    """Work out the side of the maps after the last layer.

    Args:
        stages: The numbers of each stage, in order.
        image_size: Side of the images that go in.

    Raises:
        UserError: If a side is not a whole number or less than 1, with the sides up to it and what
            would fit.
    """
    lines = []
    side = image_size
    for layer in _plan(stages):
        out = layer.side(side)
        sum_ = f"({side} - {layer.kernel_size} + {2 * layer.padding}) / {layer.stride} + 1"
        line = f"  {layer.name:9} {sum_} = {float(out):g}"
        if out >= 1 and out.denominator == 1:
            lines.append(f"{line:42} {layer.width}@{out}x{out}")
            side = int(out)
            continue
        lines.append(f"{line:42} {'not a whole number' if out >= 1 else 'nothing is left'}")
        table = "\n".join(["  layer     (W - F + 2P) / S + 1", *lines])
        raise UserError(
            f"images of {image_size}x{image_size} do not fit this ConvNet, as of {layer.name}:",
            f"{table}\nWhat would fit: {'; or '.join(_ways_out(stages, layer, image_size))}.",
        )
    return side


def _ways_out(stages: list[Stage], bad: Layer, image_size: int) -> Iterator[str]:
    """Name changes of one number, the nearest either way, with which every side comes out even."""
    sizes = [n for n in range(1, max(4 * image_size, 256) + 1) if _fit(stages, n)]
    if near := _nearest(sizes, image_size):
        yield f"--data.image_size {' or '.join(map(str, near))}"
    place = int(bad.name[4:].partition("_")[0]) - 1
    for option, least, most in (
        ("pool_sizes", 1, 4),
        ("kernel_sizes", 1, image_size),
        ("paddings", 0, bad.kernel_size - 1),
    ):
        changed = {n: [dict(stage) for stage in stages] for n in range(least, most + 1)}
        for n, plan in changed.items():
            plan[place][option] = n
        fitting = [n for n, plan in changed.items() if _fit(plan, image_size)]
        if near := _nearest(fitting, stages[place][option]):
            typed = [[stage[option] for stage in changed[n]] for n in near]
            values = (f'"{numbers}"' if len(stages) > 1 else str(numbers[0]) for numbers in typed)
            yield f"--model.{option} {' or '.join(values)}"
    if not sizes:
        yield "fewer stages, or smaller kernels and pools in all of them"


def _nearest(values: list[int], now: int) -> list[int]:
    less, more = [n for n in values if n < now], [n for n in values if n > now]
    return [*less[-1:], *more[:1]]


def _fit(stages: list[Stage], side: int) -> bool:
    for layer in _plan(stages):
        out = layer.side(side)
        if out < 1 or out.denominator != 1:
            return False
        side = int(out)
    return True
