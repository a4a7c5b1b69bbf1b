"""Reading YAML that anybody may have written: bounded, without aliases, tags or repeated keys.

A text is checked before anything is made of it, in one pass over what PyYAML finds in it. An alias
lets a few lines stand for billions of values, and of two equal keys one would be lost.
"""

import os
import stat
from collections.abc import Callable
from typing import Any

import yaml

from lenet.errors import UserError
from lenet.runs.renamed_options import rename_in_config

__all__ = ["RefusedYAML", "load", "read_text"]

MAX_SIZE = 100_000  # bytes: a run's config has 3,000
MAX_DEPTH = 50
# jsonargparse copies a list for each item in it: as many as ImageNet has classes take a second.
MAX_ITEMS = 1_000
# Each is a class, which takes a hundred times as long.
MAX_CLASSES = {"callbacks": 50, "logger": 50}
# Characters of a value. Python refuses to print a number of more than 4,300 digits, which 3,570
# hexadecimal ones are.
MAX_LENGTH = 3_500
# In C where PyYAML has it, which is ten times as fast.
SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RefusedYAML(yaml.MarkedYAMLError):
    """Valid YAML that is not read."""


def read_text(path: str | os.PathLike[str], name: str = "") -> str:
    """Read a text file that is no larger than a config can be.

    Args:
        path: The file.
        name: Name of the file in error messages. By default its path.

    Raises:
        UserError: If it is too large, or a device or pipe, which might never end.
    """
    name = name or os.fspath(path)
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise UserError(f"{name}: not a file that can be read as a whole.")
    with open(path, "rb") as file:
        content = file.read(MAX_SIZE + 1)
    if len(content) > MAX_SIZE:
        raise UserError(f"{name}: larger than {MAX_SIZE // 1000} kB, so it is not a config.")
    try:
        return content.decode()
    except UnicodeDecodeError as e:
        raise UserError(f"{name}: not a text file in UTF-8.") from e


def load(text: str, loader: Callable[[str], Any] | None = None) -> Any:
    """Load YAML within the bounds.

    Args:
        text: The YAML.
        loader: What loads it once it is checked. By default PyYAML's safe loader.

    Raises:
        yaml.YAMLError: If it is not YAML, or beyond the bounds.
    """
    _check(text)
    try:
        values = yaml.load(text, Loader=SafeLoader) if loader is None else loader(text)
    except ValueError as e:  # of int() or datetime, to which PyYAML leaves them
        raise yaml.YAMLError("a number or date in it is not valid, such as 2001-99-99") from e
    return rename_in_config(values)


def _check(text: str) -> None:
    """Check YAML without making anything of it.

    Raises:
        yaml.YAMLError: If it is not YAML, or is refused, with the line.
    """
    if len(text) > MAX_SIZE:
        raise RefusedYAML(problem=f"larger than {MAX_SIZE // 1000} kB, so it is not a config")
    parents: list[list[Any]] = []  # each list and mapping that is open: its start and what is in it
    for event in yaml.parse(text, Loader=SafeLoader):
        if isinstance(event, yaml.CollectionEndEvent):
            start, *nodes = parents.pop()
            key = getattr(parents[-1][-2], "value", "") if parents else ""  # what stands before it
            _check_collection(start, nodes, key.rpartition(".")[2].rstrip("+"))
        elif isinstance(event, yaml.NodeEvent):
            _check_node(event, depth=len(parents))
            if parents:
                parents[-1].append(event)
            if isinstance(event, yaml.CollectionStartEvent):
                parents.append([event])


def _check_node(node: Any, depth: int) -> None:
    """Refuse what is not read anywhere in a config."""
    problem = ""
    if node.anchor:
        sign = "*" if isinstance(node, yaml.AliasEvent) else "&"
        problem = f"{sign}{node.anchor}: anchors and aliases are not read. Write the value out"
    elif node.tag:
        problem = f"{node.tag}: tags are not read. Leave it out"
    elif isinstance(node, yaml.CollectionStartEvent) and depth == MAX_DEPTH:
        problem = f"nested deeper than {MAX_DEPTH} levels"
    elif isinstance(node, yaml.ScalarEvent) and len(node.value) > MAX_LENGTH:
        problem = f"a value of {len(node.value):,} characters"
    if problem:
        raise RefusedYAML(problem=problem, problem_mark=node.start_mark)


def _check_collection(start: Any, nodes: list[Any], name: str) -> None:
    """Refuse a list or mapping that is too long, and a key that is given twice."""
    is_mapping = isinstance(start, yaml.MappingStartEvent)
    items = nodes[::2] if is_mapping else nodes  # of a mapping its keys
    most = MAX_CLASSES.get(name, MAX_ITEMS)
    if len(items) > most:
        problem = f"{name}: more than {most:,} items".lstrip(": ")
        raise RefusedYAML(problem=problem, problem_mark=start.start_mark)
    keys: set[str] = set()
    for key in items if is_mapping else []:
        if isinstance(key, yaml.ScalarEvent):
            if key.value in keys:
                problem = f"{key.value} is given twice"
                raise RefusedYAML(problem=problem, problem_mark=key.start_mark)
            keys.add(key.value)
