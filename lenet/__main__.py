"""The ``lenet`` command. Answers ``--version`` before anything heavy is imported."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from lenet import __version__
from lenet.errors import UserError

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> None:
    """Run ``lenet`` with these arguments, or with the command line's.

    A user's mistake is one line on standard error and exit code 2. A traceback is a bug of ours.
    """
    args = list(sys.argv[1:] if args is None else args)
    if args == ["--version"]:
        print(f"lenet {__version__}")
        return
    sys.path.insert(0, os.getcwd())  # a model of one's own, in a file of one's own
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from lenet.cli import LeNetCLI
    from lenet.noise import hush

    hush()
    try:
        LeNetCLI(args)
    except MisconfigurationException as e:
        _fail(" ".join(str(e).split()))
    except ValueError as e:
        # What a constructor refuses comes wrapped in what jsonargparse says of it.
        error: BaseException | None = e
        while error is not None and not isinstance(error, UserError):
            error = error.__cause__ or error.__context__
        if error is None:
            raise
        _fail(str(error))
    except ModuleNotFoundError as e:
        if e.name is not None:
            raise
        _fail(" ".join(str(e).split()))  # Lightning misses an optional package, and says which
    except OSError as e:
        if e.filename is None:
            raise
        _fail(f"{e.filename}: {e.strerror}.")


def _fail(message: str) -> NoReturn:
    print(f"lenet: error: {message}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
