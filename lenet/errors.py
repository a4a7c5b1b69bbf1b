"""A user's mistake, how it is printed, and the nearest name to a misspelt one."""

import difflib
import re
from collections.abc import Iterable

__all__ = ["Interrupted", "UserError", "nearest", "printable"]


class UserError(ValueError):
    """A mistake that its user can mend. The program prints the message alone and exits with 2."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or a signal, after which everything is tidied up as after Ctrl-C.

    Args:
        signum: The signal. The program exits with 128 more.
        where: How far a training had come.
        folder: Its run, if it can go on there.
    """

    def __init__(self, signum: int, where: str = "", folder: str | None = None):
        super().__init__(signum)
        self.signum, self.where, self.folder = signum, where, folder


def nearest(name: str, names: Iterable[str], most: int = 1) -> str:
    """Ask whether the nearest of ``names`` was meant, or say nothing if none is near."""
    spelt = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), spelt, n=most, cutoff=0.6)
    return f" Did you mean {' or '.join(spelt[key] for key in close)}?" if close else ""


def printable(message: str, most: int = 2000) -> str:
    """Cut a message short, and spell out what a terminal would obey: it may quote a stranger."""
    cut = message if len(message) <= most else f"{message[: most - 200]} ... {message[-190:]}"
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda found: repr(found[0]).strip("'"), cut)
