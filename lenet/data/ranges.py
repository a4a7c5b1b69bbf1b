"""The valid ranges of the numeric options of all data modules."""

import math
from collections.abc import Mapping
from typing import Any

from lenet.errors import UserError

__all__ = ["check_ranges"]

# The minimum of each option, and the number that it must be less than.
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
    """Refuse a number that is out of range. None means the default.

    Raises:
        UserError: With the option.
    """
    for name, (minimum, limit) in RANGES.items():
        value = options.get(name)
        if value is not None and value < minimum:
            raise UserError(f"--data.{name} {value}: must be at least {minimum}.")
        if value is not None and value >= limit:
            raise UserError(f"--data.{name} {value}: must be less than {limit}.")
