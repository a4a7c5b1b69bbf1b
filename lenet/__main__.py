"""The ``lenet`` command. Answers ``--version`` before anything heavy is imported."""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from lenet import __version__
from lenet.errors import UserError, one_line

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> None:
    """Run ``lenet`` with these arguments, or with the command line's.

    A user's mistake is one line on standard error and exit code 2. A traceback is a bug of ours.
    """
    args = list(sys.argv[1:] if args is None else args)
    if args == ["--version"]:
        print(f"lenet {__version__}")
        return
    sys.path.append(os.getcwd())  # a model of one's own, in a file of one's own
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from lenet.allocation import keep_freed_memory
    from lenet.cli import LeNetCLI
    from lenet.noise import hush

    hush()
    keep_freed_memory()
    try:
        LeNetCLI(args)
    except MisconfigurationException as e:
        _fail(str(e))
    except OSError as e:
        if e.errno is None:
            raise
        name = os.fsdecode(e.filename) if e.filename is not None else "the system says"
        _fail(f"{name}: {e.strerror}.")
    except Exception as e:
        # What a constructor refuses comes wrapped in what jsonargparse says of it.
        error: BaseException | None = e
        while error is not None and not isinstance(error, UserError):
            error = error.__cause__ or error.__context__
        if error is not None:
            _fail(str(error), keep_lines=True)
        if _is_ours(e):
            raise
        _fail(str(e) or type(e).__name__)


def _is_ours(e: Exception) -> bool:
    """Tell a bug of ours from options that PyTorch or Lightning refuses before the first batch."""
    frames = traceback.extract_tb(e.__traceback__)
    here = os.path.dirname(__file__)
    under_way = any(frame.name == "advance" for frame in frames)  # of Lightning's loops
    # An optimizer says at its first step what it cannot optimize.
    by_optimizer = os.path.join("torch", "optim") in frames[-1].filename
    return (under_way and not by_optimizer) or frames[-1].filename.startswith(here)


def _fail(message: str, keep_lines: bool = False) -> NoReturn:
    message = message if keep_lines else one_line(" ".join(message.split()))
    print(f"lenet: error: {message}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
