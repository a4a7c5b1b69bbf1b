"""The most confident mistakes of a network."""

from collections.abc import Sequence
from pathlib import Path

import torch

from lenet.data.memory import Images
from lenet.pictures.drawing import drawable_names, shortened
from lenet.pictures.sheet import Tile, draw_sheet
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
    """Draw mistakes, each with its class, prediction, confidence and index.

    Args:
        path: PNG file to write. Without mistakes, nothing is written.
        images: All images ``(N, C, H, W)`` in 0..255.
        mistakes: The mistakes to draw.
        classes: Names of the classes.
        title: Title of the picture.
    """
    if not mistakes:
        return None
    names = [shortened(name, 16) for name in drawable_names(classes)]
    shown = images[torch.tensor([mistake.image_index for mistake in mistakes])]
    tiles = [
        Tile(
            image,
            title=f"is {names[mistake.label]}",
            mistake=f"predicted {names[mistake.prediction]}, {_percent(mistake.confidence)}",
            caption=f"no. {mistake.image_index}",
        )
        for image, mistake in zip(shown, mistakes, strict=True)
    ]
    side = 1.5 if max(map(len, names)) < 6 else 2.0
    return draw_sheet(path, tiles, COLUMNS, side, heading=title)


def _percent(confidence: float) -> str:
    """Format a confidence. It is never rounded to 100 %."""
    return f"{min(confidence, 0.9999):.2%}" if confidence > 0.995 else f"{confidence:.1%}"
