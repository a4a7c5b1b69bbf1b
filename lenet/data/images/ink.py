"""Ink on paper: what was drawn in a scan, a photograph or a drawing, and how strongly.

Paper is not white and light is not even. What counts is the difference to the paper beside it, so
the paper is estimated everywhere and taken away. Which of the two is ink follows from the paper
being the larger part of every neighborhood.
"""

import numpy as np
from PIL import ExifTags, Image, ImageOps
from scipy import ndimage

from lenet.errors import UserError

__all__ = ["MAX_SIDE", "find_ink"]

ORIENTATION = ExifTags.Base.Orientation
SCALABLE = ("L", "RGB", "RGBA", "CMYK", "YCbCr")
MAX_SIDE = 400  # pixels: the longer side that an image is worked on at
MIN_CONTRAST = 0.08  # of the range of gray: less is paper and noise
MIN_SIZE = 5  # pixels: no character is drawn with fewer
MAX_STROKE_WIDTH = 0.4  # of the shorter side. Shadows that matter are wider.


def find_ink(image: Image.Image) -> np.ndarray:
    """Find what is drawn in an image of any mode, dark on light or light on dark.

    It is turned as its camera says (EXIF). Where an image has colors, the plane that shows most is
    taken: gray, red, green or blue. What is drawn in transparency alone is found as well.

    Args:
        image: The image. It must be one frame, and may be of any size.

    Returns:
        Ink ``(H, W)`` in [0, 1], where 0 is paper, at most ``MAX_SIDE`` pixels in size.

    Raises:
        UserError: If nothing is drawn in it.
    """
    best = None
    most = 0.0
    image.load()  # which turns a TIFF
    orientation = image.getexif().get(ORIENTATION)
    if image.mode in SCALABLE:
        image = _shrunk(image)  # before there are copies of a large one
    if orientation is not None:
        image.getexif()[ORIENTATION] = orientation
    for plane in _planes(ImageOps.exif_transpose(image)):
        ink, contrast = _flatten(plane)
        # Gray is the first, and less noisy than a color.
        if contrast > (2 * most if best is not None else MIN_CONTRAST):
            best = ink
            most = contrast
    if best is None:
        raise UserError("nothing is drawn in it")
    return best


def _planes(image: Image.Image) -> list[np.ndarray]:
    """Give the planes ``(H, W)`` in [0, 1] that ink may show in, the likeliest first."""
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
        return [alpha]  # of one color: what is drawn is where it is
    paper = np.median(colors[opaque], axis=0)
    colors = paper + (colors - paper) * alpha[..., None]
    return [_luma(colors), *np.moveaxis(colors, -1, 0)]


def _luma(colors: np.ndarray) -> np.ndarray:
    return colors @ np.array([0.299, 0.587, 0.114], dtype=np.float32)


def _shrunk(image: Image.Image) -> Image.Image:
    """Bring a large image to a size to work on, each pixel the mean of those that it stands for."""
    factor = max(image.size) / MAX_SIDE
    if factor <= 1:
        return image
    width, height = (max(1, round(side / factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)


def _flatten(plane: np.ndarray) -> tuple[np.ndarray, float]:
    """Take the paper away: ink ``(H, W)`` in [0, 1], and its contrast to the paper."""
    longer = max(plane.shape)
    if min(plane.shape) < MIN_SIZE:
        return plane, 0.0
    plane = ndimage.gaussian_filter(plane, longer / 400 if longer > 100 else 0, mode="nearest")
    wide = 2 * round(MAX_STROKE_WIDTH * min(plane.shape) / 2) + 1
    if _is_dark(plane):
        paper = _paper(plane, wide)
        # In the shade ink and paper are darker by the same factor.
        ink = (paper - plane) * (paper.max() / np.maximum(paper, 0.05))
    else:
        ink = plane + _paper(-plane, wide)
    # Noise is told from pixels too far apart to share it, which few edges lie between.
    apart = 4 if longer > 100 else 1
    noise = 1.05 * float(np.median(np.abs(plane[:, apart:] - plane[:, :-apart])))
    # A quarter or more is paper; the rest of its noise is above.
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
    """Give what is behind everything dark that is narrower than so many pixels."""
    sheet = np.pad(plane, wide, mode="edge")
    return ndimage.grey_closing(sheet, size=(wide, wide))[wide:-wide, wide:-wide]


def _is_dark(plane: np.ndarray) -> bool:
    """Tell whether ink is darker than the paper around it, which is most of a neighborhood."""
    small = np.asarray(
        Image.fromarray(plane.astype(np.float32)).resize((48, 48), Image.Resampling.BOX)
    )
    paper = ndimage.median_filter(small, size=17, mode="nearest")
    return float(((small - paper) ** 3).sum()) <= 0
