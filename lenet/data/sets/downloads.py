"""Downloads, by torchvision's own code, and what to say when there are none.

They are made in a temporary folder and renamed into place, so that a process that is killed leaves
nothing that looks whole, and under a lock, so that of several processes one downloads. Where the
files are there nothing is written: data may be read-only.
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

# What torchvision raises where a file is not there, not whole or not what it should be.
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
    """Let torchvision download a data set, unless its files are there.

    Args:
        download_to: Downloads the data set to a folder.
        name: Name of the data set.
        root: Folder of the data sets.
        files: Files of the data set, all in one folder. Existing files are kept as they are.
        archives: Names of the files that a user can put there. By default those of ``files``.

    Raises:
        UserError: If that fails, with the reason and the ways out.
    """
    folder = files[0].parent
    if all(file.is_file() for file in files):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)  # the system's: a process that is killed lets go of it
        try:
            lock.acquire(timeout=0)
        except Timeout:
            rank_zero_info(f"Waiting for another process that downloads {name}")
            lock.acquire()
        try:
            if not all(file.is_file() for file in files):
                _download(download_to, root, folder)
        except BaseException:
            lock.release()  # its file stays: whoever waits for it downloads next
            raise
        # Whoever waits for it finds the files, and so need not care that it is gone.
        release(lock)
    except (*FAILURES, HTTPException) as e:
        reason = str(e).strip().splitlines()[0].rstrip(".:") if str(e).strip() else "no answer"
        raise UserError(
            f"{name} is not in {folder} and could not be downloaded ({reason}). Put "
            f"{archives or ' and '.join(file.name for file in files)} there, or name the folder of "
            "the data sets with --data.root or PATH_DATASETS, or train on digits that need no "
            "download: --config configs/digits.yaml."
        ) from e


def _download(download_to: Callable[[str], Any], root: Path, folder: Path) -> None:
    """Download below ``folder``, which is the same file system, and rename what is not there."""
    temporary = folder / TEMPORARY
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
    try:
        # torchvision takes an archive that is there and has the right sum.
        for archive in {*folder.glob("*.gz"), *folder.glob("*.zip"), *root.glob("*.gz")}:
            link = temporary / archive.relative_to(root)
            link.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(archive, link)
            except OSError:  # of another user
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
