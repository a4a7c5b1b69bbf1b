"""The images that ``predict`` is given: found by a path and prepared, the broken ones left out."""

import glob
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from lightning.pytorch.utilities import rank_zero_info
from PIL import Image
from torch import Tensor

from lenet.data.images.files import MAX_NAMED, decode_all, num_cores, open_image, readable_formats
from lenet.errors import UserError

__all__ = ["UserImages", "display_path", "find_images", "spreadsheet_safe"]


class UserImages:
    """Images of the user, as bytes in memory, and the files that could not be prepared.

    Args:
        path: A file, a folder, or a pattern of files.
        prepare: Brings an image to the bytes ``(C, H, W)`` that a network knows.
        min_size: Pixels of the longer side to decode at least, where a format can give fewer.

    Attributes:
        images: The images that could be prepared, ``(N, C, H, W)``, ``uint8``.
        paths: Their files, in order.
        left_out: The other files, each with the reason.

    Raises:
        UserError: If there are no images, or none can be prepared.
    """

    def __init__(self, path: str, prepare: Callable[[Image.Image], Tensor], min_size: int):
        def prepare_file(file: str) -> Tensor:
            with open_image(file, min_size) as image:
                return prepare(image)

        files, num_others = find_images(path)
        if len(files) + num_others > 1:
            others = f" Other files, left out: {num_others:,}." if num_others else ""
            rank_zero_info(f"Images in {path}: {len(files):,}.{others}")
        # A large photograph takes hundreds of megabytes while it is decoded.
        results = list(decode_all(prepare_file, files, min(4, num_cores())))
        pairs = list(zip(files, results, strict=True))
        self.paths = [file for file, result in pairs if isinstance(result, Tensor)]
        self.left_out = [(file, result) for file, result in pairs if isinstance(result, str)]
        images = [result for result in results if isinstance(result, Tensor)]
        if len(files) == 1 and not images:
            raise UserError(f"--data.predict_path {path}: cannot be predicted: {results[0]}.")
        if not images:
            reasons = "; ".join(
                f"{display_path(file)}: {reason}" for file, reason in self.left_out[:MAX_NAMED]
            )
            more = f"; and {len(files) - MAX_NAMED:,} more" if len(files) > MAX_NAMED else ""
            raise UserError(
                f"--data.predict_path {path}: none of the {len(files):,} images can be predicted. "
                f"{reasons}{more}."
            )
        self.images = torch.stack(images)

    def __len__(self) -> int:
        return len(self.paths)


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
    expanded = os.path.expanduser(path)
    if not expanded:
        raise UserError(
            '--data.predict_path "": give an image file, a folder of them or a pattern.'
        )
    if os.path.isfile(expanded):
        return [expanded], 0
    if not os.path.isdir(expanded):
        images = _without_duplicates(filter(os.path.isfile, glob.iglob(expanded, recursive=True)))
        if not images:
            is_pattern = glob.has_magic(expanded)
            reason = "no file fits this pattern" if is_pattern else "no such file"
            raise UserError(
                f"--data.predict_path {path}: {reason}. Give an image file, a folder of them or a "
                "pattern in quotation marks, such as 'scans/*.png'."
            )
        return images, 0
    files: list[str] = []
    for folder, subfolders, names in os.walk(expanded):
        subfolders[:] = [name for name in subfolders if name[0] != "."]
        paths = [os.path.join(folder, name) for name in names if name[0] != "."]
        files += filter(os.path.isfile, paths)
    formats = readable_formats()
    endings = {end for end, kind in Image.registered_extensions().items() if kind in formats}
    images = sorted(file for file in files if Path(file).suffix.lower() in endings)
    if not images:
        others = f", only {len(files):,} other files" if files else ""
        raise UserError(f"--data.predict_path {path}: no images in this folder{others}.")
    return images, len(files) - len(images)


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


def _without_duplicates(files: Iterable[str]) -> list[str]:
    """Sort files, each by its shortest path: a link to a folder above leads around in circles."""
    shortest: dict[str, str] = {}
    for file in sorted(files, key=lambda file: (len(file), file)):
        shortest.setdefault(os.path.realpath(file), file)
    return sorted(shortest.values())
