"""Image files of any size and kind, brought to one size and to gray or color.

What a file becomes depends on the file and the options alone, so that it is the same whether all
are decoded beforehand or each when it is asked for.
"""

import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from lenet.errors import UserError

__all__ = [
    "Framing",
    "ImageFiles",
    "decode",
    "error_reason",
    "is_color",
    "num_cores",
    "open_image",
    "readable",
    "square_image",
]

Framing = Literal["crop", "pad", "stretch"]
GRAY = ("1", "L", "LA", "La", "I", "F")
NAMED = 3  # broken files that a message names
# Formats that Pillow does not decode itself: stubs, and one that it starts Ghostscript for.
NOT_DECODED = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")
LARGE = 25_000_000  # pixels: an image of more takes up to gigabytes, so one is decoded at a time
SLAB = 1024  # rows that are worked on together
_one_large = threading.Lock()


class ImageFiles:
    """Image files that are indexed like a tensor ``(N, C, H, W)``, and decoded when they are.

    Args:
        root: Folder that the paths start from.
        paths: The files.
        channels: 1 for gray, 3 for color.
        size: Height and width that they are brought to, in pixels.
        framing: How, see :func:`decode`.
    """

    def __init__(
        self, root: str, paths: Sequence[str], channels: int, size: int, framing: Framing = "crop"
    ):
        self.root, self.paths = root, paths
        self.framing: Framing = framing
        self.shape = (len(paths), channels, size, size)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Decode some: images ``(N, C, H, W)``, ``uint8``."""
        images = torch.empty(len(indices), *self.shape[1:], dtype=torch.uint8)
        for image, index in zip(images, indices.tolist(), strict=True):
            image.copy_(self._decode(index))
        return images

    def scan(self, keep: bool) -> tuple["Tensor | ImageFiles", Tensor]:
        """Decode all of them once, and refuse the broken ones together.

        Args:
            keep: Whether to keep the images in memory.

        Returns:
            The images, or else these files, and the sums of each image's values and of their
            squares, ``(2, N, C)``, in whole numbers, which are the same in any order.

        Raises:
            UserError: With the number of files that cannot be decoded, and the first of them.
        """
        images = torch.empty(*self.shape, dtype=torch.uint8) if keep else None
        sums = torch.zeros(2, *self.shape[:2], dtype=torch.int64)
        broken: list[str] = []
        with ThreadPoolExecutor(num_cores()) as pool:  # Pillow decodes outside of Python's lock
            for start in range(0, len(self), 1024):
                part = range(start, min(start + 1024, len(self)))
                for i, found in zip(part, pool.map(self._try, part), strict=True):
                    if isinstance(found, str):
                        broken.append(f"{self.paths[i]} ({found})")
                        continue
                    values = found.flatten(1).long()
                    sums[0, i], sums[1, i] = values.sum(1), values.square().sum(1)
                    if images is not None:
                        images[i] = found
        if broken:
            more = f" and {len(broken) - NAMED:,} more" if len(broken) > NAMED else ""
            raise UserError(
                f"{self.root}: {len(broken):,} of {len(self):,} images cannot be read: "
                f"{', '.join(broken[:NAMED])}{more}. Mend or remove them."
            )
        return (self if images is None else images), sums

    def _decode(self, index: int) -> Tensor:
        path = os.path.join(self.root, self.paths[index])
        return decode(path, self.shape[1], self.shape[2], self.framing)

    def _try(self, index: int) -> Tensor | str:
        try:
            return self._decode(index)
        except Exception as e:  # what a decoder raises depends on the format and on the damage
            return error_reason(e)


def readable() -> list[str]:
    """Name the formats that are read."""
    Image.init()
    return [kind for kind in Image.OPEN if kind not in NOT_DECODED]


@contextlib.contextmanager
def open_image(path: str, enough: int) -> Iterator[Image.Image]:
    """Open an image file, as a whole no larger than memory allows.

    Args:
        path: The file.
        enough: Pixels of the longer side that are enough, where a format can give fewer.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError("not a file")  # such as a pipe, which would be waited for
    with Image.open(path, formats=readable()) as image:
        image.draft(None, (enough, enough))  # a large JPEG is decoded to a part of its size
        with _one_large if image.width * image.height > LARGE else contextlib.nullcontext():
            yield image


def error_reason(e: Exception) -> str:
    """Say in a few words why an image cannot be read."""
    if isinstance(e, Image.UnidentifiedImageError):
        return "not an image"
    if isinstance(e, Image.DecompressionBombError):
        return f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels"
    said = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
    return " ".join(said.split())[:80] or type(e).__name__


def decode(path: str, channels: int, size: int, framing: Framing = "crop") -> Tensor:
    """Decode an image file, as bytes ``(channels, size, size)``.

    It is turned as its camera says (EXIF). What is transparent becomes white, more than 8 bits
    become 8 (see :func:`to_bytes`), color becomes gray by its luma (ITU-R 601), and gray becomes
    color with three equal channels. Of several frames the first is taken.

    Args:
        path: The file.
        channels: 1 for gray, 3 for color.
        size: Height and width to bring it to, in pixels.
        framing: ``"crop"`` scales the shorter side to the size and cuts the longer one off evenly,
            ``"pad"`` scales the longer side and fills up with black, ``"stretch"`` scales both.
    """
    with open_image(path, 2 * size) as file:
        return square_image(file, channels, size, framing)


def square_image(
    picture: Image.Image, channels: int, size: int, framing: Framing = "crop"
) -> Tensor:
    """Bring an image to size and to gray or color as :func:`decode` does a file."""
    image = picture
    image.load()  # which turns a TIFF
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
    """Bring gray of more than 8 bits (modes I and F) to 8.

    Of 16 bits the upper 8 are kept. With 32 bits a file does not say what white is: numbers from
    0 to 255 are taken for 8 bits, larger ones up to 65,535 for 16, and of floating-point numbers
    those from 0 to 1 for parts of white.

    Raises:
        ValueError: If there are numbers beyond.
    """
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 65535):  # nor not-a-number
        raise ValueError(f"gray from {low:g} to {high:g}, save it with 8 or 16 bits")
    result = np.empty(values.shape, dtype=np.uint8)
    for top in range(0, len(values), SLAB):  # of a large one, copies would take gigabytes
        part = values[top : top + SLAB].astype(np.float64)
        if image.mode == "F" and high <= 1:
            part *= 255
        elif image.mode.startswith("I;16") or high > 255:
            part //= 256
        result[top : top + SLAB] = part.round()
    return Image.fromarray(result)


def is_color(path: str) -> bool:
    """Tell from a file's header whether it has colors. A broken one has none."""
    try:
        with open_image(path, 1) as image:
            return image.mode not in GRAY and not image.mode.startswith("I;")
    except Exception:  # counted when all are decoded
        return False


def num_cores() -> int:
    """Count the cores that this process may use, up to 8."""
    usable = getattr(os, "sched_getaffinity", None)
    return min(8, len(usable(0)) if usable else os.cpu_count() or 1)
