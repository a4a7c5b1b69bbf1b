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

from jsonargparse.typing import path_type
from lightning.pytorch import LightningDataModule
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from yaml import YAMLError

from lenet.errors import UserError
from lenet.glance import strings
from lenet.safety import config

__all__ = ["ALLOWED", "ALLOWED_IN_RUNS", "check_names"]

ALLOWED = ("lenet.", "torch.optim.", "torch.nn.")
ALLOWED_IN_RUNS = (*ALLOWED, "lightning.pytorch.", "lightning.fabric.")  # callbacks, loggers
# Words, whatever they are: they are never used to find a class.
_WORDS = ("data.class_names", "data.predict_path", "data.root", "trainer.default_root_dir")
_Readable: Any = path_type("fr")
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
    for option, text in strings(values):
        if option in _WORDS:
            continue
        *forms, value = _as_read(option, text, path)
        words = value.split(".")
        is_name = all(word.isidentifier() for word in words)  # in any script, as Python has it
        is_path = is_name and len(words) > 1
        # It can stand for a class where one is wanted, and anywhere for a file that names one.
        is_file = any(_is_file(form, path) for form in {*forms, value} - {*named})
        if not is_file and (value in named or (is_path and _is_ours(value, allowed))):
            continue
        wanted = option.rpartition(".")[2].rstrip("+") in _CLASS_OPTIONS
        if (is_path and (wanted or _is_module(words[0]))) or (wanted and not is_name) or is_file:
            raise UserError(
                f"{path} names {value!r}, which is not part of lenet. To use it is to run it: if "
                f"you trust it, say so by naming it yourself: --{option} {value}."
            )


def _as_read(option: str, text: str, path: Path) -> list[str]:
    """Give a text and what jsonargparse will make of it as YAML, which must be a text alone.

    Text that stands for a mapping can name a class, which would be imported and called.
    """
    forms = [text]
    for _ in range(10):  # a text in quotation marks, in a text
        try:
            found = config.load(text)
        except YAMLError:
            found = {} if re.search(r"[{\[:\n]", text) else text
        if isinstance(found, (dict, list)):
            break
        if not isinstance(found, str) or found == text:  # a number, or all that there is to it
            return forms
        text = found
        forms.append(text)
    raise UserError(
        f"{path}: {option} is {text!r}, which is no plain text. It may have been made to run "
        "something: it is refused."
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


def _is_file(text: str, path: Path) -> bool:
    """Tell whether jsonargparse would open a text as a file, from here or beside the one it is in.

    It does so for any option that can be a class, also by a ``file://`` address. There is nothing
    to be read in an empty one.
    """
    for place in (text, os.path.join(path.parent, text)):
        try:
            found = _Readable(place).absolute
        except Exception:  # as it says that there is no such file
            continue
        if not os.path.isfile(found) or os.path.getsize(found):
            return True
    return False


def _is_module(name: str) -> bool:
    """Tell whether there is something to import: any folder of that name is, without a file."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return True
