"""The images that a network got most confidently wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from lenet.data.memory import Images
from lenet.pictures.drawing import GRAY, RED, draw, drawable_names, shortened, show_image, to_rgb
from lenet.pictures.tally import Mistake

__all__ = ["draw_mistakes"]

COLUMNS = 5


def draw_mistakes(
    path: Path,
    images: Images,
    mistakes: Sequence[Mistake],
    classes: Sequence[str],
    title: str,
) -> Path | None:
    """Draw some mistakes, each with truth, prediction, confidence and the image's index.

    Args:
        path: Where to.
        images: All images ``(N, C, H, W)`` in 0..255.
        mistakes: Which to draw, if there are any.
        classes: Names of the classes.
        title: Of the picture.
    """
    if not mistakes:
        return None
    seen = to_rgb(images[torch.tensor([index for _, index, _, _ in mistakes])])
    names = [shortened(name, 16) for name in drawable_names(classes)]
    columns = min(COLUMNS, len(mistakes))
    rows = -(-len(mistakes) // columns)
    width = 1.6 if max(map(len, names)) < 6 else 2.1

    def picture(figure: Figure) -> None:
        figure.suptitle(title)
        axes: Any = figure.subplots(rows, columns, squeeze=False).flatten()
        for axis in axes:
            axis.set_axis_off()
        for axis, image, (p, i, label, guess) in zip(axes, seen, mistakes, strict=False):
            show_image(axis, image)
            axis.set_axis_on()
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            # Never 100 %, which would be a certainty.
            sure = f"{min(p, 0.9999):.2%}" if p > 0.995 else f"{p:.1%}"
            axis.set_title(f"is {names[label]}\n", fontsize=9, pad=3)
            said = f"said {names[guess]}, {sure}"
            place = {"ha": "center", "transform": axis.transAxes}
            axis.text(0.5, 1.03, said, fontsize=9, color=RED, **place)
            axis.set_xlabel(f"no. {i}", fontsize=7.5, color=GRAY, labelpad=2)

    return draw(path, (width * columns, (width + 0.45) * rows + 0.4), picture)
