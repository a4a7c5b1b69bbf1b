"""One's own images: found by a path, brought to size one by one, the broken ones left out."""

import glob
import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_info
from PIL import Image
from torch import Tensor

from lenet.data.images.files import NAMED, error_reason, num_cores, open_image, readable
from lenet.errors import UserError

__all__ = ["UserImages", "display_path", "find_images", "spreadsheet_safe"]


class UserImages:
    """One's own images, as bytes in memory, and why some are not among them.

    Args:
        path: A file, a folder, or a pattern of files.
        prepare: What brings an image to the bytes ``(C, H, W)`` that a network knows.
        enough: Pixels of the longer side that are enough for it, where a format can give fewer.

    Attributes:
        images: Those that could be prepared, ``(N, C, H, W)``, ``uint8``.
        paths: Their files, in order.
        left_out: The others, each with the reason.

    Raises:
        UserError: If there is none.
    """

    def __init__(self, path: str, prepare: Callable[[Image.Image], Tensor], enough: int):
        self._prepare, self._enough = prepare, enough
        found, others = find_images(path)
        if len(found) + others > 1:
            left = f" Other files, left out: {others:,}." if others else ""
            rank_zero_info(f"Images in {path}: {len(found):,}.{left}")
        # A large photograph takes hundreds of megabytes while it is decoded.
        with ThreadPoolExecutor(min(4, num_cores())) as pool:
            results = list(pool.map(self._try, found))
        pairs = list(zip(found, results, strict=True))
        self.paths = [file for file, result in pairs if isinstance(result, Tensor)]
        self.left_out = [(file, result) for file, result in pairs if isinstance(result, str)]
        images = [result for result in results if isinstance(result, Tensor)]
        if len(found) == 1 and not images:
            raise UserError(f"--data.predict_path {path}: cannot be predicted: {results[0]}.")
        if not images:
            named = "; ".join(
                f"{display_path(file)}: {reason}" for file, reason in self.left_out[:NAMED]
            )
            more = f"; and {len(found) - NAMED:,} more" if len(found) > NAMED else ""
            raise UserError(
                f"--data.predict_path {path}: none of the {len(found):,} images can be predicted. "
                f"{named}{more}."
            )
        self.images = torch.stack(images)

    def __len__(self) -> int:
        return len(self.paths)

    def _try(self, file: str) -> Tensor | str:
        try:
            with open_image(file, self._enough) as image:
                return self._prepare(image)
        except Exception as e:  # what a decoder raises depends on the format and on the damage
            return error_reason(e)


def find_images(path: str) -> tuple[list[str], int]:
    """Find the image files that a path means, in the order of their names.

    Args:
        path: A file; a folder, which is searched at any depth for files whose names end like those
            of images; or a pattern, where ``*`` is anything in a name and ``**`` any folders.

    Returns:
        The files, and how many others are in the folder. What begins with a dot is not counted.

    Raises:
        UserError: If there is none.
    """
    whole = os.path.expanduser(path)
    if not whole:
        raise UserError(
            '--data.predict_path "": give an image file, a folder of them or a pattern.'
        )
    if os.path.isfile(whole):
        return [whole], 0
    if not os.path.isdir(whole):
        found = _once(filter(os.path.isfile, glob.iglob(whole, recursive=True)))
        if not found:
            pattern = "no file fits this pattern" if glob.has_magic(whole) else "no such file"
            raise UserError(
                f"--data.predict_path {path}: {pattern}. Give an image file, a folder of them or a "
                "pattern in quotation marks, such as 'scans/*.png'."
            )
        return found, 0
    files = [
        os.path.join(place, name)
        for place, folders, names in os.walk(whole)
        if not _hide(folders)
        for name in names
        if name[0] != "." and os.path.isfile(os.path.join(place, name))
    ]
    endings = _endings()
    found = sorted(file for file in files if Path(file).suffix.lower() in endings)
    if not found:
        others = f", only {len(files):,} other files" if files else ""
        raise UserError(f"--data.predict_path {path}: no images in this folder{others}.")
    return found, len(files) - len(found)


def display_path(path: str) -> str:
    """Spell a path so that it can be printed and written, whatever bytes are in its name."""
    return os.fsencode(path).decode("utf-8", "replace")


def spreadsheet_safe(name: str, is_path: bool = False) -> str:
    """Spell a name for a table, so that no spreadsheet takes a stranger's for a formula.

    Only what calls a function or a program is changed: ``-1`` and ``+`` are good names of classes.
    """
    if not re.match(r"[=+\-@\t\r].*[(|!]", name, re.DOTALL):
        return display_path(name)
    return display_path(f"./{name}" if is_path else f"'{name}")


def _hide(folders: list[str]) -> None:
    """Keep a walk out of folders whose names begin with a dot."""
    folders[:] = [name for name in folders if name[0] != "."]


def _once(files: Iterable[str]) -> list[str]:
    """Sort files, each by its shortest path: a link to a folder above leads around in circles."""
    shortest: dict[str, str] = {}
    for file in sorted(files, key=lambda file: (len(file), file)):
        shortest.setdefault(os.path.realpath(file), file)
    return sorted(shortest.values())


def _endings() -> set[str]:
    kinds = readable()
    return {end for end, kind in Image.registered_extensions().items() if kind in kinds}
