"""Image files of any size and kind, brought to one size and to gray or color.

What a file becomes depends on the file and the options alone, so that it is the same whether all
are decoded beforehand or each when it is asked for.
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
MAX_NAMED = 3  # broken files that a message names
# Formats that Pillow does not decode itself: stubs, and one that it starts Ghostscript for.
NOT_DECODED = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")
LARGE_IMAGE = (
    25_000_000  # pixels: more take up to gigabytes, so one such image is decoded at a time
)
ROWS_AT_ONCE = 1024  # rows that are worked on together
IMAGES_AT_ONCE = 1024  # images that are decoded before the next are begun
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
        self.root = root
        self.paths = paths
        self.framing: Framing = framing
        self.shape = (len(paths), channels, size, size)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Decode the images of these indices: ``(N, C, H, W)``, ``uint8``."""
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
                f"{', '.join(broken[:MAX_NAMED])}{more}. Mend or remove them."
            )
        return (self if images is None else images), sums

    def _decode(self, index: int) -> Tensor:
        path = os.path.join(self.root, self.paths[index])
        return decode(path, self.shape[1], self.shape[2], self.framing)


def decode_all(
    decode_one: Callable[[Any], Tensor], items: Sequence[Any], num_threads: int
) -> Iterator[Tensor | str]:
    """Decode images on several threads, and give each in its order, or the reason why it failed.

    Args:
        decode_one: Decodes one of the items.
        items: What stands for the images, such as their paths.
        num_threads: Number of threads. Pillow decodes outside of Python's lock.
    """

    def attempt(item: Any) -> Tensor | str:
        try:
            return decode_one(item)
        except Exception as e:  # depends on the format and on the damage
            return error_reason(e)

    with ThreadPoolExecutor(num_threads) as pool:
        for start in range(0, len(items), IMAGES_AT_ONCE):
            yield from pool.map(attempt, items[start : start + IMAGES_AT_ONCE])


def readable_formats() -> list[str]:
    """Name the formats that are read."""
    Image.init()
    return [kind for kind in Image.OPEN if kind not in NOT_DECODED]


@contextlib.contextmanager
def open_image(path: str, min_size: int) -> Iterator[Image.Image]:
    """Open an image file, as a whole no larger than memory allows.

    Args:
        path: The file.
        min_size: Pixels of the longer side to decode at least, where a format can give fewer.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError("not a file")  # such as a pipe, which would be waited for
    with Image.open(path, formats=readable_formats()) as image:
        image.draft(None, (min_size, min_size))  # a large JPEG is decoded to a part of its size
        with _one_large if image.width * image.height > LARGE_IMAGE else contextlib.nullcontext():
            yield image


def error_reason(e: Exception) -> str:
    """Say in a few words why an image cannot be read."""
    if isinstance(e, Image.UnidentifiedImageError):
        return "not an image"
    if isinstance(e, Image.DecompressionBombError):
        return f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels"
    reason = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
    return " ".join(reason.split())[:80] or type(e).__name__


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


def square_image(image: Image.Image, channels: int, size: int, framing: Framing = "crop") -> Tensor:
    """Bring an image to size and to gray or color as :func:`decode` does a file."""
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
    for top in range(0, len(values), ROWS_AT_ONCE):  # of a large one, copies would take gigabytes
        part = values[top : top + ROWS_AT_ONCE].astype(np.float64)
        if image.mode == "F" and high <= 1:
            part *= 255
        elif image.mode.startswith("I;16") or high > 255:
            part //= 256
        result[top : top + ROWS_AT_ONCE] = part.round()
    return Image.fromarray(result)


def is_color(path: str) -> bool:
    """Tell from a file's header whether it has colors. A broken one has none."""
    try:
        with open_image(path, 1) as image:
            return image.mode not in GRAY_MODES and not image.mode.startswith("I;")
    except Exception:  # counted when all are decoded
        return False


def num_cores() -> int:
    """Count the cores that this process may use, up to 8."""
    usable = getattr(os, "sched_getaffinity", None)
    return min(8, len(usable(0)) if usable else os.cpu_count() or 1)
