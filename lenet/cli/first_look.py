"""What must be known of a command line before it is parsed.

A checkpoint gives the defaults of what is parsed, and what is typed may be options of a model that
only the checkpoint knows. So a first glance finds which checkpoint is meant and which classes the
command names itself. What is wrong with a command is left to the parser to say.
"""

import argparse
import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lenet import runs
from lenet.errors import UserError

__all__ = ["CLASSES", "Glance", "configs_first", "strings"]

# Options whose value is a class with options of its own.
CLASSES = ("model", "data", "model.optimizer", "model.scheduler")


@dataclass
class Glance:
    """What a command says at first glance.

    Args:
        ckpt_path: Its ``--ckpt_path``, or that of its config.
        typed: Whether the checkpoint was typed, and is not one out of a config.
        root: Folder of its runs, as far as it says.
        classes: The class that it chooses, for each of ``CLASSES`` that it does.
        named: Everything that it says, word by word.
    """

    ckpt_path: str | None = None
    typed: bool = False
    root: str | None = None
    classes: dict[str, str] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)

    @classmethod
    def at(cls, verb: str, args: Sequence[str]) -> "Glance":
        """Look at a command line and the configs that it names.

        Raises:
            UserError: If a config cannot be read.
        """
        look = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        look.add_argument("-c", "--config", action="append", default=[])
        for option in ("ckpt_path", "trainer.default_root_dir", *CLASSES):
            look.add_argument(f"--{option}")
        try:
            typed = vars(look.parse_known_args(args)[0])
        except argparse.ArgumentError:
            return cls()
        seen = cls(named={part for arg in args for part in arg.split("=", 1)})
        for config in typed["config"]:
            said = runs.read_config(config)
            seen.named |= {value for _, value in strings(said)}
            seen._take(said.get(verb, said))
        seen.typed = typed["ckpt_path"] is not None
        del typed["config"]
        seen._take({name: _loaded(v) if name in CLASSES else v for name, v in typed.items()})
        return seen

    def _take(self, said: Any) -> None:
        ckpt_path = _find(said, "ckpt_path")
        self.ckpt_path = str(ckpt_path) if ckpt_path not in (None, "null") else self.ckpt_path
        root = _find(said, "trainer.default_root_dir")
        self.root = str(root) if root is not None else self.root
        for option in CLASSES:
            value = _loaded(_find(said, option))
            value = value.get("class_path") if isinstance(value, dict) else value
            if isinstance(value, str):
                self.classes[option] = value


def configs_first(args: Sequence[str], verb: str) -> list[str]:
    """Put the configs before the options, which then beat them wherever they stand."""
    look = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    look.add_argument("-c", "--config", action="append", default=[])
    before, after = list(args[: args.index(verb) + 1]), list(args[args.index(verb) + 1 :])
    try:
        typed, rest = look.parse_known_args(after)
    except argparse.ArgumentError:
        return list(args)
    return [*before, *(f"--config={config}" for config in typed.config), *rest]


def _loaded(value: Any) -> Any:
    """Read what a class is given as: its name, or a spec of it as YAML or in a file."""
    if isinstance(value, str) and (value.lstrip()[:1] == "{" or os.path.isfile(value)):
        with contextlib.suppress(UserError):
            return runs.read_config(value)
    return value


def _find(values: Any, option: str) -> Any:
    if not isinstance(values, dict):
        return None
    if option in values and values[option] is not None:
        return values[option]
    name, _, rest = option.partition(".")
    inner = values.get(name)
    inner = inner.get("init_args", inner) if isinstance(inner, dict) else None
    return _find(inner, rest) if rest else None


def strings(values: Any, option: str = "") -> list[tuple[str, str]]:
    """List the strings in nested values, each with the option that it stands under."""
    if isinstance(values, dict):
        inner = [
            (
                option if name in ("class_path", "init_args") else f"{option}.{name}".strip("."),
                value,
            )
            for name, value in values.items()
        ]
    elif isinstance(values, (list, tuple)):
        inner = [(option, value) for value in values]
    else:
        return [(option, values)] if isinstance(values, str) else []
    return [found for name, value in inner for found in strings(value, name)]
