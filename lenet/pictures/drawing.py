"""Shared functions of all pictures: style, fonts, mosaics and saving."""

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lenet.writing import atomic_write

__all__ = [
    "BLUE",
    "DPI",
    "GRAY",
    "INK",
    "RED",
    "draw",
    "drawable_names",
    "layer_name",
    "mosaic",
    "shortened",
    "show_image",
    "to_rgb",
]

INK = "#262626"
GRAY = "#8c8c8c"
BLUE = "#2f6690"
RED = "#c8553d"
DPI = 120
# Common fonts with Chinese, Japanese and Korean characters. matplotlib uses those that are
# installed for characters that its own font lacks.
CJK = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "IPAexGothic", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "Droid Sans Fallback", "Hiragino Sans", "PingFang SC", "Yu Gothic"),
    *("Microsoft YaHei", "Malgun Gothic", "Arial Unicode MS"),
)


@cache
def _fonts() -> tuple[str, ...]:
    installed = set(font_manager.get_font_names())
    return ("DejaVu Sans", *(name for name in CJK if name in installed))


@cache
def _drawable() -> frozenset[int]:
    """Return the code points that at least one of the fonts can draw."""
    paths = [font_manager.findfont(name) for name in _fonts()]
    return frozenset(code for path in paths for code in font_manager.get_font(path).get_charmap())


def _style() -> Any:
    return {
        "font.family": list(_fonts()),
        "font.size": 9,
        "text.color": INK,
        "text.parse_math": False,  # "$" in a class name is a character
        "figure.titlesize": 12,
        "axes.titlesize": 10,
        "axes.titlecolor": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": GRAY,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": GRAY,
        "ytick.color": GRAY,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "grid.color": "#e4e4e4",
        "grid.linewidth": 0.8,
        "legend.frameon": False,
        "image.interpolation": "nearest",
    }


def draw(path: Path, size: tuple[float, float], picture: Callable[[Figure], None]) -> Path:
    """Draw a picture in the common style, and write its file atomically.

    Args:
        path: PNG file to write.
        size: Width and height in inches.
        picture: Draws on the figure.
    """
    with mpl.rc_context(_style()), warnings.catch_warnings():
        # matplotlib draws a box for a character that no font has, and warns.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure = Figure(figsize=size, layout="constrained")
        picture(figure)
        with atomic_write(path) as part:
            # Fits the page to the drawing, so that nothing is cut off.
            figure.savefig(part, dpi=DPI, format="png", bbox_inches="tight", pad_inches=0.12)
    return path


def drawable_names(names: Sequence[str], otherwise: str | None = None) -> list[str]:
    """Replace names of classes that no font can draw.

    Args:
        names: The names.
        otherwise: Replacement for such names. By default "class" and its index.
    """
    return [
        name if name.strip() and set(map(ord, name)) <= _drawable() else otherwise or f"class {i}"
        for i, name in enumerate(names)
    ]


def shortened(name: str, length: int) -> str:
    """Shorten a name to at most ``length`` characters."""
    return name if len(name) <= length else f"{name[: length - 1].rstrip()}…"


def layer_name(name: str) -> str:
    """Return the name of a layer, or its index in the network if it has no name."""
    return f"layer {name}".strip() if name.isdigit() or not name else name


def mosaic(images: Tensor, columns: int, gap: int = 1, fill: float = float("nan")) -> Tensor:
    """Arrange images ``(N, H, W, ...)`` in rows, with gaps between them.

    Returns:
        One image ``(rows * (H + gap) - gap, columns * (W + gap) - gap, ...)``.
    """
    count, height, width, *depth = images.shape
    rows = -(-count // columns)
    tall, wide = height + gap, width + gap
    tiles = images.new_full((rows * columns, tall, wide, *depth), fill)
    tiles[:count, :height, :width] = images
    rest = range(4, 4 + len(depth))
    laid = tiles.unflatten(0, (rows, columns)).permute(0, 2, 1, 3, *rest)
    return laid.reshape(rows * tall, columns * wide, *depth)[: -gap or None, : -gap or None]


def show_image(axis: Axes, image: Tensor, **kwargs: Any) -> Any:
    """Show an image ``(H, W)`` or ``(H, W, 3)`` with square pixels and no axes."""
    axis.set_axis_off()
    return axis.imshow(image.cpu().numpy(), **kwargs)


def to_rgb(images: Tensor) -> Tensor:
    """Convert images ``(N, C, H, W)`` in 0..255 to RGB ``(N, H, W, 3)`` in [0, 1].

    If there are more than three channels, the first three are shown. Two channels are averaged.
    """
    channels = images.shape[1]
    images = images.float() / 255
    images = images[:, :3] if channels >= 3 else images.mean(dim=1, keepdim=True)
    return images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
