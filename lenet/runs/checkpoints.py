"""Reading checkpoints.

Weights to give away are safetensors, which hold no code. A ``.ckpt`` is of your own runs; it is
read with ``weights_only=True``. Both name classes, which ``trusted_names`` allows or refuses.
"""

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lenet.errors import UserError
from lenet.runs.renamed_options import rename_options
from lenet.runs.weights import read_weights

__all__ = [
    "COUNTS",
    "check_fits",
    "class_specs",
    "inspect",
    "load_weights",
    "read",
    "trained_sizes",
]

COUNTS = {"num_classes": "classes", "in_channels": "channels"}
_KEYS = {"model": "hyper_parameters", "data": "datamodule_hyper_parameters"}


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running anything in it. Its tensors stay on disk until used.

    Args:
        path: A Lightning checkpoint, or safetensors, which has weights and no training progress.

    Raises:
        UserError: If the file is damaged, has more than tensors and plain values, or does not
            describe a model of lenet.
    """
    checkpoint = inspect(path)
    if (
        not isinstance(checkpoint, dict)
        or not isinstance(checkpoint.get("pytorch-lightning_version"), str)
        or not isinstance(weights := checkpoint.get("state_dict"), dict)
        or not all(isinstance(value, torch.Tensor) for value in weights.values())
        or not isinstance(model := checkpoint.get(_KEYS["model"]), dict)
        or not isinstance(model.get("_class_path"), str)
    ):
        raise UserError(
            f"--ckpt_path {path}: not a checkpoint of lenet, since it does not say which model its "
            "weights are of."
        )
    for group, key in _KEYS.items():
        if isinstance(saved := checkpoint.get(key), dict):
            checkpoint[key] = rename_options(group, str(saved.get("_class_path")), saved)
    return checkpoint


def inspect(path: Path) -> Any:
    """Read a file of ``torch.save`` or of safetensors, whatever is in it.

    Raises:
        UserError: If it is damaged, has more than tensors and plain values, or its callbacks name
            files outside of their run.
    """
    if path.suffix == ".safetensors":
        return read_weights(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:  # by its checksums, which PyTorch does not look at
                raise zipfile.BadZipFile
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as e:
        raise UserError(
            f"--ckpt_path {path}: refused, because it has more in it than tensors and plain "
            "values, which could run code when it is loaded."
        ) from e
    except OSError:
        raise
    except Exception as e:  # zipfile and PyTorch have many ways to say so
        raise UserError(
            f"--ckpt_path {path}: not a whole checkpoint. It may be cut off, or something else. "
            "Take another: best, last, a run's folder or a file."
        ) from e
    if isinstance(content, dict):
        _check_paths(content.get("callbacks"), path)
    return content


def _check_paths(callbacks: Any, path: Path) -> None:
    """Refuse callbacks whose paths lead out of their folder.

    ModelCheckpoint deletes what it takes for older weights of its own.
    """
    for state in callbacks.values() if isinstance(callbacks, dict) else ():
        for name, value in state.items() if isinstance(state, dict) else ():
            if name.endswith(("_path", "dirpath")) or name == "best_k_models":
                for file in value if isinstance(value, dict) else [value]:
                    if "://" in str(file) or ".." in re.split(r"[/\\]", str(file)):
                        raise UserError(
                            f"--ckpt_path {path}: refused, because its callbacks name files "
                            "outside of their run."
                        )


def class_specs(
    checkpoint: dict[str, Any], classes: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """Give what a checkpoint says of its model and data: class paths and their arguments.

    Args:
        checkpoint: The checkpoint, read.
        classes: Classes that are chosen instead, such as ``{"model.optimizer": "SGD"}``. What the
            checkpoint says of another class is left out: jsonargparse would keep the values of
            arguments that happen to have the same name, AdamW's decay as SGD's.
    """
    found: dict[str, Any] = {}
    for name, key in _KEYS.items():
        saved = checkpoint.get(key)
        if isinstance(saved, dict) and isinstance(saved.get("_class_path"), str):
            own = ("_class_path", "_instantiator")
            init_args = {key: value for key, value in saved.items() if key not in own}
            found[name] = {"class_path": saved["_class_path"], "init_args": init_args}
    for option, chosen in (classes or {}).items():
        outer, _, inner = option.partition(".")
        place = found.get(outer, {}).get("init_args", {}) if inner else found
        spec = place.get(inner or outer)
        if isinstance(spec, dict):
            saved = str(spec.get("class_path"))
            if saved.rpartition(".")[2] != chosen.rpartition(".")[2]:
                del place[inner or outer]
    return found


def trained_sizes(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Give the numbers of classes and channels that a checkpoint's model was trained for."""
    return {name: checkpoint[_KEYS["model"]].get(name) for name in COUNTS}


def check_fits(checkpoint: dict[str, Any], model: nn.Module, path: Path) -> None:
    """Refuse weights that do not fit a model, by the first that does not.

    Raises:
        UserError: With its name and both shapes.
    """
    saved, wanted = checkpoint["state_dict"], model.state_dict()
    for name in [*wanted, *saved]:
        there, here = (
            tuple(weights[name].shape) if name in weights else "missing"
            for weights in (saved, wanted)
        )
        if there != here:
            raise UserError(
                f"--ckpt_path {path}: does not fit {type(model).__name__} as it is asked for. "
                f"{name} is {there} in the checkpoint and {here} in the model. Leave out the "
                "--model and --data options that differ from the training's."
            )


def load_weights(model: nn.Module, checkpoint: dict[str, Any], path: Path) -> None:
    """Load a checkpoint's weights, where no loop of Lightning's does.

    Raises:
        UserError: If they do not fit the model.
    """
    check_fits(checkpoint, model, path)
    try:
        model.load_state_dict(checkpoint["state_dict"])
    except Exception as e:  # what belongs to the weights may be anything as well
        raise UserError(f"--ckpt_path {path}: its weights cannot be loaded ({e}).") from e
