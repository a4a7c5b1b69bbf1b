"""Constructing what a command names, so that what goes wrong is what the constructor raised.

jsonargparse tries every alternative of a type and makes one text of what each of them raises, in
which a user's mistake is hard to find and a bug has lost its traceback.
"""

import contextlib
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.accelerators import Accelerator
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import Strategy

from lenet.errors import UserError

__all__ = [
    "ALWAYS_ON",
    "OPTIONS",
    "LetThrough",
    "as_raised",
    "check_callbacks",
    "construct",
    "naming",
]

# Options of the trainer whose value may be a class.
OPTIONS: dict[str, type] = {
    "callbacks": pl.Callback,
    "logger": Logger,
    "profiler": Profiler,
    "strategy": Strategy,
    "accelerator": Accelerator,
}
# Callbacks of Lightning's that have a stand-in here, and what to do instead of naming them.
ALWAYS_ON = {
    "EarlyStopping": "early stopping is always on. Set --early_stopping.monitor, "
    "--early_stopping.patience and so on.",
    "ModelSummary": "a summary is always printed, unless --trainer.enable_model_summary is false. "
    "For Lightning's give lightning.pytorch.callbacks.ModelSummary.",
    "ProgressBar": "a progress bar is always shown, unless --trainer.enable_progress_bar is false. "
    "For another give RichProgressBar or TQDMProgressBar.",
}


class _RaisedError(BaseException):
    """What a constructor raised. Not an ``Exception``, which jsonargparse would catch."""

    def __init__(self, error: Exception):
        super().__init__(error)
        self.error = error


class LetThrough:
    """Construct a class, and let through what that raises, which jsonargparse would catch.

    Unlike a closure it can be pickled, for processes that are spawned.

    Args:
        make: Constructs a class, given as the first argument.
    """

    def __init__(self, make: Callable[..., Any]):
        self.make = make
        functools.update_wrapper(self, make)  # jsonargparse looks at its name and parameters

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        try:
            return self.make(*args, **kwargs)
        except Exception as e:
            raise _RaisedError(e) from e


def as_raised(work: Callable[[], None]) -> None:
    """Do some work, and raise what a constructor raised in it just as it was."""
    try:
        return work()
    except _RaisedError as e:
        error = e.error
    raise error  # out of the handler, which would add to it


def construct(cls: type, *args: Any, **kwargs: Any) -> Any:
    """Construct a class that an option of the trainer names.

    Raises:
        UserError: If it is one of Lightning's own and refuses its arguments, or needs a package.
    """
    if not cls.__module__.startswith("lightning."):
        return cls(*args, **kwargs)
    option = next((name for name, base in OPTIONS.items() if issubclass(cls, base)), "plugins")
    try:
        return cls(*args, **kwargs)
    except (ImportError, MisconfigurationException, TypeError, ValueError) as e:
        raise UserError(f"--trainer.{option} {cls.__name__}: {_said(e)}") from e


@contextlib.contextmanager
def naming(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[None]:
    """Report what Lightning's trainer refuses as a user's mistake, with the option where known.

    Args:
        options: The trainer's arguments.
        defaults: Their defaults.

    Raises:
        UserError: With what Lightning says.
    """
    try:
        yield
    except UserError:
        raise
    except (ImportError, MisconfigurationException, TypeError, ValueError) as e:
        said = _said(e)
        option = _first_named(said.replace("-", "_"), options, defaults)
        raise UserError(f"--trainer.{option} {options[option]}: {said}" if option else said) from e


def _first_named(said: str, options: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Find the changed option that is named first in what Lightning says, or whose word is."""
    places: dict[int, str] = {}
    for name, value in options.items():
        words = [name, value.replace("-", "_")] if isinstance(value, str) else [name]
        for word in words if value != defaults.get(name) else ():
            if found := re.search(rf"\b{re.escape(word)}\b", said):
                places.setdefault(found.start(), name)
    return places[min(places)] if places else ""


def _said(e: Exception) -> str:
    said = " ".join(str(e).split())
    if found := re.match(r"Requirement '([^']+)' not met", said):
        return f"needs a package that is not installed: pip install '{found[1]}'"
    return said


def check_callbacks(callbacks: Iterable[pl.Callback]) -> None:
    """Refuse two callbacks whose states would be one and the same in a checkpoint.

    Raises:
        UserError: With the name of the class.
    """
    keys: set[str] = set()
    for callback in callbacks:
        name = type(callback).__name__
        if type(callback).state_dict is not pl.Callback.state_dict and callback.state_key in keys:
            said = ALWAYS_ON.get(name, "there is another with the same settings. Keep one.")
            raise UserError(f"--trainer.callbacks {name}: {said}")
        keys.add(callback.state_key)
