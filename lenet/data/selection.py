"""Which images results are of: named in the results, and told from those of a run."""

import hashlib
import inspect
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lenet.data.base import ImageDataModule

__all__ = ["describe", "folder_name", "is_same"]

SPLIT = ("split_seed", "val_size")  # which training images are for validation


def describe(data: ImageDataModule, validates: bool = False) -> str:
    """Write the class of a data module and the options that select images.

    Args:
        data: The data module.
        validates: Whether its validation images are meant, or else its test images.

    Returns:
        Such as ``MNIST`` or ``EMNIST(split='letters')``. Defaults are left out.
    """
    options = ", ".join(f"{name}={value!r}" for name, value in _chosen(data, validates).items())
    return type(data).__name__ + (f"({options})" if options else "")


def folder_name(data: ImageDataModule, validates: bool = False) -> str:
    """Name the folder for results on these images, another one for other images."""
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
    """Tell whether a checkpoint was trained on the data set that these images are of.

    Args:
        data: The data module.
        saved: The options of the training's data module, and its ``_class_path``.
        validates: Whether the validation images are meant, or else the test images.
    """
    cls = type(data)
    path = str(saved.get("_class_path")).split(".")
    if (path[0], path[-1]) != (cls.__module__.split(".")[0], cls.__name__):  # lenet.MNIST as well
        return False
    here, there = (_selection(data, options, validates) for options in (data.hparams, saved))
    return all(here.get(name) == value for name, value in there.items())


def _selection(
    data: ImageDataModule, options: Mapping[str, Any], validates: bool
) -> dict[str, Any]:
    """Give the options that select images, out of all options, so that they can be compared."""
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
    """Give the options that select images, where they are not the defaults."""
    defaults = {"split_seed": 0, "val_size": getattr(data, "usual_val_size", None)}
    for name, parameter in inspect.signature(type(data)).parameters.items():
        defaults.setdefault(name, parameter.default)
    selection = _selection(data, data.hparams, validates)
    return {name: value for name, value in selection.items() if value != defaults.get(name)}
