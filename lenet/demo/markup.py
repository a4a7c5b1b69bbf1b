"""The parts of the page as HTML: the run, the probabilities and the outputs of the layers."""

import base64
import html
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image
from torch import Tensor

from lenet import runs
from lenet.demo.examples import Example
from lenet.demo.reader import Answer
from lenet.pictures.drawing import mosaic, to_rgb
from lenet.pictures.features import LayerOutput, format_shape

__all__ = ["about_run", "bars", "layers", "source", "thumbnails"]

MAX_BARS = 10  # with more classes, the most probable are shown
HEIGHT = 192  # pixels: height of a layer on the page
COLORS = "inferno"
EMPTY = "The output of each layer appears here."


def about_run(model: str, data: str, checkpoint: Path | None) -> str:
    """Return the description of the run and its test accuracy."""
    parts = [f"<b>{html.escape(model)}</b> on <b>{html.escape(data)}</b>"]
    if checkpoint is not None:
        folder = runs.folder_of(checkpoint)
        parts.append(f"run <code>{html.escape(runs.short_path(folder))}</code>")
        parts.append(f"checkpoint <code>{html.escape(checkpoint.name)}</code>")
        accuracy = _test_accuracy(folder / "test.json", checkpoint.name)
        parts.append(f"test accuracy {accuracy:.2%}" if accuracy is not None else "not tested yet")
    return " · ".join(parts)


def _test_accuracy(file: Path, checkpoint: str) -> float | None:
    try:
        results = json.loads(file.read_text("utf-8"))
        # Compares only the name, since the run may have been moved.
        is_same = Path(results["checkpoint"]).name == checkpoint
        return float(results["test/accuracy"]) if is_same else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def bars(classes: Sequence[str], probabilities: Tensor | None, message: str = "") -> str:
    """Return the probabilities ``(K,)`` as bars in a fixed order, next to the prediction.

    Args:
        classes: Names of the classes.
        probabilities: Probabilities of the classes, or None without an image.
        message: Text to show instead of a prediction.
    """
    chosen = list(range(min(len(classes), MAX_BARS)))
    answer = message
    part = ""
    predicted = -1
    if probabilities is not None:
        if len(classes) > MAX_BARS:
            chosen = probabilities.topk(MAX_BARS).indices.tolist()
        predicted = int(probabilities.argmax())
        answer = classes[predicted]
        part = f"{float(probabilities[predicted]):.1%}"
    rows = []
    for i in chosen:
        p = 0.0 if probabilities is None else float(probabilities[i])
        figure = "" if probabilities is None else f"{p:.1%}"
        rows.append(
            f"<li{' class=most' if i == predicted else ''}>"
            f'<span class="name">{html.escape(classes[i])}</span>'
            f'<span class="bar"><i style="width:{100 * p:.2f}%"></i></span>'
            f'<span class="part">{figure}</span></li>'
        )
    long = " long" if max(map(len, classes)) > 2 else ""
    size = " long" if len(answer) > 2 else " none" if probabilities is None else ""
    return (
        f'<div class="answer{long}"><div class="said{size}"><b>{html.escape(answer)}</b>'
        f'<span class="part">{part}</span></div><ol>{"".join(rows)}</ol></div>'
    )


def layers(answer: Answer | None) -> str:
    """Return the image as the network saw it, and the output of each layer."""
    if answer is None:
        return f'<div class="layers"><p class="empty">{EMPTY}</p></div>'
    seen = np.rint(255 * to_rgb(answer.seen.unsqueeze(0))[0].numpy()).astype(np.uint8)
    figures = [_figure("input", tuple(answer.seen.shape), Image.fromarray(seen))]
    figures += [_figure(layer.name, layer.shape, _tile(layer)) for layer in answer.layers]
    return f'<div class="layers">{"".join(figures)}</div>'


def _tile(layer: LayerOutput) -> Image.Image:
    """Color the maps ``(M, H, W)`` or units ``(U,)`` of a layer, from minimum to maximum."""
    values = layer.values
    low, high = values.min(), values.max()
    values = (values - low) / (high - low).clamp(min=1e-12)
    if values.ndim == 1:
        divisors = [n for n in range(1, math.isqrt(len(values)) + 1) if len(values) % n == 0]
        columns = max(divisors[-1], math.isqrt(len(values)) // 2)  # full rows, unless too tall
        values = mosaic(values.view(-1, 1, 1), columns, gap=0)
    else:
        values = mosaic(values, max(1, math.isqrt(len(values))), gap=max(1, values.shape[-1] // 16))
    colors = mpl.colormaps[COLORS].with_extremes(bad=(0, 0, 0, 0))  # transparent gaps
    return Image.fromarray(colors(np.ma.masked_invalid(values.numpy()), bytes=True))


def _figure(name: str, shape: tuple[int, ...], image: Image.Image) -> str:
    size = format_shape(shape) if math.prod(shape[1:]) > 1 else f"{shape[0]} units"
    # Small images are enlarged by whole factors, so that their pixels stay sharp.
    times = (
        max(1, round(HEIGHT / image.height)) if image.height <= HEIGHT else HEIGHT / image.height
    )
    width, height = round(times * image.width), round(times * image.height)
    return (
        f"<figure><figcaption>{html.escape(name)}<small>{size}</small></figcaption>"
        f'<img class="{"sharp" if times > 1 else ""}" width="{width}" height="{height}" '
        f'alt="{html.escape(name)}" src="{source(image)}"></figure>'
    )


def thumbnails(examples: list[Example]) -> str:
    """Return the examples as buttons."""
    return "".join(
        f'<button title="{html.escape(example.name)}">'
        f'<img alt="{html.escape(example.name)}" src="{source(example.image)}"></button>'
        for example in examples
    )


def source(image: Image.Image) -> str:
    """Return an image as a data URL."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
