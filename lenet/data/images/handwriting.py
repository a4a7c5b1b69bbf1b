"""Your characters, brought to how those of a data set were prepared.

MNIST's were scaled into 20x20 pixels with their aspect kept, which makes them gray at the edges,
and put into 28x28 with their centre of mass in the middle (LeCun, Bottou, Bengio and Haffner,
1998). A network that learned from these has seen no others.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from lenet.data.images.ink import find_ink
from lenet.errors import UserError

__all__ = ["Handwriting"]

OVERSAMPLING = 5  # pixels worked on for one of the result
MIN_EXTENT = 0.05  # of the shorter side: what is smaller is dust
# Widths of a stroke, in pixels of a box of 20: nine tenths of MNIST's are between.
MIN_STROKE_WIDTH = 2.0
MAX_STROKE_WIDTH = 4.2


@dataclass(frozen=True)
class Handwriting:
    """How the characters of a data set lie in its images.

    Args:
        size: Height and width of an image, in pixels.
        box: Height and width of the box that a character is scaled into.
        by_mass: Whether its centre of mass is in the middle of the image, or else that of its box.
    """

    size: int = 28
    box: int = 20
    by_mass: bool = True

    def prepare(self, image: Image.Image) -> Tensor:
        """Bring an image to one of these, light on dark: ``(1, size, size)``, ``uint8``.

        Raises:
            UserError: If nothing is drawn in it.
        """
        ink = _even_out(_crop(_without_specks(find_ink(image))), self.box)
        rows, columns = ink.shape
        scale = self.box / max(rows, columns)
        height, width = (max(1, round(side * scale)) for side in ink.shape)
        small = _resized(ink, height, width)
        small = (small / max(float(np.percentile(small, 98)), 0.1)).clip(0, 1)
        return torch.from_numpy(np.rint(255 * self._centered(small)).astype(np.uint8))[None]

    def _centered(self, ink: np.ndarray) -> np.ndarray:
        """Put a character ``(H, W)`` in the middle of an image, moved by whole pixels."""
        places = []
        for axis, side in enumerate(ink.shape):
            mass = ink.sum(axis=1 - axis)
            middle = float(mass @ np.arange(side) / mass.sum()) if self.by_mass else side / 2
            place = round(self.size / 2 - middle)
            places.append(min(max(place, 0), self.size - side))
        top, left = places
        canvas = np.zeros((self.size, self.size), dtype=np.float32)
        canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
        return canvas


def _without_specks(ink: np.ndarray) -> np.ndarray:
    """Keep the strokes: the largest, and what is large or near enough to belong to it."""
    labeled: Any = ndimage.label(ink > 0.3, structure=np.ones((3, 3)))
    parts, count = labeled
    if count == 0:
        raise UserError("nothing is drawn in it")
    mass = np.bincount(parts.ravel(), ink.ravel())[1:]
    boxes = ndimage.find_objects(parts)
    main = int(mass.argmax())
    extent = max(edge.stop - edge.start for edge in boxes[main])
    near = 0.3 * extent
    keep = np.zeros(count + 1, dtype=bool)
    for i, box in enumerate(boxes):
        gap = max(
            max(a.start - b.stop, b.start - a.stop) for a, b in zip(box, boxes[main], strict=True)
        )
        keep[i + 1] = mass[i] >= mass[main] * (0.02 if gap <= near else 0.2)
    if extent < MIN_EXTENT * min(ink.shape) or mass[keep[1:]].sum() < mass.sum() / 2:
        raise UserError("nothing is drawn in it but specks")
    strokes: np.ndarray = keep[parts]
    specks = (parts > 0) & (strokes == 0)
    # The soft edges go with the strokes, and those of the specks with the specks.
    edges = ndimage.binary_dilation(strokes, np.ones((3, 3)), iterations=3)
    dust = ndimage.binary_dilation(specks, np.ones((3, 3)), iterations=2)
    return np.where(strokes | (edges > dust), ink, 0)


def _crop(ink: np.ndarray) -> np.ndarray:
    """Cut to the box of what is drawn."""
    rows, columns = (np.flatnonzero((ink > 0.2).any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _resized(ink: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale with antialiasing."""
    image = Image.fromarray(ink.astype(np.float32))
    kind = Image.Resampling.BOX if height < ink.shape[0] else Image.Resampling.BILINEAR
    return np.asarray(image.resize((width, height), kind))


def _even_out(ink: np.ndarray, box: int) -> np.ndarray:
    """Make strokes thicker or thinner that are much thinner or thicker than those of a data set."""
    if max(ink.shape) <= 1.5 * box:
        return ink  # too few pixels for it
    scale = OVERSAMPLING * box / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    margin = 2 * OVERSAMPLING
    fine = np.pad(_resized(ink, height, width), margin)
    drawn = fine > 0.5
    if not drawn.any():
        return ink
    # On a stroke of width w the mean distance to its edge is w / 4.
    depth: Any = ndimage.distance_transform_edt(drawn)
    stroke = 4 * float(depth[drawn].mean())
    unit = OVERSAMPLING * box / 20
    wanted = min(max(stroke, MIN_STROKE_WIDTH * unit), MAX_STROKE_WIDTH * unit)
    radius = round(abs(wanted - stroke) / 2)
    if radius == 0:
        return ink
    around = np.hypot(*np.mgrid[-radius : radius + 1, -radius : radius + 1]) <= radius + 0.3
    change = ndimage.grey_dilation if wanted > stroke else ndimage.grey_erosion
    changed = change(fine, footprint=around)
    return _crop(changed) if (changed > 0.2).any() else ink
