"""Files that are whole at any moment: the one before until the new one is on the disk."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["atomic_write"]


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a file beside ``path`` to write to, and put it in its place once it is on the disk.

    If writing fails, what was there stays as it was, and nothing is left beside it.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")  # another process may write there too
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _sync(folder: Path) -> None:
    """Have the names in a folder on the disk as well, in the order in which they were put there."""
    with contextlib.suppress(OSError):  # Windows opens no folders
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
