"""A contact sheet: small pictures with titles, for predictions and mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from lenet.pictures.drawing import DPI, GRAY, INK, RED, draw, to_rgb

__all__ = ["Tile", "draw_sheet"]

MAX_PIXELS = 2**16 - 1  # maximum height of a picture in matplotlib
# Inches.
GAP = 0.08  # between two images
GROUP_GAP = 0.14  # added between two groups
LINE = 0.155  # height of a line of text
HEADING = 0.3


@dataclass(frozen=True)
class Tile:
    """A picture in a contact sheet, with text around it.

    Args:
        image: An image, or values ``(C, H, W)`` in 0..255.
        title: Text above it.
        color: Color of the title.
        mistake: A second line above it, in red.
        framed: Whether it has a red frame.
        caption: Small text below it.
    """

    image: Tensor | Image.Image
    title: str
    color: str = INK
    mistake: str = ""
    framed: bool = False
    caption: str = ""


def draw_sheet(
    path: Path,
    tiles: Sequence[Tile],
    columns: int,
    side: float,
    heading: str = "",
    group: int = 1,
) -> Path | None:
    """Draw pictures in rows, as many as fit into one file.

    All pictures share one pair of axes in inches, since separate axes or matplotlib's layout engine
    would take minutes for 1,000 images.

    Args:
        path: PNG file to write.
        tiles: The pictures. Without any, nothing is written.
        columns: Number of pictures in a row.
        side: Height and width of a picture, in inches.
        heading: Text above all pictures.
        group: Number of adjacent pictures that belong together. Gaps between groups are wider.

    Returns:
        The file, if one was written.
    """
    if not tiles:
        return None
    columns = min(columns, len(tiles))
    above = LINE * (2 if any(tile.mistake for tile in tiles) else 1) + 0.1
    below = LINE if any(tile.caption for tile in tiles) else 0.0
    height = above + side + below + GAP
    top = HEADING if heading else 0.0
    max_rows = int((MAX_PIXELS / DPI - top - 1) // height)  # minus an inch for the margin
    tiles = tiles[: max_rows * columns]
    rows = -(-len(tiles) // columns)
    total_width = columns * (side + GAP) + (columns - 1) // group * GROUP_GAP - GAP
    total_height = rows * height + top

    def picture(figure: Figure) -> None:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, total_width), ylim=(0, total_height))
        axes.set_axis_off()
        axes.set_autoscale_on(False)
        if heading:
            axes.text(total_width / 2, total_height, heading, size=12, ha="center", va="top")
        for i, tile in enumerate(tiles):
            row, column = divmod(i, columns)
            left = column * (side + GAP) + column // group * GROUP_GAP
            bottom = (rows - row) * height - above - side
            _draw_tile(axes, tile, left, bottom, side)

    return draw(path, (total_width, total_height), picture)


def _draw_tile(axes: Axes, tile: Tile, left: float, bottom: float, side: float) -> None:
    """Draw a picture with its lower left corner at a position in inches."""
    image = to_rgb(tile.image[None])[0] if isinstance(tile.image, Tensor) else tile.image
    extent = (left, left + side, bottom, bottom + side)
    # Antialiased if the image has more pixels than the sheet, otherwise with sharp pixels.
    axes.imshow(np.asarray(image), extent=extent, interpolation="antialiased")
    if tile.framed:
        style = {"fill": False, "edgecolor": RED, "linewidth": 3, "clip_on": False}
        axes.add_patch(Rectangle((left, bottom), side, side, **style))
    middle = left + side / 2
    line = bottom + side + 0.06
    if tile.mistake:
        axes.text(middle, line, tile.mistake, color=RED, ha="center")
        line += LINE
    axes.text(middle, line, tile.title, color=tile.color, ha="center")
    if tile.caption:
        axes.text(middle, bottom - 0.04, tile.caption, color=GRAY, size=7.5, ha="center", va="top")
