"""Renamed options: files of earlier versions are read with the new names.

On the command line the old names are errors.
"""

from collections.abc import Mapping
from typing import Any

from lenet.errors import UserError

__all__ = ["rename_in_config", "rename_options"]

# Old and new names of options, by group and class.
RENAMED = {"data": {"ImageFolder": {"colour": "color"}}}


def rename_options(group: str, class_path: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the options of a class.

    Args:
        group: ``model`` or ``data``.
        class_path: The class, or an empty string if the file does not name it.
        options: Its options by name.

    Raises:
        UserError: If an option has both its old and its new name.
    """
    by_class = RENAMED.get(group, {})
    name = class_path.rpartition(".")[2]
    classes = [name] if name else by_class
    new_names = {old: new for cls in classes for old, new in by_class.get(cls, {}).items()}
    for old, new in new_names.items():
        if old in options and new in options:
            raise UserError(
                f"--{group}.{old}: is now called {new}, which is given as well. Keep one."
            )
    return {new_names.get(option, option): value for option, value in options.items()}


def rename_in_config(values: Any) -> Any:
    """Rename the options of a config.

    Args:
        values: The loaded YAML: all options, or a class with its ``init_args`` from a file that
            ``--model`` or ``--data`` names. Anything else is returned unchanged.
    """
    if not isinstance(values, dict):
        return values
    if "class_path" in values:
        for group in RENAMED:
            values = _rename_in_group(group, values)
        return values
    renamed = {_rename_dotted(key): value for key, value in values.items()}
    for group in RENAMED.keys() & renamed.keys():
        renamed[group] = _rename_in_group(group, renamed[group])
    return renamed


def _rename_in_group(group: str, values: Any) -> Any:
    """Rename in ``{class_path: ..., init_args: {...}}``, or in the options without a class."""
    if not isinstance(values, dict):
        return values
    class_path = str(values.get("class_path") or "")
    values = rename_options(group, class_path, values)
    if isinstance(values.get("init_args"), dict):
        values["init_args"] = rename_options(group, class_path, values["init_args"])
    return values


def _rename_dotted(key: Any) -> Any:
    """Rename a key such as ``data.colour`` or ``data.init_args.colour``."""
    group, dot, option = str(key).rpartition(".")
    if not dot:
        return key
    [renamed] = rename_options(group.removesuffix(".init_args"), "", {option: None})
    return key if renamed == option else f"{group}.{renamed}"
