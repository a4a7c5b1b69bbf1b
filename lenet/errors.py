"""User errors, their output, and suggestions for misspelled names."""

import difflib
from collections.abc import Iterable

__all__ = ["Interrupted", "UserError", "nearest", "one_line", "printable"]

LONGEST = 1000  # characters of a message


class UserError(ValueError):
    """An error that the user can fix. The program prints only the message and exits with code 2.

    Args:
        message: The mistake and how to fix it. It is printed in one line.
        table: Lines below it.
    """

    def __init__(self, message: str, table: str = ""):
        super().__init__(one_line(message) + (f"\n{table}" if table else ""))


def one_line(text: str) -> str:
    """Shorten a message to one readable line, keeping its beginning and its end."""
    text = printable(text)
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} ... {text[-half:]}"


def printable(text: str) -> str:
    """Escape characters that are not printable, such as terminal control codes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Interrupted(KeyboardInterrupt):
    """Raised on Ctrl-C or a signal, with the same cleanup as after Ctrl-C.

    Args:
        signum: The signal. The program exits with 128 more.
        where: Position of the training.
        saved: Whether all progress is saved.
        resume: Options of the command that resumes the training, if something was saved.
    """

    def __init__(self, signum: int, where: str = "", saved: bool = False, resume: str = ""):
        super().__init__(signum)
        self.signum = signum
        self.where = where
        self.saved = saved
        self.resume = resume


def nearest(name: str, names: Iterable[str], most: int = 1) -> str:
    """Return " Did you mean ...?" with the nearest of ``names``, or an empty string."""
    by_lower = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=most, cutoff=0.7)
    return f" Did you mean {' or '.join(by_lower[key] for key in close)}?" if close else ""
