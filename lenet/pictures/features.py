"""What the layers make of one image, from left to right as in LeCun's figures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from lenet.pictures.drawing import (
    BLUE,
    GRAY,
    draw,
    drawable_names,
    layer_name,
    mosaic,
    shortened,
    show_image,
    to_rgb,
)

__all__ = ["Stage", "draw_features", "stages"]

LAYERS = 7  # between input and output
MAPS = 16
UNITS = 1024
CLASSES = 10
HEIGHT = 4.6  # inches
# What changes numbers but is no layer of its own: the maps after it are those of the layer before.
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_NORMS += (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_NO_LAYER = (nn.Flatten, nn.Identity, *_DROPOUTS, nn.FeatureAlphaDropout, *_NORMS)
_POOLINGS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_POOLINGS += (nn.modules.pooling._AdaptiveAvgPoolNd, nn.modules.pooling._AdaptiveMaxPoolNd)


@dataclass
class Stage:
    """What a layer makes of an image.

    Args:
        name: Of the layer.
        values: Its first maps ``(M, H, W)``, or its units ``(U,)``, after its nonlinearity.
        shape: Of all of them.
    """

    name: str
    values: Tensor
    shape: tuple[int, ...]


def stages(model: nn.Module, network: nn.Module, image: Tensor) -> tuple[list[Stage], Tensor]:
    """Follow an image through a network.

    Args:
        model: What is called.
        network: The part of it whose layers are followed.
        image: As the model takes it, ``(1, C, H, W)``.

    Returns:
        A stage a layer that has weights or pools, in the order in which they are called, and the
        logits ``(K,)``.
    """
    found: list[Stage] = []
    given: list[Tensor] = []  # what each stage gave last, by which it is known what follows it
    names = {module: layer_name(name) for name, module in network.named_modules()}

    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor) or output.ndim not in (2, 4) or len(output) != 1:
            return
        shape = tuple(output.shape[1:])
        units = math.prod(shape) == shape[0]
        values = output.detach()[0, : UNITS if units else MAPS].float().cpu().clone()
        values = values.flatten() if units else values
        has_weights = any(True for _ in module.parameters(recurse=False))
        if (has_weights or isinstance(module, _POOLINGS)) and not isinstance(module, _NO_LAYER):
            found.append(Stage(names[module], values, shape))
            given.append(output)
            return
        for i in reversed(range(len(found))):  # a nonlinearity need not follow the latest layer
            if inputs and inputs[0] is given[i] and shape == found[i].shape:
                found[i].values, given[i] = values, output
                return

    leaves = [module for module in network.modules() if not list(module.children())]
    hooks = [leaf.register_forward_hook(look) for leaf in leaves]
    training = model.training
    try:
        with torch.no_grad():
            logits = model.eval()(image)[0]
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return found, logits.float().cpu()


def some(found: list[Stage]) -> list[Stage]:
    """Choose from many layers: the first, the last, and some at even distances in between."""
    if len(found) <= LAYERS:
        return found
    places = [round(i * (len(found) - 1) / (LAYERS - 1)) for i in range(LAYERS)]
    return [found[place] for place in places]


def draw_features(
    path: Path,
    image: Tensor,
    found: list[Stage],
    logits: Tensor,
    classes: Sequence[str],
    truth: str,
    title: str,
) -> Path:
    """Draw an image ``(1, C, H, W)`` in 0..255, what each layer makes of it, and what comes out.

    Args:
        path: Where to.
        image: The image, at the size that the network sees.
        found: What the layers make of it.
        logits: What comes out, ``(K,)``.
        classes: Their names.
        truth: Class of the image, as it is to be spelt.
        title: Of the picture.
    """
    if found and math.prod(found[-1].shape) == len(classes):
        found = found[:-1]  # the output, which is drawn as probabilities
    found = some(found)
    tiles = [_tile(stage) for stage in found]
    gap = 0.35
    height = HEIGHT if any(stage.values.ndim == 3 for stage in found) else HEIGHT / 2
    widths = [1.8, *(_width(stage, tile) for stage, tile in zip(found, tiles, strict=True)), 1.7]

    def picture(figure: Figure) -> None:
        figure.suptitle(title)
        figure.get_layout_engine().set(w_pad=0.08)  # type: ignore[union-attr]
        axes: Any = figure.subplots(1, len(widths), width_ratios=widths)
        show_image(axes[0], to_rgb(image)[0])
        _name(axes[0], "input", tuple(image.shape[1:]))
        place = {"ha": "center", "va": "top", "transform": axes[0].transAxes}
        axes[0].text(0.5, -0.03, f"is {shortened(truth, 18)}", fontsize=9.5, **place)
        for axis, stage, tile, width in zip(axes[1:-1], found, tiles, widths[1:-1], strict=True):
            show_image(axis, tile, cmap="gray")
            _name(axis, shortened(stage.name, int(15 * width)), stage.shape)
        _draw_output(axes[-1], logits, classes)

    return draw(path, (sum(widths) + gap * len(widths), height + 1.1), picture)


def _tile(stage: Stage) -> Tensor:
    values = stage.values
    # Of a layer alike. A few bright spots must not leave the others dark.
    low, high = values.min(), values.flatten().quantile(0.985 if values.ndim == 3 else 1.0)
    values = ((values - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    if values.ndim == 1:  # units, in rows that are full if they can be
        count = len(values)
        fit = [n for n in range(1, count + 1) if count % n == 0 and 1 <= count / n**2 <= 4]
        columns = max(fit, default=max(1, math.isqrt(count // 2)))
        return mosaic(values.view(-1, 1, 1), columns, gap=0)
    columns = 1 if len(values) <= 6 else 2
    return mosaic(values, columns, gap=max(1, values.shape[-1] // 10))


def _width(stage: Stage, tile: Tensor) -> float:
    rows, columns = tile.shape
    return max(0.75, HEIGHT * columns / rows) if stage.values.ndim == 3 else 1.1


def _name(axis: Axes, name: str, shape: tuple[int, ...]) -> None:
    maps, *sides = shape
    size = f"{maps}@{'x'.join(map(str, sides))}" if math.prod(sides) > 1 else f"{maps}"
    axis.set_title(f"{name}\n", fontsize=9, pad=2)
    place = {"ha": "center", "va": "bottom", "transform": axis.transAxes}
    axis.text(0.5, 1.01, size, fontsize=8, color=GRAY, **place)


def _draw_output(axis: Axes, logits: Tensor, classes: Sequence[str]) -> None:
    probabilities = logits.softmax(dim=0)
    chosen = list(range(len(classes)))
    if len(chosen) > CLASSES:
        chosen = probabilities.topk(CLASSES).indices.tolist()
    names = [shortened(name, 12) for name in drawable_names(classes)]
    values = probabilities[chosen].tolist()
    axis.barh(range(len(chosen)), values, color=BLUE, height=0.7)
    axis.set_yticks(range(len(chosen)), [names[i] for i in chosen])
    axis.set(xlim=(0, 1), xticks=[0, 1], xticklabels=["0", "1"])
    axis.invert_yaxis()
    axis.tick_params(length=0)
    axis.spines["bottom"].set_visible(False)
    _name(axis, "output", (len(classes),))
