"""Checks of values that jsonargparse accepts, and of model and data together."""

import math
from typing import Any

from jsonargparse import ArgumentParser

from lenet.cli.known_options import class_of
from lenet.errors import UserError

__all__ = ["LEAST", "check_seed", "check_values", "match_model_and_data"]

# Options of Lightning's that it does not check.
LEAST = {"trainer.accumulate_grad_batches": 1}


def check_values(group: str, values: Any, cls: type) -> None:
    """Refuse null where an option needs a value, NaN, and numbers that are too large or too small.

    Args:
        group: Name of the options' group.
        values: Their values, parsed.
        cls: The class whose arguments they are, unless the values choose one.

    Raises:
        UserError: With the option.
    """
    if values is None:
        raise UserError(f"--{group} null: needs a value. Leave it out for the default.")
    for name, value in values.items():
        _check_numbers(f"{group}.{name.replace('init_args.', '')}", value)
    if "class_path" in values:
        cls = class_of(values)
        values = values.get("init_args") or {}
    parser = ArgumentParser()
    parser.add_class_arguments(cls, fail_untyped=False)
    for name, default in parser.get_defaults().items():
        if default is not None and "." not in name and values.get(name, default) is None:
            raise UserError(f"--{group}.{name} null: needs a value. Leave it out for the default.")


def _check_numbers(option: str, value: Any) -> None:
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, int) and abs(number) >= 2**63:
            raise UserError(f"--{option}: has more than 64 bits. Give a smaller number.")
        if isinstance(number, float) and math.isnan(number):  # passes every comparison of ranges
            raise UserError(f"--{option} nan: is not a number.")
        if option in LEAST and number is not None and number < LEAST[option]:
            raise UserError(f"--{option} {number}: must be at least {LEAST[option]}.")


def check_seed(seed: int | bool) -> None:
    """Refuse a seed that NumPy's random numbers cannot start from.

    Raises:
        UserError: If it is out of range.
    """
    _check_numbers("seed_everything", seed)
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed_everything {seed}: must be from 0 to {2**32 - 1:,}.")


def match_model_and_data(command: str, model: Any, data: Any) -> None:
    """Check and set what depends on model, data and command together.

    Sets the image size that the model expects, unless one is given.

    Args:
        command: The command.
        model: Class and options of the model, parsed.
        data: Those of the data module, whose image size is set.

    Raises:
        UserError: If images to predict are given to a command that predicts none.
    """
    options = data["init_args"]
    if options.get("image_size", 0) is None:
        options["image_size"] = class_of(data).size_for(class_of(model))
    path = options.get("predict_path")
    if path is not None and command not in ("predict", "run"):
        raise UserError(
            f"--data.predict_path {path}: not used by lenet {command}. Use lenet predict, or leave "
            "this option out."
        )
