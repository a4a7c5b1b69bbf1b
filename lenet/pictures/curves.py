"""Learning curves: loss and accuracy by epoch, in training and validation."""

import csv
import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lenet.pictures.drawing import BLUE, GRAY, RED, draw

__all__ = ["draw_curves", "read_curves"]

Curve = list[tuple[int, float]]
STAGES = {"train": ("training", BLUE), "val": ("validation", RED)}


def read_curves(metrics: Path) -> dict[str, Curve]:
    """Read the curves from a ``metrics.csv``.

    Returns:
        Epochs and values of each metric in the file, such as ``train/loss``.
    """
    with metrics.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [f"{stage}/{figure}" for stage in STAGES for figure in ("loss", "accuracy")]
    curves = {
        name: [(int(row["epoch"]), float(row[name])) for row in rows if row.get(name)]
        for name in names
    }
    return {name: curve for name, curve in curves.items() if curve}


def draw_curves(path: Path, curves: dict[str, Curve], title: str, best: int | None) -> Path:
    """Draw loss and accuracy side by side.

    Args:
        path: PNG file to write.
        curves: Epochs and values by name.
        title: Title of the picture.
        best: Epoch of the saved weights, or None to mark no epoch.
    """
    names = [name for name in ("loss", "accuracy") if any(key.endswith(name) for key in curves)]

    def picture(figure: Figure) -> None:
        figure.suptitle(title)
        axes = figure.subplots(1, len(names), squeeze=False)[0]
        for axis, name in zip(axes, names, strict=True):
            by_stage = {stage: curves.get(f"{stage}/{name}", []) for stage in STAGES}
            _draw_one(axis, by_stage, best)
            axis.set(xlabel="epoch", title=name.capitalize())
            values = [value for curve in by_stage.values() for _, value in curve]
            if name == "accuracy":
                narrow = max(values) - min(values) < 0.05
                axis.yaxis.set_major_formatter(PercentFormatter(1, None if narrow else 0))
            elif 0 < 10 * min(values) < max(values) < math.inf:
                axis.set_yscale("log")
                axis.yaxis.set_major_formatter("{x:g}")
                axis.set_title("Loss (logarithmic)")
        axes[-1].legend(loc="best")

    return draw(path, (4.5 * len(names), 3.6), picture)


def _draw_one(axis: Axes, curves: dict[str, Curve], best: int | None) -> None:
    axis.grid(axis="y")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for stage, curve in curves.items():
        label, color = STAGES[stage]
        if not curve:
            continue
        epochs, values = zip(*curve, strict=True)
        marker = "o" if len(curve) <= 30 else None
        axis.plot(epochs, values, color=color, label=label, marker=marker, markersize=3.5)
    if best is not None:
        line = {"color": GRAY, "linewidth": 1, "linestyle": (0, (3, 3)), "zorder": 0}
        axis.axvline(best, label=f"best weights (epoch {best})", **line)
