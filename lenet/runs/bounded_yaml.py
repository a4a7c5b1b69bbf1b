"""Reading YAML that anybody may have written, within bounds.

A few lines of YAML can stand for billions of values, or be nested deeper than any program can
follow. So a text is looked through before anything is made of it. No tag makes an object or calls
a function: the loaders are PyYAML's safe ones.
"""

import os
import stat
from collections.abc import Callable
from typing import Any

import yaml

from lenet.errors import UserError
from lenet.runs.renamed_options import rename_in_config

__all__ = ["RefusedYAML", "check", "load", "read_text"]

MOST_BYTES = 1 << 20
MOST_NODES = 20_000
MOST_DEPTH = 50
# jsonargparse copies a list for each item in it: as many as ImageNet has classes take seconds.
MOST_ITEMS = 1_000
# Each is a class, which costs a hundred times as much.
FEW_ITEMS = {"callbacks": 50, "logger": 50}
MOST_LENGTH = 10_000  # characters of a value
MOST_BITS = 1_024  # of a whole number: Python refuses to print one of 4,300 digits
# The same in C, where PyYAML has it: a megabyte would take the other one half a minute.
SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RefusedYAML(yaml.MarkedYAMLError):
    """YAML as such, but beyond what is read."""


class _Node:
    """A list or a mapping that is being looked through, and what is in it so far."""

    def __init__(self, event: Any):
        self.anchor = event.anchor
        self.nodes, self.depth = 1, 1
        self.keys: set[str] | None = set() if isinstance(event, yaml.MappingStartEvent) else None
        self._at_key = True

    def add(self, event: Any, nodes: int, depth: int) -> None:
        """Add a node that is complete."""
        self.nodes += nodes
        self.depth = max(self.depth, depth + 1)
        if self.keys is not None and self._at_key and isinstance(event, yaml.ScalarEvent):
            if event.value in self.keys:
                raise _refused(event, f"{event.value} stands twice")
            self.keys.add(event.value)
        self._at_key = not self._at_key


def read_text(path: str | os.PathLike[str], name: str = "") -> str:
    """Read a text file that is no larger than a config can be.

    Args:
        path: The file.
        name: What a mistake in it is reported under. By default its path.

    Raises:
        UserError: If it is something else, which might never end.
    """
    name = name or os.fspath(path)
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise UserError(f"{name}: not a file that can be read as a whole.")
    with open(path, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise UserError(f"{name}: larger than 1 MB, so it is no config.")
    try:
        return content.decode()
    except UnicodeDecodeError as e:
        raise UserError(f"{name}: not a text file, let alone YAML.") from e


def load(text: str, loader: Callable[[str], Any] | None = None) -> Any:
    """Load YAML within the bounds.

    Args:
        text: The YAML.
        loader: What loads it then. By default PyYAML's safe loader.

    Raises:
        yaml.YAMLError: If it is not YAML, or beyond the bounds.
    """
    check(text)
    try:
        values = yaml.load(text, Loader=SafeLoader) if loader is None else loader(text)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as e:
        # PyYAML stumbles over what it does not refuse, such as !!int x.
        raise yaml.YAMLError("a number or date in it is none, such as 2001-99-99") from e
    _check_values(values)
    return rename_in_config(values)


def check(text: str) -> None:
    """Look through YAML without making anything of it.

    Raises:
        yaml.YAMLError: If it is not YAML, is beyond the bounds, or has a key twice, of which one
            would be lost.
    """
    if len(text) > MOST_BYTES:
        raise RefusedYAML(problem="larger than 1 MB, so it is no config")
    anchored: dict[str | None, tuple[int, int]] = {}  # nodes and depth of what aliases stand for
    around: list[_Node] = []
    for event in yaml.parse(text, Loader=SafeLoader):
        node, size = None, (1, 1)
        if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            around.append(_Node(event))
            _within_bounds(event, 0, len(around))
            continue
        if isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            node = around.pop()
            size = node.nodes, node.depth
        elif isinstance(event, yaml.AliasEvent):
            if any(node.anchor == event.anchor for node in around):
                raise _refused(event, f"*{event.anchor} stands in what it stands for")
            size = anchored.get(event.anchor, size)  # if there is none, the loader says so
        elif not isinstance(event, yaml.ScalarEvent):
            continue  # of the document as a whole
        elif len(event.value) > MOST_LENGTH:
            raise _refused(event, f"a value of {len(event.value):,} characters")
        if not isinstance(event, yaml.AliasEvent):
            anchored[node.anchor if node else getattr(event, "anchor", None)] = size
        if around:
            around[-1].add(event, *size)
            _within_bounds(event, around[-1].nodes, len(around) + size[1])


def _check_values(values: Any, key: str = "") -> None:
    if isinstance(values, dict):
        for name, value in values.items():
            _check_values(value, str(name).rpartition(".")[2].rstrip("+"))
    elif isinstance(values, int) and values.bit_length() > MOST_BITS:
        raise RefusedYAML(problem=f"{key}: a number of more than {MOST_BITS:,} bits".lstrip(": "))
    elif isinstance(values, (bytes, set)):
        raise RefusedYAML(problem=f"{key}: neither text, a number nor a list".lstrip(": "))
    elif isinstance(values, list):
        most = FEW_ITEMS.get(key, MOST_ITEMS)
        if len(values) > most:
            raise RefusedYAML(problem=f"{key}: a list of more than {most:,}".lstrip(": "))
        for value in values:
            _check_values(value)


def _within_bounds(event: Any, nodes: int, depth: int) -> None:
    if nodes > MOST_NODES:
        raise _refused(event, f"more than {MOST_NODES:,} values")
    if depth > MOST_DEPTH:
        raise _refused(event, f"nested deeper than {MOST_DEPTH} levels")


def _refused(event: Any, problem: str) -> RefusedYAML:
    return RefusedYAML(problem=problem, problem_mark=event.start_mark)
