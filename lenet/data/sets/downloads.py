"""Downloading data sets with torchvision.

Files are downloaded to a temporary folder and then renamed, so that a killed process leaves no
incomplete file behind. A lock ensures that only one of several processes downloads. If all files
exist, nothing is written, since the folder may be read-only.
"""

import contextlib
import io
import os
import shutil
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from lightning.pytorch.utilities import rank_zero_info

from lenet.errors import UserError
from lenet.locking import release

__all__ = ["FAILURES", "fetch"]

# What torchvision raises for missing, incomplete or wrong files.
FAILURES = (OSError, RuntimeError, EOFError, ValueError, KeyError, IndexError, AssertionError)
LOCK = ".lenet-lock"
TEMPORARY = ".lenet-download"  # in the folder of the files


def fetch(
    download_to: Callable[[str], Any],
    name: str,
    root: Path,
    files: Sequence[Path],
    archives: str = "",
) -> None:
    """Download a data set with torchvision, unless its files exist.

    Args:
        download_to: Downloads the data set to a folder.
        name: Name of the data set.
        root: Folder of the data sets.
        files: Files of the data set, all in one folder. Existing files are kept.
        archives: Description of the files that a user can copy there. By default the names of
            ``files``.

    Raises:
        UserError: If the download fails, with the reason and alternatives.
    """
    folder = files[0].parent
    if all(file.is_file() for file in files):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)  # a system lock: released if the process is killed
        try:
            lock.acquire(timeout=0)
        except Timeout:
            rank_zero_info(f"Waiting for another process to download {name}")
            lock.acquire()
        try:
            if not all(file.is_file() for file in files):
                _download(download_to, root, folder)
        except BaseException:
            lock.release()  # keeps the lock file: the next waiting process downloads
            raise
        # Waiting processes find the files, so they no longer need the lock file.
        release(lock)
    except (*FAILURES, HTTPException) as e:
        reason = str(e).strip().splitlines()[0].rstrip(".:") if str(e).strip() else "no answer"
        raise UserError(
            f"{name} is not in {folder} and could not be downloaded ({reason}). Copy "
            f"{archives or ' and '.join(file.name for file in files)} to this folder, or set "
            "--data.root or PATH_DATASETS to the folder of the data sets. For digits that need no "
            "download, use --config configs/digits.yaml."
        ) from e


def _download(download_to: Callable[[str], Any], root: Path, folder: Path) -> None:
    """Download to a folder below ``folder``, on the same file system, and rename new files."""
    temporary = folder / TEMPORARY
    shutil.rmtree(temporary, ignore_errors=True)  # left by a killed process
    try:
        # torchvision does not download archives that exist and have the right checksum.
        for archive in {*folder.glob("*.gz"), *folder.glob("*.zip"), *root.glob("*.gz")}:
            link = temporary / archive.relative_to(root)
            link.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(archive, link)
            except OSError:  # owned by another user
                with contextlib.suppress(OSError):
                    link.symlink_to(archive)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints every mirror that fails
            download_to(str(temporary))
        for file in [path for path in temporary.rglob("*") if path.is_file()]:
            place = root / file.relative_to(temporary)
            if not place.exists():
                shutil.move(file, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
