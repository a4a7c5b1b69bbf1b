"""Run folders: a new one for a training, and the one that ``best`` or ``last`` means.

A run is a folder below the root with ``config.yaml``, ``checkpoints/best.ckpt`` and
``checkpoints/last.ckpt``. The newest run is the one whose training was started last, which is
written in its ``started.txt``: a copy, an archive or git changes the times of files. Plain paths,
no PyTorch.
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
# Files of a run that nothing but a training writes.
_TRAINING = (CONFIG, "metrics.csv", "curves.png", "filters.png", "features.png")
_DAY = 24 * 60 * 60  # seconds: nothing takes so long to write


def create(root: str | Path, name: str) -> Path:
    """Make the folder of a new run, ``<root>/<name>-<number>``, and return its absolute path.

    The number is the first that is free. Making the folder is what takes it, so that two runs
    started at the same moment get two.

    Raises:
        UserError: If nothing can be written there.
    """
    root = Path(root).expanduser().absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
        return _make_numbered(root, name)
    except OSError as e:
        raise UserError(
            f"--trainer.default_root_dir {root}: no run can be kept there ({e.strerror}). Name a "
            "folder that can be written to."
        ) from e


def check_writable(folder: str | Path | None) -> None:
    """Refuse a run that cannot be written to, before anything is computed for it."""
    if folder is None:
        return
    existing = next(path for path in (Path(folder), *Path(folder).parents) if path.exists())
    if not os.access(existing, os.W_OK):
        raise UserError(
            f"{folder}: cannot be written to, and results are written there. Copy this run to "
            "where it can be, and name the copy with --ckpt_path."
        )


def discard_empty(folder: str | Path | None, step: int) -> None:
    """Remove the folder of a run that trained no step, if it holds only what a start writes."""
    if folder is not None and step == 0:
        # A process that was killed leaves its lock.
        written = {CONFIG, STARTED, "hparams.yaml", ".lock"}  # and what TensorBoard reads
        with contextlib.suppress(OSError):
            names = {name for name in os.listdir(folder) if not name.startswith("events.out.tf")}
            if names <= written:
                shutil.rmtree(folder)


def command_options(folder: str | Path, model: Any, data: Any) -> str:
    """Write the options of a later command: the run, and custom classes, which must be named."""
    custom = [
        f" --{option} {type(value).__module__}.{type(value).__name__}"
        for option, value in (("model", model), ("data", data))
        if value is not None and not type(value).__module__.startswith("lenet.")
    ]
    return f"--ckpt_path {shell_quote(short_path(folder))}{''.join(custom)}"


def shell_quote(text: str) -> str:
    """Quote an argument where it needs that, as this system's shell reads it."""
    return subprocess.list2cmdline([text]) if os.name == "nt" else shlex.quote(text)


@contextlib.contextmanager
def locked(folder: str | Path | None) -> Iterator[None]:
    """Keep other trainings out of a run while one writes there.

    What a killed one left half-written is removed. What an evaluation may be writing is not.

    Raises:
        UserError: If another one is under way.
    """
    if folder is None:
        yield
        return
    lock = FileLock(Path(folder) / ".lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{short_path(folder)}: another process trains there. Wait for its end, stop it, or "
            "start a new run, without --ckpt_path."
        ) from None
    except (NotImplementedError, OSError):  # a disk without locks
        pass
    try:
        for part in _half_written(Path(folder)):
            with contextlib.suppress(OSError):
                part.unlink()
        yield
    finally:
        release(lock)


def _half_written(folder: Path) -> Iterator[Path]:
    """Find what killed processes left half-written in a run that no other training writes to."""
    yield from folder.glob("checkpoints/.*.part")
    for part in folder.glob(".*.part"):
        with contextlib.suppress(OSError):
            is_training = part.name.startswith(tuple(f".{name}." for name in _TRAINING))
            # Of another process, which may be on another machine: its number tells nothing.
            if is_training or part.stat().st_mtime < time.time() - _DAY:
                yield part


def folder_of(checkpoint: Path) -> Path:
    """Name the run that a checkpoint belongs to: the folder above ``checkpoints``, or its own."""
    parent = checkpoint.absolute().parent
    return parent.parent if parent.name == "checkpoints" else parent


def resumes_in_place(checkpoint: Path) -> bool:
    """Tell whether training resumes in the checkpoint's own run: from its ``last.ckpt``."""
    return checkpoint.name == "last.ckpt" and (folder_of(checkpoint) / CONFIG).exists()


def short_path(path: str | Path) -> str:
    """Write a path as it is typed: relative where it is below the working folder."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # on another drive of Windows
        return str(path)
    return str(path) if relative.startswith("..") else relative


def _make_numbered(root: Path, name: str) -> Path:
    """Make the folder ``<root>/<name>-<number>`` with the first free number."""
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
    """Write the time into a run whose training starts now."""
    text = datetime.now(timezone.utc).isoformat(timespec="microseconds") + "\n"
    (Path(folder) / STARTED).write_text(text, encoding="utf-8")
