"""Which images results were computed on, and whether they are those of the training's data set."""

import hashlib
import inspect
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lenet.data.base import ImageDataModule

__all__ = ["describe", "folder_name", "is_same"]

SPLIT = ("split_seed", "val_size")  # these options select the validation images


def describe(data: ImageDataModule, validates: bool = False) -> str:
    """Describe a data module by its class and the options that select images.

    Args:
        data: The data module.
        validates: Whether to describe its validation images or its test images.

    Returns:
        A description such as ``MNIST`` or ``EMNIST(split='letters')``, without defaults.
    """
    options = ", ".join(f"{name}={value!r}" for name, value in _chosen(data, validates).items())
    return type(data).__name__ + (f"({options})" if options else "")


def folder_name(data: ImageDataModule, validates: bool = False) -> str:
    """Return the name of the folder for results on these images, unique to them."""
    cls = type(data)
    chosen = _chosen(data, validates)
    words = [
        Path(value).name if isinstance(value, str) else f"{name}-{value}"
        for name, value in chosen.items()
    ]
    name = "-".join([cls.__name__, *words])
    plain = re.sub(r"[^\w.-]+", "-", name)[:60]
    if plain == name and "root" not in chosen and cls.__module__.startswith("lenet."):
        return name
    exact = f"{cls.__module__}.{describe(data, validates)}"
    return f"{plain}-{hashlib.sha256(exact.encode(errors='replace')).hexdigest()[:8]}"


def is_same(data: ImageDataModule, saved: Mapping[str, Any], validates: bool = False) -> bool:
    """Return whether a checkpoint was trained on the same data set.

    Args:
        data: The data module.
        saved: The options of the training's data module, and its ``_class_path``.
        validates: Whether to compare the validation images or the test images.
    """
    cls = type(data)
    path = str(saved.get("_class_path")).split(".")
    if (path[0], path[-1]) != (cls.__module__.split(".")[0], cls.__name__):  # lenet.MNIST matches
        return False
    here, there = (_selection(data, options, validates) for options in (data.hparams, saved))
    return all(here.get(name) == value for name, value in there.items())


def _selection(
    data: ImageDataModule, options: Mapping[str, Any], validates: bool
) -> dict[str, Any]:
    """Return the options that select images, in a form that can be compared."""
    names = data.selecting
    if names is None:
        shared = inspect.signature(ImageDataModule).parameters
        names = tuple(name for name in data.hparams if name not in shared and name[0] != "_")
        if type(data).fetch is ImageDataModule.fetch:
            names = ("root", *names)
    selection = {}
    for name in dict.fromkeys((*names, *(SPLIT if validates else ()))):
        if name == "root":
            root = options.get(name) or os.environ.get("PATH_DATASETS") or "data"
            selection[name] = os.path.abspath(os.path.expanduser(str(root)))
        elif name in options:
            usual = getattr(data, "usual_val_size", None) if name == "val_size" else None
            selection[name] = usual if options[name] is None else options[name]
    return selection


def _chosen(data: ImageDataModule, validates: bool) -> dict[str, Any]:
    """Return the options that select images and differ from the defaults."""
    defaults = {"split_seed": 0, "val_size": getattr(data, "usual_val_size", None)}
    for name, parameter in inspect.signature(type(data)).parameters.items():
        defaults.setdefault(name, parameter.default)
    selection = _selection(data, data.hparams, validates)
    return {name: value for name, value in selection.items() if value != defaults.get(name)}
