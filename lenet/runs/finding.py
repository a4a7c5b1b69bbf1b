"""Finding the checkpoint of ``--ckpt_path``."""

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
# The accepted values of --ckpt_path, for the docstring of every command.
_TAKES = {
    "{evaluated}": "``best`` or ``last`` of the newest run, a run's folder (meaning its best), a "
    "file, or the URL of a .safetensors file",
    "{resumed}": "``best`` or ``last`` of the newest run, a run's folder (meaning its last), or a "
    "file. The last checkpoint of a run continues that run, any other starts a new run. By default "
    "training starts from scratch",
}
_Method = TypeVar("_Method", bound=Callable[..., Any])


def explains_ckpt_path(command: _Method) -> _Method:
    """Insert the accepted values of ``--ckpt_path`` into a command's docstring."""
    for place, text in _TAKES.items():
        command.__doc__ = (command.__doc__ or "").replace(place, text)
    return command


def find_checkpoint(ckpt_path: str, root: str | Path, in_folder: str = "best") -> Path:
    """Find the checkpoint file for a value of ``--ckpt_path``.

    Args:
        ckpt_path: ``best`` or ``last`` of the newest run below the root that has one, a run's
            folder, a file, or the URL of a ``.safetensors`` file, which is downloaded.
        root: Folder in which runs are searched for, at any depth.
        in_folder: Which checkpoint to prefer in a run's folder: ``best``, or ``last`` to resume a
            training.

    Raises:
        UserError: If there is no such checkpoint, or training cannot resume from it.
    """
    root = Path(root).expanduser().absolute()
    if ckpt_path in _ALIASES:
        checkpoints = list(_checkpoints_below(root, f"{ckpt_path}.ckpt"))
        if checkpoints:
            return max(checkpoints, key=_time_of_start)
        raise UserError(
            f"--ckpt_path {ckpt_path}: no run below {root} has checkpoints/{ckpt_path}.ckpt. "
            "Train a model with lenet fit first, or give a run's folder, a file, or the folder of "
            "all runs with --trainer.default_root_dir."
        )
    if in_folder == "last" and (ckpt_path.endswith(".safetensors") or "://" in ckpt_path):
        raise UserError(
            f"--ckpt_path {ckpt_path}: has only weights, so training cannot resume from it. Use "
            "last, a run's folder or a .ckpt file."
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
            f"--ckpt_path {ckpt_path}: not a run: this folder has no checkpoints/best.ckpt or "
            "last.ckpt. Give the folder of a run, or a file."
        )
    raise UserError(
        f"--ckpt_path {ckpt_path}: no such file or folder. Give best, last, a run's folder or a "
        "checkpoint file."
    )


def _checkpoints_below(root: Path, name: str) -> Iterator[Path]:
    seen = set()
    for folder, subfolders, _ in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            subfolders.clear()  # a link to a parent folder
            continue
        seen.add(real)
        if "checkpoints" in subfolders:
            subfolders.clear()  # runs do not contain runs
            if (file := Path(folder) / "checkpoints" / name).is_file():
                yield file


def _time_of_start(checkpoint: Path) -> tuple[float, str]:
    """Return the time when a checkpoint's run was started, and its path to break ties."""
    folder = folder_of(checkpoint)
    try:
        text = read_text(folder / STARTED)
        return datetime.fromisoformat(text.strip()).timestamp(), str(checkpoint)
    except (OSError, OverflowError, ValueError):  # an older run, or not a run of lenet
        config = folder / CONFIG
        return (config if config.is_file() else checkpoint).stat().st_mtime, str(checkpoint)
