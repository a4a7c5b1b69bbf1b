"""Which options there are: of a command, and of the classes that it can use."""

import sys
from collections.abc import Mapping
from typing import Any

from jsonargparse import ArgumentParser
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lenet.cli.first_look import CLASSES
from lenet.data import ImageDataModule
from lenet.models import ImageClassifier
from lenet.runs.trusted_names import subclasses

__all__ = ["BASES", "arguments_of", "class_of", "command_options", "options_by_class"]

# What a class must be a subclass of, by the last part of the option that names it.
BASES: dict[str, type] = {
    "model": ImageClassifier,
    "data": ImageDataModule,
    "optimizer": Optimizer,
    "scheduler": LRScheduler,
    "callbacks": Callback,
    "logger": Logger,
}
# Arguments that the training gives to PyTorch's optimizers and schedules.
_GIVEN = ("params", "lr", "optimizer", "max_lr", "total_steps")


def class_of(spec: Any) -> Any:
    """Return the class that a parsed ``class_path`` names."""
    module, _, name = spec["class_path"].rpartition(".")
    return getattr(sys.modules[module], name)


def arguments_of(cls: type) -> list[str]:
    """List the arguments of a class that can be options."""
    parser = ArgumentParser()
    parser.add_class_arguments(cls, fail_untyped=False)
    given = _GIVEN if cls.__module__.startswith("torch.") else ()
    return [name for name in parser.get_defaults().as_dict() if name.split(".")[0] not in given]


def command_options(parser: ArgumentParser, classes: Mapping[str, str]) -> list[str]:
    """List the options of a command, without ``--``.

    Args:
        parser: The parser of the command.
        classes: The classes that are chosen, by ``model``, ``data``, ``model.optimizer`` and so on.
            Without a choice, a default class counts.
    """
    defaults = parser.get_defaults()
    names = [name for name, _ in defaults.items() if ".init_args." not in name]
    options = [name.removesuffix(".class_path") for name in names]
    groups = {name.rpartition(".")[0] for name in options} - {""}
    for option in CLASSES:
        chosen = classes.get(option) or defaults.get(f"{option}.class_path", "")
        base = BASES[option.rpartition(".")[2]]
        same = [cls for cls in subclasses(base) if cls.__name__ == chosen.rpartition(".")[2]]
        if same or option in ("model", "data"):
            options += _typed(same[0] if same else base, option)
    return ["help", "print_config", "model.help", "data.help", *sorted(groups), *options]


def options_by_class() -> dict[str, list[str]]:
    """List the options of all models and data modules, each with the names of its classes."""
    classes: dict[str, list[str]] = {}
    for group in ("model", "data"):
        for cls in sorted(subclasses(BASES[group]), key=lambda cls: cls.__name__):
            if cls.__module__.startswith("lenet.") and not cls.__name__.startswith("_"):
                for option in _typed(cls, group):
                    classes.setdefault(option, []).append(cls.__name__)
    return classes


def _typed(cls: type, group: str) -> list[str]:
    return [f"{group}.{name}" for name in arguments_of(cls)]
