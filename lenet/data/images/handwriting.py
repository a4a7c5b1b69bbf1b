"""Preparing images of handwriting like those of a data set.

MNIST's digits were scaled to fit 20x20 pixels with their aspect ratio kept, which makes their edges
gray, and centered in 28x28 pixels by their center of mass (LeCun, Bottou, Bengio and Haffner,
1998). A network that was trained on such images recognizes only similar ones.
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

OVERSAMPLING = 5  # pixels per pixel of the result
MIN_EXTENT = 0.05  # fraction of the shorter side: anything smaller is dust
# Stroke widths in a box of 20 pixels, in pixels: 90 % of MNIST's strokes are in between.
MIN_STROKE_WIDTH = 2.0
MAX_STROKE_WIDTH = 4.2


@dataclass(frozen=True)
class Handwriting:
    """How characters are placed in the images of a data set.

    Args:
        size: Height and width of an image, in pixels.
        box: Height and width of the box that a character is scaled to fit, in pixels.
        by_mass: Whether characters are centered by their center of mass or by their bounding box.
    """

    size: int = 28
    box: int = 20
    by_mass: bool = True

    def prepare(self, image: Image.Image) -> Tensor:
        """Return the prepared image ``(1, size, size)``, ``uint8``, light on dark.

        Raises:
            UserError: If nothing is drawn in the image.
        """
        ink = _even_out(_crop(_without_specks(find_ink(image))), self.box)
        rows, columns = ink.shape
        scale = self.box / max(rows, columns)
        height, width = (max(1, round(side * scale)) for side in ink.shape)
        small = _resized(ink, height, width)
        small = (small / max(float(np.percentile(small, 98)), 0.1)).clip(0, 1)
        return torch.from_numpy(np.rint(255 * self._centered(small)).astype(np.uint8))[None]

    def _centered(self, ink: np.ndarray) -> np.ndarray:
        """Center a character ``(H, W)`` in an image, moved by whole pixels."""
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
    """Keep the largest stroke, and strokes that are large or near enough to belong to it."""
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
        raise UserError("nothing is drawn in it, only specks")
    strokes: np.ndarray = keep[parts]
    specks = (parts > 0) & (strokes == 0)
    # Soft edges are kept around strokes and removed around specks.
    edges = ndimage.binary_dilation(strokes, np.ones((3, 3)), iterations=3)
    dust = ndimage.binary_dilation(specks, np.ones((3, 3)), iterations=2)
    return np.where(strokes | (edges > dust), ink, 0)


def _crop(ink: np.ndarray) -> np.ndarray:
    """Crop to the bounding box of the ink."""
    rows, columns = (np.flatnonzero((ink > 0.2).any(axis=axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _resized(ink: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale with antialiasing."""
    image = Image.fromarray(ink.astype(np.float32))
    kind = Image.Resampling.BOX if height < ink.shape[0] else Image.Resampling.BILINEAR
    return np.asarray(image.resize((width, height), kind))


def _even_out(ink: np.ndarray, box: int) -> np.ndarray:
    """Bring strokes that are much thinner or thicker than those of MNIST into its range."""
    if max(ink.shape) <= 1.5 * box:
        return ink  # too few pixels to measure strokes
    scale = OVERSAMPLING * box / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    margin = 2 * OVERSAMPLING
    fine = np.pad(_resized(ink, height, width), margin)
    drawn = fine > 0.5
    if not drawn.any():
        return ink
    # In a stroke of width w, the mean distance to its edge is w / 4.
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
