"""The images of ``--data.predict_path``: found, prepared, and skipped if they are broken."""

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
    """The user's images in memory, and the files that could not be prepared.

    Args:
        path: A file, a folder, or a pattern of files.
        prepare: Converts an image to ``uint8`` values ``(C, H, W)`` like those of the data set.
        min_size: Minimum size of the longer side, in pixels. A large JPEG may be decoded at a
            reduced size.

    Attributes:
        images: The prepared images ``(N, C, H, W)``, ``uint8``.
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
            others = f" Skipped {num_others:,} other files." if num_others else ""
            rank_zero_info(f"Found {len(files):,} images in {path}.{others}")
        # Decoding a large photograph takes hundreds of megabytes, so at most 4 threads do it.
        results = list(decode_all(prepare_file, files, min(4, num_cores())))
        pairs = list(zip(files, results, strict=True))
        self.paths = [file for file, result in pairs if isinstance(result, Tensor)]
        self.left_out = [(file, result) for file, result in pairs if isinstance(result, str)]
        images = [result for result in results if isinstance(result, Tensor)]
        if len(files) == 1 and not images:
            raise UserError(f"--data.predict_path {path}: this image cannot be read: {results[0]}.")
        if not images:
            reasons = "; ".join(
                f"{display_path(file)}: {reason}" for file, reason in self.left_out[:MAX_NAMED]
            )
            more = f"; and {len(files) - MAX_NAMED:,} more" if len(files) > MAX_NAMED else ""
            raise UserError(
                f"--data.predict_path {path}: none of the {len(files):,} images can be read. "
                f"{reasons}{more}."
            )
        self.images = torch.stack(images)

    def __len__(self) -> int:
        return len(self.paths)


def find_images(path: str) -> tuple[list[str], int]:
    """Find the image files for a path, sorted by name.

    Args:
        path: A file; a folder, which is searched recursively for files with the extension of an
            image; or a pattern, in which ``*`` matches within a name and ``**`` matches folders.

    Returns:
        The files, and the number of other files in the folder. Names that start with a dot are
        ignored.

    Raises:
        UserError: If no images are found.
    """
    expanded = os.path.expanduser(path)
    if not expanded:
        raise UserError(
            '--data.predict_path "": must be an image file, a folder of images or a pattern.'
        )
    if os.path.isfile(expanded):
        return [expanded], 0
    if not os.path.isdir(expanded):
        images = _without_duplicates(filter(os.path.isfile, glob.iglob(expanded, recursive=True)))
        if not images:
            is_pattern = glob.has_magic(expanded)
            reason = "no file matches this pattern" if is_pattern else "no such file"
            raise UserError(
                f"--data.predict_path {path}: {reason}. Give an image file, a folder of images or "
                "a pattern in quotation marks, such as 'scans/*.png'."
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
    """Return a path as valid text, even if its name contains invalid bytes."""
    return os.fsencode(path).decode("utf-8", "replace")


def spreadsheet_safe(name: str, is_path: bool = False) -> str:
    """Return a name for a table that no spreadsheet runs as a formula.

    Only names that call a function or a program are changed: ``-1`` and ``+`` are valid classes.
    """
    if not re.match(r"[=+\-@\t\r].*[(|!]", name, re.DOTALL):
        return display_path(name)
    return display_path(f"./{name}" if is_path else f"'{name}")


def _without_duplicates(files: Iterable[str]) -> list[str]:
    """Sort files, each with its shortest path, since links to parent folders repeat files."""
    shortest: dict[str, str] = {}
    for file in sorted(files, key=lambda file: (len(file), file)):
        shortest.setdefault(os.path.realpath(file), file)
    return sorted(shortest.values())
