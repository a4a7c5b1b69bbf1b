"""The ``lenet`` command. Handles ``--version`` before slow imports."""

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from lenet import __version__
from lenet.errors import Interrupted, UserError, one_line

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> None:
    """Run ``lenet`` with these arguments, by default those of the command line.

    A user's mistake prints one line to standard error and exits with code 2. A traceback means a
    bug in lenet or in a custom class. Ctrl-C exits with code 130, SIGTERM with 143.
    """
    args = list(sys.argv[1:] if args is None else args)
    if args == ["--version"]:
        print(f"lenet {__version__}")
        return
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # to import custom models from files
    handler = None
    with contextlib.suppress(ValueError):  # not the main thread
        handler = signal.signal(signal.SIGTERM, _terminate)
    try:
        _run(args)
    except KeyboardInterrupt as e:
        stop = e if isinstance(e, Interrupted) else Interrupted(signal.SIGINT)
        _stopped(stop, next((arg for arg in args if arg in ("fit", "run")), "fit"))
    finally:
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise Interrupted(signum)


def _run(args: list[str]) -> None:
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from lenet.cli import LeNetCLI
    from lenet.cli.allocation import keep_freed_memory
    from lenet.noise import install_filters

    install_filters()
    keep_freed_memory()
    try:
        LeNetCLI(args)
    except UserError as e:
        _fail(str(e), keep_lines=True)
    except MisconfigurationException as e:
        _fail(str(e))
    except OSError as e:
        if e.errno is None:  # not raised by the system
            raise
        name = os.fsdecode(e.filename) if e.filename is not None else "system error"
        way_out = ""
        if e.errno == errno.ENOSPC:
            way_out = " Free disk space, or set --trainer.default_root_dir to another folder."
        _fail(f"{name}: {e.strerror}.{way_out}")


def _stopped(stop: Interrupted, command: str) -> NoReturn:
    """Print where training stopped and the command that resumes it."""
    by = "Ctrl-C" if stop.signum == signal.SIGINT else signal.Signals(stop.signum).name
    said = f"\nStopped by {by}{' after ' if stop.where else ''}{stop.where}."
    if stop.resume:
        said += (
            " Progress is saved. Resume with" if stop.saved else " Resume from the last save with"
        )
        said += f"\n  lenet {command} {stop.resume}"
    if os.environ.get("LOCAL_RANK", "0") != "0":
        raise SystemExit  # only the first process prints it
    print(said, file=sys.stderr, flush=True)
    raise SystemExit(128 + stop.signum)


def _fail(message: str, keep_lines: bool = False) -> NoReturn:
    message = message if keep_lines else one_line(" ".join(message.split()))
    print(f"lenet: error: {message}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
