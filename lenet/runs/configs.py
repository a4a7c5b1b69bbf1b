"""Reading a config, without looking into what its options mean."""

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lenet.errors import UserError
from lenet.runs.bounded_yaml import RefusedYAML, load, read_text

__all__ = ["flatten_groups", "read_config", "values_by_option"]


def read_config(config: str | Path, name: str = "") -> dict[str, Any]:
    """Read a config, a file or the YAML itself, without looking into what its options mean.

    Args:
        config: The file, or the YAML.
        name: Name of the config in error messages. By default ``--config`` and its path.

    Raises:
        UserError: If there is no such file, or it is not YAML with options in it.
    """
    name = name or f"--config {config}"
    is_file = os.path.isfile(config)
    text = read_text(config, name) if is_file else str(config)
    try:
        values = load(text)
    except yaml.YAMLError as e:
        prefix = "" if isinstance(e, RefusedYAML) else "not YAML, "
        mark = getattr(e, "problem_mark", None)
        # PyYAML reports the end of a text as a line of its own.
        line = f"line {min(mark.line, text.count(chr(10))) + 1}: " if mark else ""
        problem = " ".join(str(getattr(e, "problem", None) or e).split())
        raise UserError(f"{name}: {prefix}{line}{problem}.") from e
    if values is None or isinstance(values, dict):
        return values or {}
    if is_file:
        raise UserError(f"{name}: has no options in it.")
    if os.path.isdir(config):
        raise UserError(f"{name}: a folder, not a file.")
    if os.path.exists(config):
        raise UserError(f"{name}: not a file.")
    raise UserError(f"{name}: no such file.{_nearest_config(config)}")


def _nearest_config(config: str | Path) -> str:
    """Suggest the YAML file of the same folder, or of configs/, whose name is the nearest."""
    folders = (Path("configs"), Path(config).parent)
    try:
        files = {file.stem.lower(): file for folder in folders for file in folder.glob("*.y*ml")}
    except (OSError, ValueError):  # not a path at all
        return ""
    close = difflib.get_close_matches(Path(config).stem.lower(), files, n=1)
    return f" Did you mean {files[close[0]]}?" if close else ""


def flatten_groups(options: dict[str, Any]) -> dict[str, Any]:
    """Spell groups of options as they are typed: ``{"trainer": {"devices": 1}}``, dotted."""
    flat: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{option}": inner for option, inner in value.items()}
        else:
            flat[name] = value
    return flat


def values_by_option(values: Any, option: str = "") -> Iterator[tuple[str, Any]]:
    """List nested values with the options that they are typed as.

    ``{"model": {"class_path": "LeNet", "init_args": {"lr": 1}}}`` is ``model`` and ``model.lr``.
    """
    if isinstance(values, dict):
        for name, value in values.items():
            inner = option if name in ("class_path", "init_args") else f"{option}.{name}".strip(".")
            yield from values_by_option(value, inner)
    elif isinstance(values, list):
        for value in values:
            yield from values_by_option(value, option)
    else:
        yield option, values
