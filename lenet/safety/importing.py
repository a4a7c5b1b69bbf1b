"""Which names out of a file may be imported.

A checkpoint and a run's config name classes, of a model and its optimizer, and to use a name is to
import a module: only classes below ``lenet``, ``torch.optim`` and ``torch.nn`` are used, and those
that the command itself names.
"""

import importlib
import importlib.util
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lenet.errors import UserError
from lenet.glance import strings

__all__ = ["ALLOWED", "ALLOWED_IN_RUNS", "check_names"]

ALLOWED = ("lenet.", "torch.optim.", "torch.nn.")
ALLOWED_IN_RUNS = (*ALLOWED, "lightning.pytorch.", "lightning.fabric.")  # callbacks, loggers
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_KINDS = (Optimizer, LRScheduler, nn.Module, LightningDataModule)
_CLASS_OPTIONS = {"model", "data", "optimizer", "scheduler", "callbacks", "logger", "plugins"}


def check_names(
    values: Any, path: Path, named: Collection[str] = (), allowed: tuple[str, ...] = ALLOWED
) -> None:
    """Refuse values out of a file that would make the program import a stranger's module.

    Args:
        values: What the file says, nested.
        path: The file, for the message.
        named: Class paths that the user named, and so trusts.
        allowed: Beginnings of class paths that need no naming.

    Raises:
        UserError: If there is a class path that is neither ours, nor PyTorch's, nor named.
    """
    for option, value in strings(values):
        if option in ("data.class_names", "data.root"):
            continue  # words, whatever they are: they are never used to find anything
        if value in named or (_IMPORT_PATH.fullmatch(value) and _is_ours(value, allowed)):
            continue
        # A string can stand for a class, or for a config file that names one, where one is wanted.
        wanted = option.rpartition(".")[2] in _CLASS_OPTIONS
        if (_IMPORT_PATH.fullmatch(value) and (wanted or _is_module(value.partition(".")[0]))) or (
            wanted and os.path.isfile(value)
        ):
            raise UserError(
                f"{path} names {value!r}, which is not part of lenet. To use it is to run it: if "
                f"you trust it, say so by naming it yourself: --{option} {value}."
            )


def _is_ours(path: str, allowed: tuple[str, ...]) -> bool:
    """Tell whether an import path is of a class below the allowed modules, and defined there.

    Not that of a function: ``torch.nn.parallel.distributed.os.system`` begins well too, and
    jsonargparse would take it for what makes an optimizer.
    """
    module, _, name = path.rpartition(".")
    if not path.startswith(allowed):
        return False
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return False
    if not f"{getattr(found, '__module__', '')}.".startswith(allowed):
        return False
    if isinstance(found, type):
        return module.startswith("lightning.") or issubclass(found, _KINDS)
    return module in ("torch.nn.functional", "torch.nn.init")


def _is_module(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
        return spec is not None and spec.origin is not None
    except ValueError:
        return True
