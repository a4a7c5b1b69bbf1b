"""Separating ink from paper in a scan, a photograph or a drawing.

Paper is not white and light is not even. So the paper is estimated at every pixel and subtracted.
To decide whether ink is dark or light, the more frequent value in each neighborhood is taken as
paper.
"""

import numpy as np
from PIL import ExifTags, Image, ImageOps
from scipy import ndimage

from lenet.errors import UserError

__all__ = ["MAX_SIDE", "find_ink"]

ORIENTATION = ExifTags.Base.Orientation
SCALABLE = ("L", "RGB", "RGBA", "CMYK", "YCbCr")
MAX_SIDE = 400  # pixels: larger images are reduced to this longer side
MIN_CONTRAST = 0.08  # fraction of the gray range: less is paper and noise
MIN_SIZE = 5  # pixels: too small for a character
MAX_STROKE_WIDTH = 0.4  # fraction of the shorter side: wider dark areas are shadows


def find_ink(image: Image.Image) -> np.ndarray:
    """Find the ink in an image of any mode, dark on light or light on dark.

    Applies the EXIF rotation. In color images, the plane with the most contrast is used: gray, red,
    green or blue. Drawings that consist of transparency alone are found as well.

    Args:
        image: A single-frame image of any size.

    Returns:
        Ink ``(H, W)`` in [0, 1], where 0 is paper, at most ``MAX_SIDE`` pixels in size.

    Raises:
        UserError: If nothing is drawn in it.
    """
    best = None
    most = 0.0
    image.load()  # applies the rotation of a TIFF
    orientation = image.getexif().get(ORIENTATION)
    if image.mode in SCALABLE:
        image = _shrunk(image)  # before a large image is copied
    if orientation is not None:
        image.getexif()[ORIENTATION] = orientation
    for plane in _planes(ImageOps.exif_transpose(image)):
        ink, contrast = _flatten(plane)
        # Gray comes first and is less noisy, so a color must have twice its contrast.
        if contrast > (2 * most if best is not None else MIN_CONTRAST):
            best = ink
            most = contrast
    if best is None:
        raise UserError("nothing is drawn in it")
    return best


def _planes(image: Image.Image) -> list[np.ndarray]:
    """Return the planes ``(H, W)`` in [0, 1] that may show the ink, the likeliest first."""
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(_shrunk(image.convert("F")))
        if not np.isfinite(values).any():
            return [np.zeros_like(values)]
        values = np.where(np.isfinite(values), values, np.median(values[np.isfinite(values)]))
        low, high = float(values.min()), float(values.max())
        return [(values - low) / (high - low)] if high > low else [np.zeros_like(values)]
    if not image.has_transparency_data:
        gray = image.mode in ("1", "L")
        colors = np.asarray(_shrunk(image.convert("L" if gray else "RGB")), dtype=np.float32) / 255
        return [colors] if gray else [_luma(colors), *np.moveaxis(colors, -1, 0)]
    whole = np.asarray(_shrunk(image.convert("RGBA")), dtype=np.float32) / 255
    colors = whole[..., :3]
    alpha = whole[..., 3]
    opaque = alpha > 0.5
    if not opaque.any():
        return [alpha]
    low, high = np.percentile(_luma(colors[opaque]), (5, 95))
    if high - low < 0.25 and not opaque.all():
        return [alpha]  # a single color: the drawing is the opaque part
    paper = np.median(colors[opaque], axis=0)
    colors = paper + (colors - paper) * alpha[..., None]
    return [_luma(colors), *np.moveaxis(colors, -1, 0)]


def _luma(colors: np.ndarray) -> np.ndarray:
    return colors @ np.array([0.299, 0.587, 0.114], dtype=np.float32)


def _shrunk(image: Image.Image) -> Image.Image:
    """Reduce a large image to ``MAX_SIDE``. Each pixel is the mean of those that it replaces."""
    factor = max(image.size) / MAX_SIDE
    if factor <= 1:
        return image
    width, height = (max(1, round(side / factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)


def _flatten(plane: np.ndarray) -> tuple[np.ndarray, float]:
    """Subtract the paper. Return ink ``(H, W)`` in [0, 1] and its contrast to the paper."""
    longer = max(plane.shape)
    if min(plane.shape) < MIN_SIZE:
        return plane, 0.0
    plane = ndimage.gaussian_filter(plane, longer / 400 if longer > 100 else 0, mode="nearest")
    wide = 2 * round(MAX_STROKE_WIDTH * min(plane.shape) / 2) + 1
    if _is_dark(plane):
        paper = _paper(plane, wide)
        # Shade darkens ink and paper by the same factor.
        ink = (paper - plane) * (paper.max() / np.maximum(paper, 0.05))
    else:
        ink = plane + _paper(-plane, wide)
    # Estimates noise from pixels that are too far apart to share it, but rarely span an edge.
    apart = 4 if longer > 100 else 1
    noise = 1.05 * float(np.median(np.abs(plane[:, apart:] - plane[:, :-apart])))
    # At least a quarter of the pixels is paper. Part of its noise lies above this percentile.
    floor = float(np.percentile(ink, 25)) + 0.67 * noise
    low = floor + max(4 * noise, MIN_CONTRAST / 2)
    drawn = ink[ink > low]
    if not len(drawn):
        return ink, 0.0
    peak = float(np.percentile(drawn, 90))
    if peak - floor < 6 * noise:
        return ink, 0.0
    high = float(np.median(ink[ink >= (low + peak) / 2]))
    low = floor + 3 * noise
    return np.clip((ink - low) / (high - low), 0, 1), peak - floor


def _paper(plane: np.ndarray, wide: int) -> np.ndarray:
    """Return the paper behind all dark strokes that are narrower than ``wide`` pixels."""
    sheet = np.pad(plane, wide, mode="edge")
    return ndimage.grey_closing(sheet, size=(wide, wide))[wide:-wide, wide:-wide]


def _is_dark(plane: np.ndarray) -> bool:
    """Return whether ink is darker than the paper, the more frequent value of a neighborhood."""
    small = np.asarray(
        Image.fromarray(plane.astype(np.float32)).resize((48, 48), Image.Resampling.BOX)
    )
    paper = ndimage.median_filter(small, size=17, mode="nearest")
    return float(((small - paper) ** 3).sum()) <= 0
