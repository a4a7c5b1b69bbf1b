"""The ranges of the numbers that every data module takes."""

import math
from collections.abc import Mapping
from typing import Any

from lenet.errors import UserError

__all__ = ["check_ranges", "check_val_size"]

# The least value of an option, and what it must be less than.
RANGES = {
    "batch_size": (1, math.inf),
    "val_size": (0, math.inf),
    "image_size": (1, math.inf),
    "num_workers": (0, math.inf),
    "rotation": (0, math.inf),
    "scaling": (0, 1),
    "shear": (0, 90),
    "translation": (0, math.inf),
    "elastic": (0, math.inf),
    "elastic_sigma": (1, math.inf),
}


def check_ranges(options: Mapping[str, Any]) -> None:
    """Refuse a number that is out of range. None stands for a default, which is not.

    Raises:
        UserError: With the option.
    """
    for name, (least, limit) in RANGES.items():
        value = options.get(name)
        if value is not None and value < least:
            raise UserError(f"--data.{name} {value}: must be at least {least}.")
        if value is not None and value >= limit:
            raise UserError(f"--data.{name} {value}: must be less than {limit}.")


def check_val_size(val_size: int, available: int, name: str) -> None:
    """Refuse to hold out all training images.

    Args:
        val_size: How many are to be held out.
        available: How many there are.
        name: Name of the data set.

    Raises:
        UserError: If none would be left to train on.
    """
    if val_size >= available:
        raise UserError(
            f"--data.val_size {val_size}: {name} has {available} training images, of which some "
            "must be left to train on."
        )
