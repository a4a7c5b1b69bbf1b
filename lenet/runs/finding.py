"""Finding the checkpoint that ``--ckpt_path`` means."""

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from lenet.errors import UserError
from lenet.runs.bounded_yaml import read_text
from lenet.runs.folders import CONFIG, STARTED, folder_of

__all__ = ["explains_ckpt_path", "find_checkpoint"]

_ALIASES = ("best", "last")
# What --ckpt_path takes, for the docstring of every command.
_TAKES = {
    "{evaluated}": "``best`` or ``last`` of the newest run, a run's folder (its best), a file, or "
    "the address of a .safetensors file",
    "{resumed}": "``best`` or ``last`` of the newest run, a run's folder (its last), or a file. "
    "From a run's last checkpoint, that run continues; from any other, a new run is started. By "
    "default training starts afresh",
}
_Method = TypeVar("_Method", bound=Callable[..., Any])


def explains_ckpt_path(command: _Method) -> _Method:
    """Write into a command's docstring what ``--ckpt_path`` takes."""
    for place, text in _TAKES.items():
        command.__doc__ = (command.__doc__ or "").replace(place, text)
    return command


def find_checkpoint(ckpt_path: str, root: str | Path, in_folder: str = "best") -> Path:
    """Find the file that ``--ckpt_path`` means.

    Args:
        ckpt_path: ``best`` or ``last`` of the newest run below the root that has one, a run's
            folder, a file, or the address of a ``.safetensors`` file, which is fetched.
        root: Folder below which runs are looked for, at any depth.
        in_folder: Which checkpoint of a run's folder is meant, where it has both: ``best``, or
            ``last`` to resume a training.

    Raises:
        UserError: If there is none, or a training cannot resume from it.
    """
    root = Path(root).expanduser().absolute()
    if ckpt_path in _ALIASES:
        checkpoints = list(_checkpoints_below(root, f"{ckpt_path}.ckpt"))
        if checkpoints:
            return max(checkpoints, key=_time_of_start)
        raise UserError(
            f"--ckpt_path {ckpt_path}: no run below {root} has checkpoints/{ckpt_path}.ckpt. "
            "Train one with `lenet fit`, or name a run's folder, a file, or another root with "
            "--trainer.default_root_dir."
        )
    if in_folder == "last" and (ckpt_path.endswith(".safetensors") or "://" in ckpt_path):
        raise UserError(
            f"--ckpt_path {ckpt_path}: has weights and no training progress, so training cannot "
            "resume from it. Resume from a run: last, its folder, or its .ckpt file."
        )
    if "://" in ckpt_path:
        from lenet.runs.download import fetch

        return fetch(ckpt_path, root)
    path = Path(ckpt_path).expanduser()
    if path.is_file():
        return path.absolute()
    if path.is_dir():
        for name in sorted(_ALIASES, key=lambda alias: alias != in_folder):
            if (file := path / "checkpoints" / f"{name}.ckpt").is_file():
                return file.absolute()
        raise UserError(
            f"--ckpt_path {ckpt_path}: this folder has no checkpoints/best.ckpt or last.ckpt, so "
            "it is not a run. Name one that has, or a file."
        )
    raise UserError(
        f"--ckpt_path {ckpt_path}: no such file or folder. Give best, last, a run's folder or a "
        "checkpoint file."
    )


def _checkpoints_below(root: Path, name: str) -> Iterator[Path]:
    seen = set()
    for folder, subfolders, _ in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            subfolders.clear()  # a link that leads back
            continue
        seen.add(real)
        if "checkpoints" in subfolders:
            subfolders.clear()  # runs do not hold runs
            if (file := Path(folder) / "checkpoints" / name).is_file():
                yield file


def _time_of_start(checkpoint: Path) -> tuple[float, str]:
    """Give the time when a checkpoint's run was started, and its path to decide between equals."""
    folder = folder_of(checkpoint)
    try:
        text = read_text(folder / STARTED)
        return datetime.fromisoformat(text.strip()).timestamp(), str(checkpoint)
    except (OSError, OverflowError, ValueError):  # an older run, or not a run of lenet
        config = folder / CONFIG
        return (config if config.is_file() else checkpoint).stat().st_mtime, str(checkpoint)
