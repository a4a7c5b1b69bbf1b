"""Run folders: creating, locking and describing them.

A run is a folder below the root with ``config.yaml``, ``checkpoints/best.ckpt`` and
``checkpoints/last.ckpt``. The newest run is the one whose training was started last. The file
``started.txt`` records that time, since copies, archives and git change the times of files.
"""

import contextlib
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lenet.errors import UserError
from lenet.locking import release

__all__ = [
    "CONFIG",
    "STARTED",
    "check_writable",
    "command_options",
    "create",
    "discard_empty",
    "folder_of",
    "locked",
    "mark_started",
    "resumes_in_place",
    "shell_quote",
    "short_path",
]

CONFIG = "config.yaml"
STARTED = "started.txt"
# Files of a run that only a training writes.
_TRAINING = (CONFIG, "metrics.csv", "curves.png", "filters.png", "features.png")
_DAY = 24 * 60 * 60  # seconds: no file takes this long to write


def create(root: str | Path, name: str) -> Path:
    """Create the folder of a new run, ``<root>/<name>-<number>``, and return its absolute path.

    The number is the first free one. Creating the folder reserves it, so runs that start at the
    same time get different numbers.

    Raises:
        UserError: If the folder cannot be created.
    """
    root = Path(root).expanduser().absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
        return _make_numbered(root, name)
    except OSError as e:
        raise UserError(
            f"--trainer.default_root_dir {root}: cannot create a run there ({e.strerror}). Give a "
            "writable folder."
        ) from e


def check_writable(folder: str | Path | None) -> None:
    """Refuse a run that is not writable, before anything is computed."""
    if folder is None:
        return
    existing = next(path for path in (Path(folder), *Path(folder).parents) if path.exists())
    if not os.access(existing, os.W_OK):
        raise UserError(
            f"{folder}: not writable, so results cannot be saved. Copy this run to a writable "
            "folder, and give the copy with --ckpt_path."
        )


def discard_empty(folder: str | Path | None, step: int) -> None:
    """Remove the folder of a run that trained no step, if it has only initial files."""
    if folder is not None and step == 0:
        # hparams.yaml is written for TensorBoard. A killed process leaves its lock file.
        written = {CONFIG, STARTED, "hparams.yaml", ".lock"}
        with contextlib.suppress(OSError):
            names = {name for name in os.listdir(folder) if not name.startswith("events.out.tf")}
            if names <= written:
                shutil.rmtree(folder)


def command_options(folder: str | Path, model: Any, data: Any) -> str:
    """Return the options for a later command: the run, and the names of custom classes."""
    custom = [
        f" --{option} {type(value).__module__}.{type(value).__name__}"
        for option, value in (("model", model), ("data", data))
        if value is not None and not type(value).__module__.startswith("lenet.")
    ]
    return f"--ckpt_path {shell_quote(short_path(folder))}{''.join(custom)}"


def shell_quote(text: str) -> str:
    """Quote an argument for this system's shell if needed."""
    return subprocess.list2cmdline([text]) if os.name == "nt" else shlex.quote(text)


@contextlib.contextmanager
def locked(folder: str | Path | None) -> Iterator[None]:
    """Lock a run for one training.

    Incomplete files of killed trainings are removed, but not those of evaluations, which may still
    be running.

    Raises:
        UserError: If a different training is using the run.
    """
    if folder is None:
        yield
        return
    lock = FileLock(Path(folder) / ".lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{short_path(folder)}: another process is training this run. Stop it or wait for it, "
            "or leave out --ckpt_path to start a new run."
        ) from None
    except (NotImplementedError, OSError):  # a file system without locks
        pass
    try:
        for part in _half_written(Path(folder)):
            with contextlib.suppress(OSError):
                part.unlink()
        yield
    finally:
        release(lock)


def _half_written(folder: Path) -> Iterator[Path]:
    """Find the incomplete files of killed processes in a locked run."""
    yield from folder.glob("checkpoints/.*.part")
    for part in folder.glob(".*.part"):
        with contextlib.suppress(OSError):
            is_training = part.name.startswith(tuple(f".{name}." for name in _TRAINING))
            # The process may be on a different machine, so its ID does not help.
            if is_training or part.stat().st_mtime < time.time() - _DAY:
                yield part


def folder_of(checkpoint: Path) -> Path:
    """Return the run of a checkpoint: the parent of ``checkpoints``, or the file's folder."""
    parent = checkpoint.absolute().parent
    return parent.parent if parent.name == "checkpoints" else parent


def resumes_in_place(checkpoint: Path) -> bool:
    """Return whether training continues the checkpoint's run, as it does from ``last.ckpt``."""
    return checkpoint.name == "last.ckpt" and (folder_of(checkpoint) / CONFIG).exists()


def short_path(path: str | Path) -> str:
    """Return a path relative to the working folder if it is below it."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # on another drive of Windows
        return str(path)
    return str(path) if relative.startswith("..") else relative


def _make_numbered(root: Path, name: str) -> Path:
    """Create the folder ``<root>/<name>-<number>`` with the first free number."""
    number = 1
    while True:
        folder = root / f"{name}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def mark_started(folder: str | Path) -> None:
    """Record in a run that its training starts now."""
    text = datetime.now(timezone.utc).isoformat(timespec="microseconds") + "\n"
    (Path(folder) / STARTED).write_text(text, encoding="utf-8")
