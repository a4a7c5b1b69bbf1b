"""Reading checkpoints.

To share weights, use safetensors files, which cannot contain code. ``.ckpt`` files are for your
runs and are loaded with ``weights_only=True``. Both name classes, which ``trusted_names`` checks.
"""

import pickle
import re
import struct
import zipfile
import zlib
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
    "load_weights",
    "read",
    "read_safely",
    "trained_sizes",
]

COUNTS = {"num_classes": "classes", "in_channels": "channels"}
_KEYS = {"model": "hyper_parameters", "data": "datamodule_hyper_parameters"}
# What zipfile and PyTorch raise for damaged files, found by changing a few bytes in 3,000 files.
_DAMAGED = (
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running code from it. Tensors stay on disk until used.

    Args:
        path: A Lightning checkpoint, or a safetensors file, which has no training progress.

    Raises:
        UserError: If the file is damaged, contains more than tensors and plain values, or does not
            name its model.
    """
    checkpoint = read_safely(path)
    if (
        not isinstance(checkpoint, dict)
        or not isinstance(checkpoint.get("pytorch-lightning_version"), str)
        or not isinstance(weights := checkpoint.get("state_dict"), dict)
        or not all(isinstance(value, torch.Tensor) for value in weights.values())
        or not isinstance(model := checkpoint.get(_KEYS["model"]), dict)
        or not isinstance(model.get("_class_path"), str)
    ):
        raise UserError(
            f"--ckpt_path {path}: not a checkpoint of lenet: it does not name its model. Use one "
            "that lenet fit saved."
        )
    for group, key in _KEYS.items():
        if isinstance(saved := checkpoint.get(key), dict):
            wrong = [name for name in saved if not str(name).isidentifier()]
            if wrong:
                raise UserError(
                    f"--ckpt_path {path}: damaged: {wrong[0]!r} cannot be an option of the {group}."
                )
            checkpoint[key] = rename_options(group, str(saved.get("_class_path")), saved)
    return checkpoint


def read_safely(path: Path) -> Any:
    """Read any ``torch.save`` or safetensors file without running code from it.

    Raises:
        UserError: If it is damaged, contains more than tensors and plain values, or its callbacks
            name files outside of their run.
    """
    if path.suffix == ".safetensors":
        return read_weights(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:  # verifies checksums, which PyTorch does not
                raise zipfile.BadZipFile
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as e:
        raise UserError(
            f"--ckpt_path {path}: refused, because it contains more than tensors and plain values "
            "and could run code when it is loaded."
        ) from e
    except _DAMAGED as e:
        raise UserError(
            f"--ckpt_path {path}: damaged, incomplete or not a checkpoint. Use another one: best, "
            "last, a run's folder or a file."
        ) from e
    if isinstance(content, dict):
        _check_callback_paths(content.get("callbacks"), path)
    return content


def _check_callback_paths(callbacks: Any, path: Path) -> None:
    """Refuse callbacks whose paths lead out of their folder.

    ModelCheckpoint deletes the files at these paths when it saves newer weights.
    """
    for state in callbacks.values() if isinstance(callbacks, dict) else ():
        for name, value in state.items() if isinstance(state, dict) else ():
            if not str(name).endswith(("_path", "dirpath")) and name != "best_k_models":
                continue
            for file in value if isinstance(value, dict) else [value]:
                if "://" in str(file) or ".." in re.split(r"[/\\]", str(file)):
                    raise UserError(
                        f"--ckpt_path {path}: refused, because its callbacks name files outside "
                        "of their run."
                    )


def class_specs(
    checkpoint: dict[str, Any], classes: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """Return the class paths and arguments of a checkpoint's model and data.

    Args:
        checkpoint: The loaded checkpoint.
        classes: Classes that the user chose instead, such as ``{"model.optimizer": "SGD"}``. The
            checkpoint's arguments for a different class are dropped, since jsonargparse would keep
            those with the same name, such as AdamW's weight_decay for SGD.
    """
    specs: dict[str, Any] = {}
    for group, key in _KEYS.items():
        saved = checkpoint.get(key)
        if isinstance(saved, dict) and isinstance(saved.get("_class_path"), str):
            init_args = dict(saved)
            class_path = init_args.pop("_class_path")
            init_args.pop("_instantiator", None)
            specs[group] = {"class_path": class_path, "init_args": init_args}
    for option, chosen in (classes or {}).items():
        group, _, argument = option.partition(".")
        options = specs.get(group, {}).get("init_args", {}) if argument else specs
        spec = options.get(argument or group)
        if isinstance(spec, dict):
            saved_class = str(spec.get("class_path")).rpartition(".")[2]
            if saved_class != chosen.rpartition(".")[2]:
                del options[argument or group]
    return specs


def trained_sizes(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of classes and channels of a checkpoint's model."""
    return {name: checkpoint[_KEYS["model"]].get(name) for name in COUNTS}


def check_fits(checkpoint: dict[str, Any], model: nn.Module, path: Path) -> None:
    """Refuse weights that do not fit a model.

    Raises:
        UserError: With the name and both shapes of the first weight that does not fit.
    """
    saved = checkpoint["state_dict"]
    expected = model.state_dict()
    for name in [*expected, *saved]:
        saved_shape = tuple(saved[name].shape) if name in saved else "missing"
        model_shape = tuple(expected[name].shape) if name in expected else "missing"
        if saved_shape != model_shape:
            raise UserError(
                f"--ckpt_path {path}: does not fit {type(model).__name__} with these options: "
                f"{name} is {saved_shape} in the checkpoint and {model_shape} in the model. Remove "
                "the --model and --data options that differ from the training."
            )


def load_weights(model: nn.Module, checkpoint: dict[str, Any], path: Path) -> None:
    """Load a checkpoint's weights for commands that do not use Lightning's loops.

    Raises:
        UserError: If they do not fit the model.
    """
    check_fits(checkpoint, model, path)
    try:
        model.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as e:  # such as sparse tensors of the right shape
        raise UserError(f"--ckpt_path {path}: its weights cannot be loaded ({e}).") from e
