"""Checking which classes a file may name.

A checkpoint and a run's config name classes, such as those of a model and its optimizer. Using a
name imports a module, which runs its code. Allowed are classes that ``lenet``, ``torch.optim`` and
``torch.nn`` define, and those that the user names on the command line. Only options whose type can
be a class are checked; the values of other options are never imported.
"""

import importlib
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from lightning.pytorch import LightningDataModule
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lenet.errors import UserError

__all__ = ["ALLOWED", "ALLOWED_IN_RUNS", "check_names", "subclasses"]

ALLOWED = ("lenet.", "torch.optim.", "torch.nn.")
ALLOWED_IN_RUNS = (*ALLOWED, "lightning.pytorch.", "lightning.fabric.")  # callbacks, loggers
_BASES = (Optimizer, LRScheduler, nn.Module, LightningDataModule)
# Types whose values are never classes, and types that combine others.
_PLAIN = (str, int, float, bool, NoneType, Path, timedelta)
_COMPOSED = (Union, UnionType, list, tuple, set, dict, Sequence, Iterable, Mapping)


def check_names(
    values: Mapping[str, Any],
    path: Path,
    named_by_user: Collection[str] = (),
    allowed: tuple[str, ...] = ALLOWED,
    groups: Mapping[str, type] | None = None,
) -> None:
    """Refuse values in a file that would import an untrusted module.

    Args:
        values: Options by name, nested as in a config.
        path: The file, for the error message.
        named_by_user: Class paths that the user named and therefore trusts.
        allowed: Prefixes of class paths that are always trusted.
        groups: Classes whose arguments are options, by group.

    Raises:
        UserError: If an option names a class that is neither allowed nor named by the user.
    """
    check = _NameCheck(path, named_by_user, allowed)
    for group, value in values.items():
        owner = (groups or {}).get(group)
        if owner is not None and isinstance(value, dict) and "class_path" not in value:
            check.check_arguments(value, group, owner)
        else:
            check.check_value(value, group)


class _NameCheck:
    """The check of one file."""

    def __init__(self, path: Path, named_by_user: Collection[str], allowed: tuple[str, ...]):
        self.path = path
        self.named_by_user = named_by_user
        self.allowed = allowed

    def check_value(self, value: Any, option: str) -> None:
        """Check the value of an option that can be a class."""
        if isinstance(value, str):
            if not self._may_be_used(value):
                self._refuse(value, option)
        elif isinstance(value, (list, tuple)):
            for item in value:
                self.check_value(item, option)
        elif isinstance(value, dict) and "class_path" in value:
            class_path = value["class_path"]
            arguments = value.get("init_args") or {}
            is_spec = isinstance(class_path, str) and isinstance(arguments, dict)
            if not is_spec or set(value) - {"class_path", "init_args"}:
                raise UserError(f"{self.path}: {option} must be a class with its options.")
            if not self._is_trusted(class_path):
                self._refuse(class_path, option)
            module, _, name = class_path.rpartition(".")
            cls = getattr(importlib.import_module(module), name, None)
            self.check_arguments(arguments, option, cls)
        elif isinstance(value, dict):
            self.check_arguments(value, option, None)

    def check_arguments(self, values: dict[Any, Any], option: str, owner: Any) -> None:
        """Check the arguments of a class whose types can be classes."""
        for name, value in values.items():
            if _can_be_class(_type_of(owner, str(name).rstrip("+"))):
                self.check_value(value, f"{option}.{name}")

    def _refuse(self, text: str, option: str) -> None:
        raise UserError(
            f"{self.path}: names {text!r}, which is not part of lenet and would run its code. If "
            f"you trust it, add --{option} {text}."
        )

    def _may_be_used(self, text: str) -> bool:
        """Return whether jsonargparse reads a text only as a trusted class.

        It reads text that is not a name as YAML, which can name a class with arguments, and the
        name of a file as that file.
        """
        if text in self.named_by_user:
            return True
        if not re.fullmatch(r"\w+(\.\w+)*", text):
            return False
        if os.path.exists(text) or (self.path.parent / text).exists():
            return False
        return "." not in text or self._is_trusted(text)

    def _is_trusted(self, class_path: str) -> bool:
        """Return whether the user named a class, or an allowed module defines it.

        The prefix of a path is not enough: ``torch.nn.parallel.distributed.os.system`` also starts
        like an allowed module.
        """
        if class_path in self.named_by_user:
            return True
        module, _, name = class_path.rpartition(".")
        if not class_path.startswith(self.allowed):
            return False
        try:
            found = getattr(importlib.import_module(module), name, None)
        except ImportError:
            return False
        if not f"{getattr(found, '__module__', '')}.".startswith(self.allowed):
            return False
        if isinstance(found, type):
            return module.startswith("lightning.") or issubclass(found, _BASES)
        return module in ("torch.nn.functional", "torch.nn.init")


def _type_of(cls: Any, argument: str) -> Any:
    """Return the type of a constructor's argument, including those passed on by ``**kwargs``."""
    for base in cls.__mro__ if isinstance(cls, type) else ():
        try:
            types = get_type_hints(base.__init__)
        except NameError:  # a type that is imported only for type checking
            return Any
        if argument in types:
            return types[argument]
    return Any


def _can_be_class(kind: Any) -> bool:
    """Return whether an option of a type can be a class. True for unknown types."""
    if kind in _PLAIN or get_origin(kind) is Literal:
        return False
    return get_origin(kind) not in _COMPOSED or any(
        _can_be_class(inner) for inner in get_args(kind) if inner is not ...
    )


def subclasses(cls: type) -> Iterator[type[Any]]:
    """Yield all direct and indirect subclasses of a class."""
    for subclass in cls.__subclasses__():
        yield subclass
        yield from subclasses(subclass)
