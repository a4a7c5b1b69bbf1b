"""Which names out of a file may be imported.

A checkpoint and a run's config name classes, of a model and its optimizer, and to use a name is to
import a module: only classes below ``lenet``, ``torch.optim`` and ``torch.nn`` are used, and those
that the command itself names.
"""

import importlib
import importlib.util
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jsonargparse.typing import path_type
from lightning.pytorch import LightningDataModule
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from yaml import YAMLError

from lenet.errors import UserError
from lenet.safety import config

__all__ = ["ALLOWED", "ALLOWED_IN_RUNS", "check_names"]

ALLOWED = ("lenet.", "torch.optim.", "torch.nn.")
ALLOWED_IN_RUNS = (*ALLOWED, "lightning.pytorch.", "lightning.fabric.")  # callbacks, loggers
# Words, whatever they are: they are never used to find a class.
_WORDS = ("data.class_names", "data.predict_path", "data.root", "trainer.default_root_dir")
_Readable: Any = path_type("fr")
_KINDS = (Optimizer, LRScheduler, nn.Module, LightningDataModule)
_CLASS_OPTIONS = {"model", "data", "optimizer", "scheduler", "callbacks", "logger", "plugins"}
# Types that are no class to make, and what can be made of them.
_PLAIN = (str, int, float, bool, NoneType)
_COMPOSED = (Union, UnionType, list, tuple, set, dict, Sequence, Iterable, Mapping)


def check_names(
    values: Any,
    path: Path,
    named: Collection[str] = (),
    allowed: tuple[str, ...] = ALLOWED,
    groups: Mapping[str, type] | None = None,
) -> None:
    """Refuse values out of a file that would make the program import a stranger's module.

    Args:
        values: What the file says, nested.
        path: The file, for the message.
        named: Class paths that the user named, and so trusts.
        allowed: Beginnings of class paths that need no naming.
        groups: Classes whose arguments are options, by the options' group.

    Raises:
        UserError: If there is a class path that is neither ours, nor PyTorch's, nor named.
    """

    def trusted(value: str) -> bool:
        return value in named or (_is_path(value) and _is_ours(value, allowed))

    for option, text, can_be_class in _texts(values, trusted, groups or {}):
        if option in _WORDS:
            continue
        *forms, value = _as_read(option, text, path)
        is_path = _is_path(value)
        # jsonargparse opens a file only for an option that can be a class.
        is_file = can_be_class and any(_is_file(form, path) for form in {*forms, value} - {*named})
        if not is_file and trusted(value):
            continue
        wanted = option.rpartition(".")[2].rstrip("+") in _CLASS_OPTIONS
        imports = is_path and (wanted or _is_module(value.partition(".")[0]))
        if imports or is_file or (wanted and not (is_path or value.isidentifier())):
            raise UserError(
                f"{path} names {value!r}, which is not part of lenet. To use it is to run it: if "
                f"you trust it, say so by naming it yourself: --{option} {value}."
            )


def _texts(
    values: Any,
    trusted: Callable[[str], bool],
    groups: Mapping[str, type],
    option: str = "",
    can_be_class: bool = True,
    owner: Any = None,
) -> Iterator[tuple[str, str, bool]]:
    """List the strings in nested values: the option, the string, and if it can be a class.

    Args:
        values: The values.
        trusted: Whether a class path may be imported.
        groups: Classes whose arguments are options, by the options' group.
        option: The option that the values are of.
        can_be_class: Whether a value of that option can be a class.
        owner: The class whose arguments the values are, if it is known.
    """
    if isinstance(values, str):
        yield option, values, can_be_class
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _texts(value, trusted, groups, option, can_be_class)
    elif isinstance(values, dict):
        for name, value in values.items():
            if name == "class_path":
                yield from _texts(value, trusted, groups, option)
            elif name == "init_args":
                cls = _class_at(values.get("class_path"), trusted)
                yield from _texts(value, trusted, groups, option, owner=cls)
            else:
                inner = f"{option}.{name}".strip(".")
                can_be = _can_be_class(_type_of(owner, name))
                yield from _texts(value, trusted, groups, inner, can_be, groups.get(inner))


def _class_at(path: Any, trusted: Callable[[str], bool]) -> Any:
    """Give the class at an import path, if it may be imported and is there."""
    if not isinstance(path, str) or not trusted(path):
        return None
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name, None)
    except Exception:  # jsonargparse will say so
        return None


def _type_of(cls: Any, argument: str) -> Any:
    """Give the type of a constructor's argument, also where ``**kwargs`` hands it on."""
    for base in cls.__mro__ if isinstance(cls, type) else ():
        try:
            types = get_type_hints(base.__init__)
        except Exception:  # a name that is there for type checkers alone
            return Any
        if argument in types:
            return types[argument]
    return Any


def _can_be_class(kind: Any) -> bool:
    """Tell whether an option of a type can be a class. Of an unknown type it can."""
    if kind in _PLAIN or get_origin(kind) is Literal:
        return False
    return get_origin(kind) not in _COMPOSED or any(
        _can_be_class(inner) for inner in get_args(kind) if inner is not ...
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


def _is_path(text: str) -> bool:
    """Tell whether a text is an import path: names, in any script, with dots between them."""
    words = text.split(".")
    return len(words) > 1 and all(word.isidentifier() for word in words)


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
