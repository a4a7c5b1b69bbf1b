"""Downloads, by torchvision's own code, and what to say when there are none."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lenet.errors import UserError

__all__ = ["FAILURES", "download"]

# What torchvision raises where a file is not there, not whole or not what it should be.
FAILURES = (OSError, RuntimeError, EOFError, ValueError, KeyError, IndexError, AssertionError)


def download(open_it: Callable[[], Any], name: str, folder: Path, files: str) -> None:
    """Let torchvision download a data set.

    Args:
        open_it: Opens the data set, and downloads it before if it is not there.
        name: Its name.
        folder: Where its files belong.
        files: What its files are called.

    Raises:
        UserError: If that fails, with the reason and the ways out.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints every mirror that fails
            open_it()
    except FAILURES as e:
        reason = str(e).strip().splitlines()[0].rstrip(".:") if str(e).strip() else "no answer"
        raise UserError(
            f"{name} is not in {folder} and could not be downloaded ({reason}). Put {files} there, "
            "or name the folder of the data sets with --data.root or PATH_DATASETS, or train on "
            "digits that need no download: --config configs/digits.yaml."
        ) from e
