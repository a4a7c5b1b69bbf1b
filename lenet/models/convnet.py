"""A configurable convolutional network whose sizes are checked before it is built.

A layer with kernel size F, padding P and stride S turns a side of W pixels into
``(W - F + 2P) / S + 1`` pixels. PyTorch silently rounds this down, which ignores pixels at the
right and lower edges. Here it must be a whole number.
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
    """A layer that changes the size of the maps.

    Args:
        name: Name of the layer in the network.
        width: Number of output maps.
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
        """Return the output side for an input side, in pixels. It may not be a whole number."""
        return Fraction(side - self.kernel_size + 2 * self.padding, self.stride) + 1


class ConvNet(ImageClassifier):
    """A convolutional network of any shape: [[conv > act] * N > pool] * M > [fc > act] * K > fc.

    Takes images ``(N, C, H, W)`` and returns logits ``(N, num_classes)``. Each option of the
    stages is one number for all stages, or a list with one number per stage. By default there are
    two stages, of 32 and 64 maps, and a hidden layer of 128 units: 544,522 parameters for 32x32
    images with one channel and ten classes.

    The size (W - F + 2P) / S + 1 of each layer's output is checked before the network is built. It
    must be a whole number and at least 1. If it is not, the error lists the sizes of all layers up
    to that one and suggests values that fit.

    Args:
        widths: Number of maps that each convolution of a stage produces. By default 32, then 64.
        kernel_sizes: Height and width of a stage's kernels, in pixels.
        paddings: Zero padding at every edge before each convolution of a stage, in pixels.
        repeats: Number of convolutions in a stage.
        pool_sizes: Height and width of the pooling window at the end of a stage, in pixels. 1 means
            no pooling.
        pooling: Whether a pooling window becomes its maximum or its average.
        batch_norm: Whether batch normalization follows every convolution.
        hidden_sizes: Number of units in each hidden layer after the stages, in order. By default
            128. An empty list means no hidden layers.
        activation: Activation function after every layer with weights except the last.
        dropout: Dropout probability after each hidden layer, in [0, 1).
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
                bias=not batch_norm,  # batch normalization has its own bias
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
    """Return the numbers of each stage. A single number applies to all stages."""
    counts = {name: len(value) for name, value in options.items() if isinstance(value, list)}
    number = max(counts.values(), default=1)
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        least = 0 if name == "paddings" else 1
        if not values:
            raise UserError(f"--model.{name} []: needs one number per stage, or one for all.")
        if any(v < least for v in values):
            raise UserError(f"--model.{name} {value}: each must be at least {least}.")
        if counts.get(name, number) != number:
            longest = max(counts, key=lambda other: counts[other])
            raise UserError(
                f"--model.{name} {value}: has {len(values)} numbers, but --model.{longest} "
                f"{options[longest]} has {number}. Give one number per stage, or one for all."
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
    """Return the height and width of the maps after the last layer, in pixels.

    Args:
        stages: The numbers of each stage, in order.
        image_size: Height and width of the input images, in pixels.

    Raises:
        UserError: If a size is not a whole number or is less than 1. The message lists the sizes
            up to that layer and suggests values that fit.
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
            f"{image_size}x{image_size} images do not fit this ConvNet, from {layer.name} on:",
            f"{table}\nTry {'; or '.join(_ways_out(stages, layer, image_size))}.",
        )
    return side


def _ways_out(stages: list[Stage], bad: Layer, image_size: int) -> Iterator[str]:
    """Suggest changes of a single number, the nearest up and down, that make every layer fit."""
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
