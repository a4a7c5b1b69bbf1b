"""Reading YAML from untrusted sources: limited in size, without aliases, tags or repeated keys.

The text is checked before any object is created, in one pass over PyYAML's events. With aliases, a
few lines could expand to billions of values. Of two equal keys, one would be lost.
"""

import os
import stat
from collections.abc import Callable
from typing import Any

import yaml

from lenet.errors import UserError
from lenet.runs.renamed_options import rename_in_config

__all__ = ["RefusedYAML", "load", "read_text"]

MAX_SIZE = 100_000  # bytes: a typical config has 3,000
MAX_DEPTH = 50
# jsonargparse copies a list for each of its items: 1,000, the classes of ImageNet, take a second.
MAX_ITEMS = 1_000
# Items that are classes take a hundred times as long.
MAX_CLASSES = {"callbacks": 50, "logger": 50}
# Characters of a value. Python does not print integers with more than 4,300 digits, which is 3,570
# hexadecimal digits.
MAX_LENGTH = 3_500
# The C loader, if PyYAML has it, is ten times as fast.
SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RefusedYAML(yaml.MarkedYAMLError):
    """Valid YAML that is refused."""


def read_text(path: str | os.PathLike[str], name: str = "") -> str:
    """Read a text file of at most ``MAX_SIZE`` bytes.

    Args:
        path: The file.
        name: Name of the file in error messages. By default its path.

    Raises:
        UserError: If it is too large, not UTF-8, or a device or pipe, which may never end.
    """
    name = name or os.fspath(path)
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise UserError(f"{name}: not a regular file.")
    with open(path, "rb") as file:
        content = file.read(MAX_SIZE + 1)
    if len(content) > MAX_SIZE:
        raise UserError(f"{name}: larger than {MAX_SIZE // 1000} kB, too large for a config.")
    try:
        return content.decode()
    except UnicodeDecodeError as e:
        raise UserError(f"{name}: not a UTF-8 text file.") from e


def load(text: str, loader: Callable[[str], Any] | None = None) -> Any:
    """Check and load YAML.

    Args:
        text: The YAML.
        loader: Loads the text after the check. By default PyYAML's safe loader.

    Raises:
        yaml.YAMLError: If it is not valid YAML, or is refused.
    """
    _check(text)
    try:
        values = yaml.load(text, Loader=SafeLoader) if loader is None else loader(text)
    except ValueError as e:  # raised by int() or datetime within PyYAML
        raise yaml.YAMLError("a number or date in it is not valid, such as 2001-99-99") from e
    return rename_in_config(values)


def _check(text: str) -> None:
    """Check YAML without creating objects.

    Raises:
        yaml.YAMLError: If it is not valid YAML, or is refused, with the line.
    """
    if len(text) > MAX_SIZE:
        raise RefusedYAML(problem=f"larger than {MAX_SIZE // 1000} kB, too large for a config")
    parents: list[list[Any]] = []  # each open list or mapping: its start, then its items
    for event in yaml.parse(text, Loader=SafeLoader):
        if isinstance(event, yaml.CollectionEndEvent):
            start, *nodes = parents.pop()
            key = getattr(parents[-1][-2], "value", "") if parents else ""  # the preceding key
            _check_collection(start, nodes, key.rpartition(".")[2].rstrip("+"))
        elif isinstance(event, yaml.NodeEvent):
            _check_node(event, depth=len(parents))
            if parents:
                parents[-1].append(event)
            if isinstance(event, yaml.CollectionStartEvent):
                parents.append([event])


def _check_node(node: Any, depth: int) -> None:
    """Refuse anchors, aliases, tags, deep nesting and long values."""
    problem = ""
    if node.anchor:
        sign = "*" if isinstance(node, yaml.AliasEvent) else "&"
        problem = f"{sign}{node.anchor}: anchors and aliases are not supported. Repeat the value"
    elif node.tag:
        problem = f"{node.tag}: tags are not supported. Remove it"
    elif isinstance(node, yaml.CollectionStartEvent) and depth == MAX_DEPTH:
        problem = f"nested more than {MAX_DEPTH} levels deep"
    elif isinstance(node, yaml.ScalarEvent) and len(node.value) > MAX_LENGTH:
        problem = f"a value has {len(node.value):,} characters, more than {MAX_LENGTH:,}"
    if problem:
        raise RefusedYAML(problem=problem, problem_mark=node.start_mark)


def _check_collection(start: Any, nodes: list[Any], name: str) -> None:
    """Refuse lists and mappings that are too long, and keys that occur twice."""
    is_mapping = isinstance(start, yaml.MappingStartEvent)
    items = nodes[::2] if is_mapping else nodes  # the keys of a mapping
    most = MAX_CLASSES.get(name, MAX_ITEMS)
    if len(items) > most:
        problem = f"{name}: more than {most:,} items".lstrip(": ")
        raise RefusedYAML(problem=problem, problem_mark=start.start_mark)
    keys: set[str] = set()
    for key in items if is_mapping else []:
        if isinstance(key, yaml.ScalarEvent):
            if key.value in keys:
                problem = f"{key.value} is set twice"
                raise RefusedYAML(problem=problem, problem_mark=key.start_mark)
            keys.add(key.value)
