"""Reading configs, without interpreting their options."""

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
    """Read the options of a config.

    Args:
        config: A file, or YAML text.
        name: Name of the config in error messages. By default ``--config`` and its path.

    Raises:
        UserError: If there is no such file, or it is not YAML with options.
    """
    name = name or f"--config {config}"
    is_file = os.path.isfile(config)
    text = read_text(config, name) if is_file else str(config)
    try:
        values = load(text)
    except yaml.YAMLError as e:
        prefix = "" if isinstance(e, RefusedYAML) else "invalid YAML, "
        mark = getattr(e, "problem_mark", None)
        # PyYAML counts the end of the text as an additional line.
        line = f"line {min(mark.line, text.count(chr(10))) + 1}: " if mark else ""
        problem = " ".join(str(getattr(e, "problem", None) or e).split())
        raise UserError(f"{name}: {prefix}{line}{problem}.") from e
    if values is None or isinstance(values, dict):
        return values or {}
    if is_file:
        raise UserError(f"{name}: contains no options.")
    if os.path.isdir(config):
        raise UserError(f"{name}: is a folder, not a file.")
    if os.path.exists(config):
        raise UserError(f"{name}: not a regular file.")
    raise UserError(f"{name}: no such file.{_nearest_config(config)}")


def _nearest_config(config: str | Path) -> str:
    """Suggest the YAML file with the most similar name in the same folder or in configs/."""
    folders = (Path("configs"), Path(config).parent)
    try:
        files = {file.stem.lower(): file for folder in folders for file in folder.glob("*.y*ml")}
    except (OSError, ValueError):  # not a path at all
        return ""
    close = difflib.get_close_matches(Path(config).stem.lower(), files, n=1)
    return f" Did you mean {files[close[0]]}?" if close else ""


def flatten_groups(options: dict[str, Any]) -> dict[str, Any]:
    """Flatten groups: ``{"trainer": {"devices": 1}}`` becomes ``{"trainer.devices": 1}``."""
    flat: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{option}": inner for option, inner in value.items()}
        else:
            flat[name] = value
    return flat


def values_by_option(values: Any, option: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested values with their options.

    ``{"model": {"class_path": "LeNet", "init_args": {"lr": 1}}}`` yields ``model`` and
    ``model.lr``.
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
