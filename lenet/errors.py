"""A user's mistake, how it is printed, and the nearest name to a misspelt one."""

import difflib
from collections.abc import Iterable

__all__ = ["Interrupted", "UserError", "nearest", "one_line", "printable"]

LONGEST = 1000  # characters of a message


class UserError(ValueError):
    """A mistake that its user can mend. The program prints the message alone and exits with 2.

    Args:
        message: The mistake and the way out. It becomes one line, whatever values are in it.
        table: Lines below it.
    """

    def __init__(self, message: str, table: str = ""):
        super().__init__(one_line(message) + (f"\n{table}" if table else ""))


def one_line(text: str) -> str:
    """Bring a message to one line of a length to read, the mistake and the way out kept."""
    text = printable(text)
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} ... {text[-half:]}"


def printable(text: str) -> str:
    """Spell what is no visible character, such as one that a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or a signal, after which everything is tidied up as after Ctrl-C.

    Args:
        signum: The signal. The program exits with 128 more.
        where: How far a training had come.
        saved: Whether all of it is saved.
        resume: Options of the command that resumes the training, if something was saved.
    """

    def __init__(self, signum: int, where: str = "", saved: bool = False, resume: str = ""):
        super().__init__(signum)
        self.signum = signum
        self.where = where
        self.saved = saved
        self.resume = resume


def nearest(name: str, names: Iterable[str], most: int = 1) -> str:
    """Ask whether the nearest of ``names`` was meant, or say nothing if none is near."""
    spelt = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), spelt, n=most, cutoff=0.7)
    return f" Did you mean {' or '.join(spelt[key] for key in close)}?" if close else ""
