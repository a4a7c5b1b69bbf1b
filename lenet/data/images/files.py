"""Decoding image files of any size and format to one size, in gray or color.

The result depends only on the file and the options, so it is the same whether all files are decoded
in advance or each when it is needed.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from lenet.errors import UserError

__all__ = [
    "MAX_NAMED",
    "Framing",
    "ImageFiles",
    "decode",
    "decode_all",
    "error_reason",
    "is_color",
    "num_cores",
    "open_image",
    "readable_formats",
    "square_image",
]

Framing = Literal["crop", "pad", "stretch"]
GRAY_MODES = ("1", "L", "LA", "La", "I", "F")
MAX_NAMED = 3  # broken files that an error message names
# Formats that Pillow does not decode itself: stubs, and EPS, for which it starts Ghostscript.
NOT_DECODED = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")
LARGE_IMAGE = (
    25_000_000  # pixels: larger images take up to gigabytes, so they are decoded one at a time
)
ROWS_AT_ONCE = 1024  # rows per step, to limit memory
IMAGES_AT_ONCE = 1024  # images per step, to limit memory
_one_large = threading.Lock()


class ImageFiles:
    """Image files that are indexed like a tensor ``(N, C, H, W)`` and decoded on access.

    Args:
        root: Folder that the paths are relative to.
        paths: The files.
        channels: 1 for gray, 3 for color.
        size: Height and width of the decoded images, in pixels.
        framing: How images become square, see :func:`decode`.
    """

    def __init__(
        self, root: str, paths: Sequence[str], channels: int, size: int, framing: Framing = "crop"
    ):
        self.root = root
        self.paths = paths
        self.framing: Framing = framing
        self.shape = (len(paths), channels, size, size)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Decode the images at these indices: ``(N, C, H, W)``, ``uint8``."""
        images = torch.empty(len(indices), *self.shape[1:], dtype=torch.uint8)
        for image, index in zip(images, indices.tolist(), strict=True):
            image.copy_(self._decode(index))
        return images

    def scan(self, keep: bool) -> tuple["Tensor | ImageFiles", Tensor]:
        """Decode all images once, and report all broken files in one error.

        Args:
            keep: Whether to keep the images in memory.

        Returns:
            The images in memory, or these files, and the sums of each image's values and of their
            squares ``(2, N, C)``. Integer sums do not depend on the order of the images.

        Raises:
            UserError: With the number of files that cannot be decoded, and the first few names.
        """
        images = torch.empty(*self.shape, dtype=torch.uint8) if keep else None
        sums = torch.zeros(2, *self.shape[:2], dtype=torch.int64)
        broken: list[str] = []
        for i, image in enumerate(decode_all(self._decode, range(len(self)), num_cores())):
            if isinstance(image, str):
                broken.append(f"{self.paths[i]} ({image})")
                continue
            values = image.flatten(1).long()
            sums[0, i] = values.sum(1)
            sums[1, i] = values.square().sum(1)
            if images is not None:
                images[i] = image
        if broken:
            more = f" and {len(broken) - MAX_NAMED:,} more" if len(broken) > MAX_NAMED else ""
            raise UserError(
                f"{self.root}: {len(broken):,} of {len(self):,} images cannot be read: "
                f"{', '.join(broken[:MAX_NAMED])}{more}. Repair or remove them."
            )
        return (self if images is None else images), sums

    def _decode(self, index: int) -> Tensor:
        path = os.path.join(self.root, self.paths[index])
        return decode(path, self.shape[1], self.shape[2], self.framing)


def decode_all(
    decode_one: Callable[[Any], Tensor], items: Sequence[Any], num_threads: int
) -> Iterator[Tensor | str]:
    """Decode images in several threads, in order. A failed image yields the reason as text.

    Args:
        decode_one: Decodes one item.
        items: The images to decode, such as their paths.
        num_threads: Number of threads. Pillow releases Python's global lock while it decodes.
    """

    def attempt(item: Any) -> Tensor | str:
        try:
            return decode_one(item)
        except Exception as e:  # the type depends on the format and the damage
            return error_reason(e)

    with ThreadPoolExecutor(num_threads) as pool:
        for start in range(0, len(items), IMAGES_AT_ONCE):
            yield from pool.map(attempt, items[start : start + IMAGES_AT_ONCE])


