"""The confusion matrix as a picture, and a table of metrics per class."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from lenet.data.images.user_images import spreadsheet_safe
from lenet.pictures.drawing import BLUE, INK, RED, draw, drawable_names, shortened
from lenet.writing import atomic_write

__all__ = ["draw_confusion", "per_class", "write_classes"]

MAX_CLASSES_WITH_COUNTS = 40  # with more classes, counts would be too small to read
MAX_CONFUSIONS = 10  # most frequent confusions to list


def per_class(counts: Tensor) -> dict[str, Tensor]:
    """Compute the metrics of each class.

    Args:
        counts: Number of images ``(K, K)`` by class and prediction.

    Returns:
        ``precision``, the fraction of its predictions that are correct; ``recall``, the fraction of
        its images that are predicted correctly; ``f1``, their harmonic mean; and ``support``, the
        number of its images. Each is ``(K,)``, and NaN for a division by zero.
    """
    counts = counts.double()
    right, predicted, support = counts.diag(), counts.sum(dim=0), counts.sum(dim=1)
    return {
        "precision": right / predicted,
        "recall": right / support,
        "f1": 2 * right / (predicted + support),
        "support": support.long(),
    }


def write_classes(path: Path, counts: Tensor, classes: Sequence[str]) -> Path:
    """Write one row per class. Undefined values, such as recall without images, are empty."""
    columns = per_class(counts)
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["class", *columns])
        rows = zip(classes, *(column.tolist() for column in columns.values()), strict=True)
        for name, *parts, support in rows:
            cells = ["" if math.isnan(part) else f"{part:.6f}" for part in parts]
            writer.writerow([spreadsheet_safe(name), *cells, support])
    return path


def draw_confusion(path: Path, counts: Tensor, classes: Sequence[str], title: str) -> Path:
    """Draw the number of images ``(K, K)`` by class (rows) and prediction (columns).

    Correct predictions are blue and mistakes red; darker means more of the images of a class. The
    most frequent confusions are listed next to it, since they are hard to find among many classes.
    """
    number = len(classes)
    has_counts = number <= MAX_CLASSES_WITH_COUNTS
    cell = 0.42 if number <= 20 else 0.3 if has_counts else 0.19 if number <= 64 else 0.15
    side = max(4.2, cell * number)
    names = [shortened(name, 18) for name in drawable_names(classes)]
    longest = max(map(len, names))
    beside = 1.8 + 0.14 * min(longest, 14)
    margin = 0.9 + 0.085 * longest

    def picture(figure: Figure) -> None:
        figure.suptitle(title)
        left, right = figure.subplots(1, 2, width_ratios=[side + margin, beside])
        _draw_matrix(left, counts, names, side / number)
        _list_confusions(right, counts, names)

    return draw(path, (side + margin + beside + 0.2, side + margin + 0.3), picture)


def _draw_matrix(axis: Axes, counts: Tensor, names: list[str], cell: float) -> None:
    number = len(names)
    shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    wrong = shares.clone().fill_diagonal_(0)
    # A good network makes few errors, so their square root is shown, scaled to the largest.
    depth = (wrong / wrong.max().clamp(min=0.02)).sqrt() * 0.9
    hue = torch.tensor(to_rgb(RED)).expand(number, number, 3).clone()
    hue[range(number), range(number)] = torch.tensor(to_rgb(BLUE))
    depth[range(number), range(number)] = shares.diag() * 0.9
    colors = 1 - depth.unsqueeze(-1) * (1 - hue)
    axis.imshow(colors.numpy())
    axis.spines[:].set_visible(True)
    size = min(9.0, 72 * cell * 0.62)
    ticks = range(number)
    axis.set_xticks(ticks, names, rotation=90 if max(map(len, names)) > 2 else 0, fontsize=size)
    axis.set_yticks(ticks, names, fontsize=size)
    axis.tick_params(length=0)
    axis.set(xlabel="predicted", ylabel="truth")
    axis.set_xticks([i + 0.5 for i in range(number - 1)], minor=True)
    axis.set_yticks([i + 0.5 for i in range(number - 1)], minor=True)
    axis.grid(which="minor", linewidth=0.5)
    axis.tick_params(which="minor", length=0)
    if number > MAX_CLASSES_WITH_COUNTS:
        return
    digits = max(3, len(str(int(counts.max()))))
    size = min(10.0, 72 * cell * 1.4 / digits)
    for i, j in counts.nonzero().tolist():
        color = "white" if depth[i, j] > 0.5 else INK
        axis.text(j, i, str(int(counts[i, j])), ha="center", va="center", size=size, color=color)


def _list_confusions(axis: Axes, counts: Tensor, names: list[str]) -> None:
    axis.set_axis_off()
    total, right = int(counts.sum()), int(counts.diag().sum())
    wrong = counts.clone().fill_diagonal_(0)
    lines = [f"{right:,} of {total:,} right", f"{right / max(total, 1):.2%}", ""]
    order = wrong.flatten().argsort(descending=True, stable=True)[:MAX_CONFUSIONS]
    frequent = [divmod(place, len(names)) for place in order.tolist()]
    frequent = [(label, guess) for label, guess in frequent if wrong[label, guess]]
    lines += ["Most frequent mistakes", ""] if frequent else []
    lines += [
        f"{shortened(names[i], 14)} taken for {shortened(names[j], 14)}: {int(wrong[i, j])}"
        for i, j in frequent
    ]
    axis.text(0, 1, "\n".join(lines), va="top", transform=axis.transAxes, linespacing=1.5)
