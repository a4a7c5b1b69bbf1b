"""The reading of checkpoints, and ``load`` for Python.

Weights to give away are safetensors, which hold no code (``safety.weights``). A ``.ckpt`` is of
your own runs; it is read with ``weights_only=True``. Both name classes, which
``safety.importing`` allows or refuses.
"""

import functools
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lenet import runs
from lenet.data.selection import folder_name, is_same
from lenet.errors import UserError
from lenet.models import ImageClassifier
from lenet.parser import subclasses
from lenet.safety.importing import check_names
from lenet.safety.weights import read_weights

__all__ = [
    "LINKED",
    "agreement",
    "check_fits",
    "check_sizes",
    "inspect",
    "load",
    "load_weights",
    "other_data",
    "other_splits",
    "read",
    "sizes",
    "specs",
]

# What the data module tells the model, so that neither has to be told.
LINKED = ("in_channels", "num_classes", "image_size")
_COUNTS = {"num_classes": "classes", "in_channels": "channels"}
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


def specs(
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


def sizes(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Give the numbers of classes and channels that a checkpoint's model was trained for."""
    return {name: checkpoint[_KEYS["model"]].get(name) for name in _COUNTS}


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
            f"--ckpt_path {trained['path']}: was trained for {there} {_COUNTS[name]}, where the "
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
        value, real = given.get(name), getattr(data, name)
        if value not in (None, real):
            raise UserError(
                f"--model.{name} {value}: does not fit {type(data).__name__}, which has {real}. "
                "Leave it out, the data tells the model."
            )


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


def other_splits(checkpoint: dict[str, Any], data: Any, verb: str) -> Iterator[str]:
    """Warn where images are validated on that the checkpoint may have been trained on."""
    saved = checkpoint.get(_KEYS["data"]) or {}
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
    saved, validates = checkpoint.get(_KEYS["data"]), verb == "validate"
    if verb not in ("validate", "test", "predict") or not saved or is_same(data, saved, validates):
        return None
    return folder_name(data, validates)


def load(ckpt_path: str | Path = "best", root: str | Path = "runs") -> ImageClassifier:
    """Load a trained model, of whatever class, ready to predict.

    Args:
        ckpt_path: ``best`` or ``last`` of the newest run below ``root``, a run's folder, a file,
            or the address of a ``.safetensors`` file.
        root: Folder that the runs are in.

    Returns:
        The model on the CPU, in evaluation mode. It takes normalised images ``(N, C, H, W)`` and
        gives logits ``(N, num_classes)``.

    Raises:
        UserError: If there is no such checkpoint, or it is not safe to load. The class of a model
            of your own must have been imported before.
    """
    from lightning.pytorch.cli import instantiate_module

    path = runs.find_checkpoint(str(ckpt_path), root)
    checkpoint = read(path)
    saved = checkpoint[_KEYS["model"]]
    known = {f"{cls.__module__}.{cls.__name__}" for cls in subclasses(ImageClassifier)}
    check_names({"model": specs(checkpoint)["model"]}, path, named=known)
    options = {key: value for key, value in saved.items() if key != "_instantiator"}
    try:
        model = instantiate_module(ImageClassifier, options)
    except Exception as e:
        reason = str(e).strip().splitlines()
        raise UserError(
            f"{path}: its model cannot be made, {reason[-1] if reason else type(e).__name__}."
        ) from e
    load_weights(model, checkpoint, path)
    return model.eval()
