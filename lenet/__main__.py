"""The ``lenet`` command. Answers ``--version`` before anything heavy is imported."""

import sys
from collections.abc import Sequence

from lenet import __version__

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> None:
    """Run ``lenet`` with these arguments, or with the command line's.

    A user's mistake is one line on standard error and exit code 2.
    """
    args = list(sys.argv[1:] if args is None else args)
    if args == ["--version"]:
        print(f"lenet {__version__}")
        return
    from lenet.cli import run

    run(args)


if __name__ == "__main__":
    main()