def readable_formats() -> list[str]:
    """List the image formats that can be read."""
    Image.init()
    return [kind for kind in Image.OPEN if kind not in NOT_DECODED]


@contextlib.contextmanager
def open_image(path: str, min_size: int) -> Iterator[Image.Image]:
    """Open an image file, unless it is too large to fit in memory.

    Args:
        path: The file.
        min_size: Minimum size of the longer side, in pixels. A large JPEG may be decoded at a
            reduced size.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError("not a file")  # reading a pipe could block forever
    with Image.open(path, formats=readable_formats()) as image:
        image.draft(None, (min_size, min_size))  # decodes a large JPEG at a reduced size
        with _one_large if image.width * image.height > LARGE_IMAGE else contextlib.nullcontext():
            yield image


def error_reason(e: Exception) -> str:
    """Describe in a few words why an image cannot be read."""
    if isinstance(e, Image.UnidentifiedImageError):
        return "not an image"
    if isinstance(e, Image.DecompressionBombError):
        return f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels"
    reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
    return " ".join(reason.split())[:80] or type(e).__name__


def decode(path: str, channels: int, size: int, framing: Framing = "crop") -> Tensor:
    """Decode an image file to ``uint8`` values ``(channels, size, size)``.

    Applies the EXIF rotation. Transparent areas become white. Images with more than 8 bits are
    reduced to 8 (see :func:`to_bytes`). Color becomes gray by its luma (ITU-R 601), and gray
    becomes color with three equal channels. Only the first frame is used.

    Args:
        path: The file.
        channels: 1 for gray, 3 for color.
        size: Height and width of the result, in pixels.
        framing: ``"crop"`` scales the shorter side to the size and crops the longer side evenly,
            ``"pad"`` scales the longer side and pads with black, ``"stretch"`` scales both sides.
    """
    with open_image(path, 2 * size) as file:
        return square_image(file, channels, size, framing)


def square_image(image: Image.Image, channels: int, size: int, framing: Framing = "crop") -> Tensor:
    """Convert an opened image as :func:`decode` converts a file."""
    image.load()  # applies the rotation of a TIFF
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode == "F" or image.mode.startswith("I"):
        image = to_bytes(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    mode = "RGB" if channels == 3 else "L"
    image = image if image.mode == mode else image.convert(mode)
    if framing == "crop":
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    elif framing == "pad":
        image = ImageOps.pad(image, (size, size), Image.Resampling.BILINEAR, color=0)
    else:
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return pil_to_tensor(image)


def to_bytes(image: Image.Image) -> Image.Image:
    """Reduce gray images with more than 8 bits (modes I and F) to 8 bits.

    Of 16 bits, the upper 8 are kept. A 32-bit file does not define its white level: values up to
    255 are read as 8 bits, values up to 65,535 as 16 bits, and floating-point values in [0, 1] as
    fractions of white.

    Raises:
        ValueError: If values are outside of these ranges.
    """
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 65535):  # also refuses NaN
        raise ValueError(f"gray values from {low:g} to {high:g}, save it with 8 or 16 bits")
    result = np.empty(values.shape, dtype=np.uint8)
    for top in range(0, len(values), ROWS_AT_ONCE):  # copies of a large image would take gigabytes
        part = values[top : top + ROWS_AT_ONCE].astype(np.float64)
        if image.mode == "F" and high <= 1:
            part *= 255
        elif image.mode.startswith("I;16") or high > 255:
            part //= 256
        result[top : top + ROWS_AT_ONCE] = part.round()
    return Image.fromarray(result)


def is_color(path: str) -> bool:
    """Return whether a file has colors, according to its header. False for broken files."""
    try:
        with open_image(path, 1) as image:
            return image.mode not in GRAY_MODES and not image.mode.startswith("I;")
    except Exception:  # reported later, when all files are decoded
        return False


def num_cores() -> int:
    """Return the number of CPU cores that this process may use, up to 8."""
    usable = getattr(os, "sched_getaffinity", None)
    return min(8, len(usable(0)) if usable else os.cpu_count() or 1)
