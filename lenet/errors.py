"""One clear line for a user's mistake: the argument, its value and the way out."""

import difflib
import re
from collections.abc import Iterable

__all__ = ["UserError", "nearest", "one_line"]


class UserError(ValueError):
    """A mistake that its user can mend. The program prints the message alone and exits with 2."""


def nearest(name: str, names: Iterable[str]) -> str:
    """Name the nearest of ``names`` as a question, or nothing if none is near."""
    spelt = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), spelt, n=1, cutoff=0.6)
    return f" Did you mean {spelt[close[0]]}?" if close else ""


# Lines of a jsonargparse message that tell how it tried, not what is wrong.
_NOISE = re.compile(
    r"Does not validate against|Subtypes:|Errors:|Expected a <class 'NoneType'>|Given value( type)?:"
    r"|Subclass types expect one of|a class path \(str\)|a dict with|a dict without"
)
_KEY = re.compile(r"Parser key \"([^\"]+)\":?\s*")
_CALLABLE = re.compile(r"Type .*? expects a function or a callable class: ")
_REPLACE = (
    (re.compile(r"\.?,? [Gg]ot value: (?=Namespace|NestedArg|\{).*"), ""),
    (re.compile(r"Expected a path but (\S+) either not accessible or invalid"), r"no class \1."),
    (re.compile(r"Expected a <class '(\w+)'>\. Got value: (.*)"), r"expected \1, got \2."),
    (re.compile(r"Option '([^']+)' is not accepted"), r"no option \1."),
    (re.compile(r"^invalid choice:"), "no such choice:"),
)


def one_line(message: str) -> tuple[str, list[str]]:
    """Condense what jsonargparse says about a mistake.

    It describes every alternative of a nested type that it tried, over up to thirty lines.

    Returns:
        The key, dotted (``model.optimizer``, empty where none is named), and the reasons.
    """
    keys: list[str] = []
    reasons: list[str] = []
    for raw in message.splitlines():
        line = raw.strip().removeprefix("- ")
        if found := _KEY.match(line):
            if found[1] not in keys:
                keys.append(found[1])
            line = line[found.end() :]
        line = _CALLABLE.sub("", line)
        if not line or _NOISE.match(line) or "to be a subclass of" in line:
            continue
        if line.startswith("Problem with given class_path"):
            continue
        for pattern, text in _REPLACE:
            line = pattern.sub(text, line)
        if line not in reasons:
            reasons.append(line)
    return ".".join(keys), reasons
