"""What must be known of a command line before it is parsed: its checkpoint and its classes.

A checkpoint gives the defaults, and an option that is typed may be one of a class that only the
checkpoint names, where jsonargparse would stop. What is wrong is left to the parser.
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
    for option in ("ckpt_path", "trainer.default_root_dir", *CLASSES):
        parser.add_argument(f"--{option}")
    start = args.index(command) + 1
    try:
        known, rest = parser.parse_known_args(args[start:])
    except argparse.ArgumentError:
        return FirstLook(list(args))
    files = vars(known).pop("config")
    typed = {option: value for option, value in vars(known).items() if value is not None}
    in_configs = [pair for file in files for pair in values_by_option(read_config(file))]
    values = {**dict(in_configs), **typed}
    for option in CLASSES:
        text = str(values.get(option))
        if text.startswith("{") or os.path.isfile(text):  # a class with its options, as YAML
            with contextlib.suppress(UserError):
                values |= {option: None, **dict(values_by_option(read_config(text), option))}
    chosen = {name: str(value) for name, value in values.items() if value not in (None, "null")}
    options = [f"--{option}={value}" for option, value in typed.items()]
    return FirstLook(
        args=[*args[:start], *(f"--config={file}" for file in files), *options, *rest],
        ckpt_path=chosen.get("ckpt_path"),
        is_typed="ckpt_path" in typed,
        root=chosen.get("trainer.default_root_dir"),
        classes={option: chosen[option] for option in CLASSES if option in chosen},
        words={str(value) for _, value in in_configs}.union(*(arg.split("=", 1) for arg in args)),
    )
