"""What must be known of a command line before it is parsed.

A checkpoint gives the defaults, and an option that is typed may be one of a class that only the
checkpoint names, where jsonargparse would stop. So a first look finds the checkpoint and the
classes. What is wrong with a command line is left to the parser.
"""

import argparse
import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from lenet.errors import UserError
from lenet.runs.configs import read_config, values_by_option

__all__ = ["CLASSES", "FirstLook", "look"]

# Options whose value is a class with options of its own.
CLASSES = ("model", "data", "model.optimizer", "model.scheduler")
_ROOT = "trainer.default_root_dir"


@dataclass
class FirstLook:
    """What decides how a command line is parsed, from the command line itself and its configs."""

    args: list[str]  # in the order in which they apply: configs, classes, other options
    ckpt_path: str | None = None
    is_typed: bool = False  # whether the checkpoint is typed, and not named by a config
    root: str | None = None  # folder of the runs
    classes: dict[str, str] = field(default_factory=dict)  # chosen for each of CLASSES
    words: set[str] = field(default_factory=set)  # all that is typed or stands in a config


def look(command: str, args: Sequence[str]) -> FirstLook:
    """Look at a command line that has a command, and at the configs that it names."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", action="append", default=[])
    for option in ("ckpt_path", _ROOT, *CLASSES):
        parser.add_argument(f"--{option}")
    start = args.index(command) + 1
    try:
        known, rest = parser.parse_known_args(args[start:])
    except argparse.ArgumentError:
        return FirstLook(list(args))
    typed = {name: value for name, value in vars(known).items() if value is not None}
    configs = [f"--config={file}" for file in typed.pop("config")]
    in_configs = [pair for file in known.config for pair in values_by_option(read_config(file))]
    values = {**dict(in_configs), **typed}
    for option in CLASSES:
        text = str(values.get(option))
        if text.startswith("{") or os.path.isfile(text):  # a class with its options, as YAML
            with contextlib.suppress(UserError):
                values |= {option: None, **dict(values_by_option(read_config(text), option))}
    chosen = {name: str(value) for name, value in values.items() if value not in (None, "null")}
    words = {part for arg in args for part in arg.split("=", 1)}
    return FirstLook(
        args=[*args[:start], *configs, *(f"--{name}={typed[name]}" for name in typed), *rest],
        ckpt_path=chosen.get("ckpt_path"),
        is_typed="ckpt_path" in typed,
        root=chosen.get(_ROOT),
        classes={name: chosen[name] for name in CLASSES if name in chosen},
        words=words | {str(value) for _, value in in_configs},
    )
