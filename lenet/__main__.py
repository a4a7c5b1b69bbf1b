"""The ``lenet`` command. Answers ``--version`` before anything heavy is imported."""

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
    """Run ``lenet`` with these arguments, or with the command line's.

    A user's mistake is one line on standard error and exit code 2. A traceback is a bug, of ours or
    in a custom model.
    Ctrl-C is exit code 130, SIGTERM 143.
    """
    args = list(sys.argv[1:] if args is None else args)
    if args == ["--version"]:
        print(f"lenet {__version__}")
        return
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # a model of one's own, in a file of one's own
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
        if e.errno is None:  # raised by hand, so not by the system
            raise
        name = os.fsdecode(e.filename) if e.filename is not None else "the system says"
        way_out = ""
        if e.errno == errno.ENOSPC:
            way_out = " Make room, or name another folder with --trainer.default_root_dir."
        _fail(f"{name}: {e.strerror}.{way_out}")


def _stopped(stop: Interrupted, command: str) -> NoReturn:
    """Say where training has stopped and what resumes it."""
    by = "Ctrl-C" if stop.signum == signal.SIGINT else signal.Signals(stop.signum).name
    said = f"\nStopped by {by}{' after ' if stop.where else ''}{stop.where}."
    if stop.resume:
        said += (
            " All is saved. Go on with" if stop.saved else " Go on from what was saved last with"
        )
        said += f"\n  lenet {command} {stop.resume}"
    if os.environ.get("LOCAL_RANK", "0") != "0":
        raise SystemExit  # the first process says it, unless Lightning sees another fail
    print(said, file=sys.stderr, flush=True)
    raise SystemExit(128 + stop.signum)


def _fail(message: str, keep_lines: bool = False) -> NoReturn:
    message = message if keep_lines else one_line(" ".join(message.split()))
    print(f"lenet: error: {message}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
