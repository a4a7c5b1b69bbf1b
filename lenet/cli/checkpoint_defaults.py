"""Comparing a checkpoint with the data and the options of a command."""

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lenet.cli.known_options import arguments_of
from lenet.data.selection import folder_name, is_same
from lenet.errors import UserError
from lenet.runs.checkpoints import COUNTS

__all__ = ["LINKED", "check_options", "check_sizes", "check_trained", "other_data", "other_splits"]

# Options of the model that are set from the data module.
LINKED = ("in_channels", "num_classes", "image_size")


def check_trained(name: str, trained: int | None, path: Path, size: int) -> int:
    """Return a size of the data, unless a checkpoint's model was trained for a different one.

    Args:
        name: Name of the size.
        trained: Size in the checkpoint.
        path: The checkpoint.
        size: Size of the data.

    Raises:
        UserError: With both sizes.
    """
    if trained not in (None, size):
        raise UserError(
            f"--ckpt_path {path}: was trained for {trained} {COUNTS[name]}, but the data has "
            f"{size}. Remove the --data options that differ from the training, or train a new "
            "model."
        )
    return size


def check_options(group: str, spec: dict[str, Any], path: Path) -> None:
    """Refuse options that a class of lenet does not have in this version.

    Args:
        group: ``model`` or ``data``.
        spec: Class path and options, whose name is trusted.
        path: The checkpoint.

    Raises:
        UserError: With the first of them.
    """
    if not spec["class_path"].startswith("lenet."):
        return
    module, _, name = spec["class_path"].rpartition(".")
    known = arguments_of(getattr(importlib.import_module(module), name))
    for option in spec["init_args"]:
        if option not in known:
            raise UserError(
                f"--ckpt_path {path}: has the option {group}.{option}, which {name} does not have. "
                "It may be of another version of lenet."
            )


def check_sizes(given: Mapping[str, Any], data: Any) -> None:
    """Refuse sizes of a model that differ from those of its data module.

    Raises:
        UserError: With the option.
    """
    for name in LINKED:
        value = given.get(name)
        real = getattr(data, name)
        if value not in (None, real):
            raise UserError(
                f"--model.{name} {value}: does not fit {type(data).__name__}, which has {real}. "
                "Leave this option out: it is set from the data."
            )


def other_splits(checkpoint: dict[str, Any], data: Any, command: str) -> Iterator[str]:
    """Warn if the checkpoint may have been trained on the validation images."""
    saved = checkpoint.get("datamodule_hyper_parameters") or {}
    is_other = str(saved.get("_class_path")).rpartition(".")[2] != type(data).__name__
    if is_other or command not in ("fit", "run", "validate"):
        return
    for name, usual in (("split_seed", None), ("val_size", getattr(data, "usual_val_size", None))):
        there, here = (
            usual if options.get(name) is None else options[name]
            for options in (saved, data.hparams)
        )
        if name in saved and there != here:
            yield (
                f"Warning: --data.{name} {here}: the checkpoint was trained with {there}, so the "
                "validation images may have been trained on."
            )


def other_data(checkpoint: dict[str, Any], data: Any, command: str) -> str | None:
    """Return the folder for results on different data than that of the training, or None."""
    saved = checkpoint.get("datamodule_hyper_parameters")
    validates = command == "validate"
    if (
        command not in ("validate", "test", "predict")
        or not saved
        or is_same(data, saved, validates)
    ):
        return None
    return folder_name(data, validates)
