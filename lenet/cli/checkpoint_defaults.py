"""What a checkpoint and the data say of the options of a command, and where they disagree."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lenet.data.selection import folder_name, is_same
from lenet.errors import UserError
from lenet.runs.checkpoints import COUNTS

__all__ = ["LINKED", "agreement", "check_sizes", "other_data", "other_splits"]

# What the data module tells the model, so that neither has to be told.
LINKED = ("in_channels", "num_classes", "image_size")


def agreement(name: str, trained: dict[str, Any]) -> Callable[[int], int]:
    """Make what gives a size of the data's to the model, if it is the checkpoint's as well.

    Args:
        name: The size.
        trained: The checkpoint's ``sizes`` and its ``path``, as soon as they are known.
    """
    agreed = functools.partial(_agreed, name, trained)  # unlike a closure, it can be pickled
    agreed.__name__ = "agreed"  # type: ignore[attr-defined]  # for the help
    return agreed


def _agreed(name: str, trained: dict[str, Any], here: int) -> int:
    there = trained.get(name)
    if there not in (None, here):
        raise UserError(
            f"--ckpt_path {trained['path']}: was trained for {there} {COUNTS[name]}, where the "
            f"data has {here}. Leave out the --data options that differ from the training's, or "
            "train anew."
        )
    return here


def check_sizes(given: Mapping[str, Any], data: Any) -> None:
    """Refuse sizes given for a model that are not those of its data module.

    Raises:
        UserError: With the option.
    """
    for name in LINKED:
        value = given.get(name)
        real = getattr(data, name)
        if value not in (None, real):
            raise UserError(
                f"--model.{name} {value}: does not fit {type(data).__name__}, which has {real}. "
                "Leave it out, the data tells the model."
            )


def other_splits(checkpoint: dict[str, Any], data: Any, verb: str) -> Iterator[str]:
    """Warn where images are validated on that the checkpoint may have been trained on."""
    saved = checkpoint.get("datamodule_hyper_parameters") or {}
    is_other = str(saved.get("_class_path")).rpartition(".")[2] != type(data).__name__
    if is_other or verb not in ("fit", "run", "validate"):
        return
    for name, usual in (("split_seed", None), ("val_size", getattr(data, "usual_val_size", None))):
        there, here = (
            usual if options.get(name) is None else options[name]
            for options in (saved, data.hparams)
        )
        if name in saved and there != here:
            yield (
                f"Warning: --data.{name} {here}, where the checkpoint was trained with {there}: "
                "what are now validation images may have been trained on."
            )


def other_data(checkpoint: dict[str, Any], data: Any, verb: str) -> str | None:
    """Name the folder for results that are not of the data that a checkpoint was trained on."""
    saved = checkpoint.get("datamodule_hyper_parameters")
    validates = verb == "validate"
    if verb not in ("validate", "test", "predict") or not saved or is_same(data, saved, validates):
        return None
    return folder_name(data, validates)
