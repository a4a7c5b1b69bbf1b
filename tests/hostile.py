"""``lenet`` on what nobody would give it by accident, and what must come of that."""

import contextlib
import io
import os
import re
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning.pytorch.cli import LightningCLI

from lenet.__main__ import main
from lenet.cli import LeNetCLI
from tests.conftest import Finished

SECONDS = 60  # a hang, not a busy machine
LINE = re.compile(r"lenet( \w+)?: error: \S.{0,1990}")
KEPT = ("parser", "command_parser", "_subcommand_method_arguments", "_subcommand_parsers")


class TooSlow(BaseException):
    """Not caught by anything that is tested."""


def reuse_the_parsers(monkeypatch) -> None:
    """Build the parser of a command once: it takes longer than a config."""
    built: dict[str, dict[str, Any]] = {}
    link_sizes = LeNetCLI._link_sizes

    def setup_parser(self, *args, **kwargs):
        if self.command not in built:
            LightningCLI.setup_parser(self, *args, **kwargs)
            built[self.command] = {name: getattr(self, name) for name in KEPT}
            link_sizes(self)
        vars(self).update(built[self.command])

    monkeypatch.setattr(LeNetCLI, "setup_parser", setup_parser)
    monkeypatch.setattr(LeNetCLI, "_link_sizes", lambda self: None)


def run(*args: str) -> Finished:
    """Run ``lenet`` in this process, and fail if it does not come to an end."""

    def stop(*_):
        raise TooSlow

    out, err, code = io.StringIO(), io.StringIO(), 0
    files, before = set(os.listdir()), signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main([str(arg) for arg in args])
    except SystemExit as e:
        code = e.code if isinstance(e.code, int) else int(e.code is not None)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert set(os.listdir()) == files
    return Finished(code, out.getvalue(), err.getvalue())


def check(done: Finished) -> None:
    """Check that a config was taken, or refused in a line that helps, and that it did nothing."""
    assert done.code in (0, 2), done
    assert "Traceback" not in done.err
    if done.code == 2:
        lines = [line for line in done.err.splitlines() if ": error:" in line]
        assert len(lines) == 1, done.err
        # One mistake has a table below it.
        assert done.err.splitlines()[-1] == lines[0] or "do not fit this ConvNet" in lines[0]
        assert LINE.fullmatch(lines[0]), lines[0]
        assert lines[0].isprintable()


@contextlib.contextmanager
def little_memory(more: int = 4 << 30) -> Iterator[None]:
    """Let this process have so many bytes more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
