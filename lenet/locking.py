"""Releasing a lock between processes, on every system."""

import contextlib
from pathlib import Path

from filelock import BaseFileLock

__all__ = ["release"]


def release(lock: BaseFileLock) -> None:
    """Release a lock if it is held, and remove its file.

    The file is removed while the lock is held, since it could then belong to the next process.
    Windows cannot remove an open file; there ``filelock`` removes it after closing it.
    """
    if lock.is_locked:
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink()
    lock.release()
