"""Letting go of a lock between processes, on every system."""

import contextlib
from pathlib import Path

from filelock import BaseFileLock

__all__ = ["release"]


def release(lock: BaseFileLock) -> None:
    """Let go of a lock, if it is held, and remove its file.

    The file goes while the lock is held, so that it cannot be that of the next process. Windows
    refuses to remove an open file: there ``filelock`` does it itself, when it has closed it.
    """
    if lock.is_locked:
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink()
    lock.release()
