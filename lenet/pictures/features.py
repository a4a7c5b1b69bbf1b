"""The outputs of all layers for one image, from left to right as in LeCun's figures."""

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

__all__ = [
    "HEIGHT",
    "LayerOutput",
    "draw_features",
    "evenly_spaced",
    "format_shape",
    "layer_outputs",
]

MAX_LAYERS = 7  # between input and output
MAX_MAPS = 16
MAX_UNITS = 1024
MAX_CLASSES = 10
HEIGHT = 4.6  # inches
# These have weights but do not count as layers: their output replaces that of the layer before.
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_NORMS += (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_POOLINGS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_POOLINGS += (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
_POOLINGS += (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)


@dataclass
class LayerOutput:
    """The output of a layer for one image.

    Args:
        name: Name of the layer.
        values: Its first maps ``(M, H, W)``, or its units ``(U,)``, after the activation function.
        shape: Shape of all maps or units.
    """

    name: str
    values: Tensor
    shape: tuple[int, ...]


def layer_outputs(
    model: nn.Module, network: nn.Module, image: Tensor
) -> tuple[list[LayerOutput], Tensor]:
    """Run a network on an image and keep the output of every layer.

    Args:
        model: The model to call.
        network: The part of the model whose layers are recorded.
        image: Normalized image ``(1, C, H, W)``.

    Returns:
        The outputs of all layers with weights and all pooling layers, in the order of their calls,
        without the last one if it returns the logits; and the logits ``(K,)``.
    """
    recorded: list[LayerOutput] = []
    latest: list[Tensor] = []  # output of each layer: an activation function takes this very tensor
    names = {module: layer_name(name) for name, module in network.named_modules()}

    def record(module: nn.Module, inputs: Any, output: Any) -> None:
        if not isinstance(output, Tensor) or output.ndim not in (2, 4) or len(output) != 1:
            return
        shape = tuple(output.shape[1:])
        is_units = math.prod(shape) == shape[0]
        values = output.detach()[0, : MAX_UNITS if is_units else MAX_MAPS].float().cpu().clone()
        values = values.flatten() if is_units else values
        has_weights = any(True for _ in module.parameters(recurse=False))
        if (has_weights or isinstance(module, _POOLINGS)) and not isinstance(module, _NORMS):
            recorded.append(LayerOutput(names[module], values, shape))
            latest.append(output)
            return
        for i in reversed(range(len(recorded))):  # not always that of the last layer
            if inputs and inputs[0] is latest[i] and shape == recorded[i].shape:
                recorded[i].values = values
                latest[i] = output
                return

    leaves = [module for module in network.modules() if not list(module.children())]
    hooks = [leaf.register_forward_hook(record) for leaf in leaves]
    training = model.training
    try:
        with torch.no_grad():
            logits = model.eval()(image)[0]
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    if recorded and math.prod(recorded[-1].shape) == len(logits):
        recorded.pop()
    return recorded, logits.float().cpu()


def evenly_spaced(layers: list[LayerOutput]) -> list[LayerOutput]:
    """Select at most ``MAX_LAYERS`` layers, evenly spaced, including the first and the last."""
    if len(layers) <= MAX_LAYERS:
        return layers
    places = [round(i * (len(layers) - 1) / (MAX_LAYERS - 1)) for i in range(MAX_LAYERS)]
    return [layers[place] for place in places]


def draw_features(
    path: Path,
    image: Tensor,
    layers: list[LayerOutput],
    logits: Tensor,
    classes: Sequence[str],
    truth: str,
    title: str,
) -> Path:
    """Draw an image ``(1, C, H, W)`` in 0..255, the output of each layer, and the probabilities.

    Args:
        path: PNG file to write.
        image: The image, at the size that the network sees.
        layers: Outputs of the layers.
        logits: Output of the network, ``(K,)``.
        classes: Names of the classes.
        truth: Class of the image.
        title: Title of the picture.
    """
    layers = evenly_spaced(layers)
    tiles = [_tile(layer) for layer in layers]
    gap = 0.35
    height = HEIGHT if any(layer.values.ndim == 3 for layer in layers) else HEIGHT / 2
    widths = [1.8, *(_width(layer, tile) for layer, tile in zip(layers, tiles, strict=True)), 1.7]

    def picture(figure: Figure) -> None:
        figure.suptitle(title)
        figure.get_layout_engine().set(w_pad=0.08)  # type: ignore[union-attr]
        axes: Any = figure.subplots(1, len(widths), width_ratios=widths)
        show_image(axes[0], to_rgb(image)[0])
        _write_name(axes[0], "input", tuple(image.shape[1:]))
        place = {"ha": "center", "va": "top", "transform": axes[0].transAxes}
        axes[0].text(0.5, -0.03, f"is {shortened(truth, 18)}", fontsize=9.5, **place)
        for axis, layer, tile, width in zip(axes[1:-1], layers, tiles, widths[1:-1], strict=True):
            show_image(axis, tile, cmap="gray")
            _write_name(axis, shortened(layer.name, int(15 * width)), layer.shape)
        _draw_output(axes[-1], logits, classes)

    return draw(path, (sum(widths) + gap * len(widths), height + 1.1), picture)


def _tile(layer: LayerOutput) -> Tensor:
    values = layer.values
    # All maps of a layer share a scale. The quantile keeps bright spots from darkening the rest.
    low, high = values.min(), values.flatten().quantile(0.985 if values.ndim == 3 else 1.0)
    values = ((values - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    if values.ndim == 1:  # units, in full rows if possible
        count = len(values)
        fit = [n for n in range(1, count + 1) if count % n == 0 and 1 <= count / n**2 <= 4]
        columns = max(fit, default=max(1, math.isqrt(count // 2)))
        return mosaic(values.view(-1, 1, 1), columns, gap=0)
    columns = 1 if len(values) <= 6 else 2
    return mosaic(values, columns, gap=max(1, values.shape[-1] // 10))


def _width(layer: LayerOutput, tile: Tensor) -> float:
    rows, columns = tile.shape
    return max(0.75, HEIGHT * columns / rows) if layer.values.ndim == 3 else 1.1


def format_shape(shape: tuple[int, ...]) -> str:
    """Write a shape as in LeCun's figures: ``6@28x28`` maps, or ``120`` units."""
    maps, *sides = shape
    return f"{maps}@{'x'.join(map(str, sides))}" if math.prod(sides) > 1 else f"{maps}"


def _write_name(axis: Axes, name: str, shape: tuple[int, ...]) -> None:
    axis.set_title(f"{name}\n", fontsize=9, pad=2)
    place = {"ha": "center", "va": "bottom", "transform": axis.transAxes}
    axis.text(0.5, 1.01, format_shape(shape), fontsize=8, color=GRAY, **place)


def _draw_output(axis: Axes, logits: Tensor, classes: Sequence[str]) -> None:
    probabilities = logits.softmax(dim=0)
    chosen = list(range(len(classes)))
    if len(chosen) > MAX_CLASSES:
        chosen = probabilities.topk(MAX_CLASSES).indices.tolist()
    names = [shortened(name, 12) for name in drawable_names(classes)]
    values = probabilities[chosen].tolist()
    axis.barh(range(len(chosen)), values, color=BLUE, height=0.7)
    axis.set_yticks(range(len(chosen)), [names[i] for i in chosen])
    axis.set(xlim=(0, 1), xticks=[0, 1], xticklabels=["0", "1"])
    axis.invert_yaxis()
    axis.tick_params(length=0)
    axis.spines["bottom"].set_visible(False)
    _write_name(axis, "output", (len(classes),))
