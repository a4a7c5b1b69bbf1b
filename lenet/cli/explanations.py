"""One-line errors for the command line: the option, its value and how to fix it.

jsonargparse has no error classes. It describes every alternative of a nested type that it tried, in
up to thirty lines. This file extracts the relevant one. It is the only file that parses messages of
jsonargparse; unknown messages are printed unchanged. Revisit when its errors have fields.
"""

import importlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from shlex import quote

from jsonargparse import ArgumentParser
from torchvision import models

from lenet.cli.construction import ALWAYS_ON
from lenet.cli.known_options import (
    BASES,
    arguments_of,
    class_of,
    command_options,
    options_by_class,
)
from lenet.cli.suggestions import KnownOptions, suggest
from lenet.commands import COMMANDS
from lenet.data.sets.folder_listing import SUFFIXES
from lenet.errors import UserError, nearest
from lenet.runs import read_config
from lenet.runs.trusted_names import subclasses

__all__ = ["RefusedCommand", "explain"]

# Lines that describe what was tried, not what is wrong.
_TRIED = re.compile(
    r"Does not validate against|Subtypes:|Errors:|Expected a <class 'NoneType'>|Given value type:"
    r"|Problem with given class_path|.*to be a subclass of|$"
)


@dataclass
class RefusedCommand:
    """A command line that was refused.

    Args:
        message: What jsonargparse or argparse says.
        parser: The parser of the command.
        command: The command, or nothing if none is typed.
        args: The command line.
        classes: The classes that it chooses, by ``model``, ``data``, ``model.optimizer`` and so on.
    """

    message: str
    parser: ArgumentParser
    command: str = ""
    args: Sequence[str] = ()
    classes: Mapping[str, str] = field(default_factory=dict)

    @property
    def see(self) -> str:
        """Where the options of the command are listed."""
        return f" See lenet {self.command} --help."

    @property
    def predicts(self) -> bool:
        """Whether the command predicts images."""
        return self.command in ("predict", "run")

    @cached_property
    def known(self) -> KnownOptions:
        """The options of the command and of its classes, and those of other classes."""
        return KnownOptions(command_options(self.parser, self.classes), options_by_class)

    def suggest(self, option: str) -> str:
        """Suggest an existing option for one that does not exist."""
        meant = suggest(option, self.known, self.see)
        if "--data.predict_path?" in meant and not self.predicts:
            return " To predict images, use lenet predict --data.predict_path."
        return meant


def explain(refused: RefusedCommand) -> str:
    """Return one line that describes what is wrong with a command line and how to fix it."""
    for pattern, sentence in _MESSAGES.items():
        if found := re.match(pattern, refused.message, re.DOTALL):
            return sentence(refused, found)
    return _explain_value(refused)


def _no_command(refused: RefusedCommand, found: re.Match[str]) -> str:
    if refused.args and refused.args[0].startswith("-"):
        return f"{refused.args[0]}: the command comes first, as in lenet fit. See lenet --help."
    given = re.search(r"invalid choice: '([^']*)' \(choose from ", refused.message)
    said = f"{given[1]}: no such command.{nearest(given[1], COMMANDS)}" if given else "no command."
    return f"{said} Choose from {', '.join(COMMANDS)}. See lenet --help."


def _unexpected_word(refused: RefusedCommand, found: re.Match[str]) -> str:
    words = found[1]  # separated by spaces, which may be in the first of them as well
    first = words.split()[0]
    typed = (arg for arg in refused.args if words == arg or words.startswith(f"{arg} "))
    word = next(typed, first)
    meant = _meant_by_path(refused, word) or _meant_by_name(refused, word) or refused.see
    return f"unexpected argument '{word}': options start with --.{meant}"


def _unknown_option(refused: RefusedCommand, found: re.Match[str]) -> str:
    return f"{found[1]}: no such option.{refused.suggest(found[1].lstrip('-'))}"


def _unknown_key(refused: RefusedCommand, found: re.Match[str]) -> str:
    """Return the error for an unknown key of a config, which has no ``--``."""
    group, key = found[1], found[2]
    option = key if group is None or key.startswith(f"{group}.") else f"{group}.{key}"
    option = re.sub(r"\.(class_path|init_args)\b.*", "", option)  # of a class that it is not
    command, _, inner = option.partition(".")
    if command in COMMANDS:
        moved = f"Move {inner} and all else" if inner else "Move everything"
        return (
            f"{command}: a config has its options at the top, not below a command. {moved} "
            f"out of {command}."
        )
    meant = refused.suggest(option)
    if one := re.fullmatch(r" Did you mean --([\w.]+)\?", meant):
        meant = f" Did you mean {one[1]}?"
    return f"{option}: no such option.{meant}"


def _key_that_is_no_text(refused: RefusedCommand, found: re.Match[str]) -> str:
    return f"a config has the key {found[1].rstrip('.')}: keys must be strings."


def _config_without_values(refused: RefusedCommand, found: re.Match[str]) -> str:
    return f"a config sets no options: {found[1]}".rstrip(": \n")


def _missing_value(refused: RefusedCommand, found: re.Match[str]) -> str:
    """Name the option as it is typed: argparse names the class that it belongs to."""
    following = [*refused.args[1:], "--"]
    for arg, value in zip(refused.args, following, strict=True):
        if arg.startswith(found[1]) and "=" not in arg and value.startswith("--"):
            return f"{arg}: needs a value."
    return f"{found[1]}: needs a value."


def _help_of_no_class(refused: RefusedCommand, found: re.Match[str]) -> str:
    base = BASES.get(found[1].rpartition(".")[2])
    names = [cls.__name__ for cls in subclasses(base)] if base else []
    return f"--{found[1]}.help {found[2]}: no such class.{nearest(found[2], names)}"


# Each message of jsonargparse and argparse that is not about a value.
_MESSAGES: dict[str, Callable[[RefusedCommand, re.Match[str]], str]] = {
    r".*(?:\"subcommand\"|argument subcommand)": _no_command,
    r"unrecognized arguments: ([^-].*)": _unexpected_word,
    r"unrecognized arguments: (--?[^\s=]+)": _unknown_option,
    r"(?:Group '([^']+)' does not accept o|Subcommand '\w+' does not accept o|O)ption '([^']+)'": (
        _unknown_key
    ),
    r"(?:Key must be a string, got: |Empty nested key: )(.*)": _key_that_is_no_text,
    r"Unexpected config: (.*)": _config_without_values,
    r"argument (--\S+): expected one argument": _missing_value,
    r"(?:argument )?--(\S+)\.help: Expected a dot import path string: (\S+)": _help_of_no_class,
}


def _meant_by_path(refused: RefusedCommand, word: str) -> str:
    """Suggest the option for a path without an option, or return an empty string."""
    typed = quote(word)
    ending = os.path.splitext(word)[1].lower()
    if ending in (".yaml", ".yml"):
        try:
            read_config(word)
        except UserError as e:
            return f" {e}"
        return f" Did you mean --config {typed}?"
    is_run = os.path.isdir(os.path.join(word, "checkpoints"))
    if ending in (".ckpt", ".safetensors") or word in ("best", "last") or is_run:
        return f" Did you mean --ckpt_path {typed}?"
    if ending in SUFFIXES or (os.path.isdir(word) and _has_images(word)):
        return _meant_by_images(refused, word)
    return ""


def _meant_by_images(refused: RefusedCommand, path: str) -> str:
    """Suggest the option for an image or a folder of images without an option."""
    if any(arg.partition("=")[0] == "--data.predict_path" for arg in refused.args):
        ending = os.path.splitext(path)[1].lower()
        return f" A pattern needs quotation marks: --data.predict_path '*{ending}'."
    if refused.predicts:
        return f" Did you mean --data.predict_path {quote(path)}?"
    if os.path.isdir(path):
        return f" Did you mean --data ImageFolder --data.root {quote(path)}?"
    return f" Did you mean lenet predict --data.predict_path {quote(path)}?"


def _meant_by_name(refused: RefusedCommand, word: str) -> str:
    """Suggest the option for a word without an option, or return an empty string."""
    option, equals, _ = word.partition("=")
    if option in refused.known.options:
        return f" Did you mean --{word}?"
    if equals:
        return suggest(option, refused.known)
    if "/" in word or os.sep in word:
        images = f" or --data.predict_path {quote(word)}" if refused.predicts else ""
        return f" Did you mean --ckpt_path {quote(word)}{images}?"
    for group in ("model", "data"):
        if any(cls.__name__ == word for cls in subclasses(BASES[group])):
            return f" Did you mean --{group} {word}?"
    return ""


def _has_images(folder: str) -> bool:
    """Return whether there are images among the first thousand files below a folder."""
    files = (file for _, _, files in os.walk(folder) for file in files)
    return any(file.lower().endswith(SUFFIXES) for file in islice(files, 1_000))


@dataclass
class _Value:
    """What is wrong with the value of an option, or with the options of a class.

    Args:
        refused: The command line.
        key: The option, without ``--``, or nothing.
        value: Its value, as jsonargparse writes it.
        reason: What is wrong with it.
    """

    refused: RefusedCommand
    key: str
    value: str
    reason: str

    @property
    def option(self) -> str:
        return f"--{self.key}" if self.key else ""

    @property
    def class_path(self) -> str:
        """Path of the class whose option is wrong: the one that is nested deepest."""
        tried = self.refused.message.partition("Given value:")[0]
        paths = re.findall(r"class_path(?:='|': '| ')([\w.]+)", tried)
        return paths[-1] if paths else ""


def _explain_value(refused: RefusedCommand) -> str:
    value = _Value(refused, *_innermost(refused.message))
    if value.key.rpartition(".")[2] in BASES:
        _import_again(value.value)
    if found := re.search(r"Multiple subclasses with name (\w+)\..*?: (.*)\.", refused.message):
        return _several_classes(value, found)
    for pattern, sentence in _REASONS.items():
        if found := re.match(pattern, value.reason):
            return sentence(value, found)
    return f"{value.option}: {value.reason}" if value.option else value.reason


def _option_of_class(value: _Value, found: re.Match[str]) -> str:
    name = f"{value.key}.{found[1]}"
    unknown = f"--{name}: no such option."
    if found[1] in ("lr", "max_lr"):
        return f"{unknown} The only learning rate is --model.lr."
    if value.key in ("model", "data"):
        cls = value.class_path.rpartition(".")[2]
        see = f" See lenet {value.refused.command} --{value.key}.help {cls}."
        classes = {**value.refused.classes, value.key: cls}
        known = KnownOptions(command_options(value.refused.parser, classes), options_by_class)
        return f"{unknown}{suggest(name, known, see)}"
    if not value.class_path:
        return unknown
    cls = class_of({"class_path": value.class_path})
    if cls in BASES.values():
        return f"--{name}: no class is chosen yet. Put {value.option} CLASS first."
    options = [f"{value.key}.{argument}" for argument in arguments_of(cls)]
    listed = f" There are {', '.join(f'--{option}' for option in options)}." if options else ""
    return f"{unknown}{suggest(name, KnownOptions(options), listed)}"


def _several_classes(value: _Value, found: re.Match[str]) -> str:
    if value.key == "trainer.callbacks" and found[1] in ALWAYS_ON:
        return f"{value.option} {found[1]}: {ALWAYS_ON[found[1]]}"
    return f"{value.option} {found[1]}: ambiguous. Use one of {found[2]}."


def _no_class(value: _Value, found: re.Match[str]) -> str:
    base = BASES.get(value.key.rpartition(".")[2])
    in_use = ("lenet.pictures.", "lenet.training.")  # callbacks that are always there
    names = sorted(
        {
            cls.__name__
            for cls in (subclasses(base) if base else ())
            if not cls.__name__.startswith("_") and not cls.__module__.startswith(in_use)
        }
    )
    meant = nearest(found[1], names) or (f" Choose from {', '.join(names[:40])}." if names else "")
    networks = models.list_models(module=models) if value.key == "model" else []
    if same := [name for name in networks if name.startswith(found[1].lower())]:
        meant = f" Did you mean --model TorchvisionModel --model.name {same[0]}?"
    return f"{value.option} {found[1]}: no such class.{meant}"


def _value_of_group(value: _Value, found: re.Match[str]) -> str:
    is_group = f"{value.option} {found[1]}: this is a group of options"
    if value.key == "checkpoint":
        return f"{is_group}. Did you mean --ckpt_path?"
    options = [o for o in value.refused.known.options if o.rpartition(".")[0] == value.key]
    return f"{is_group}, which are {', '.join(f'--{option}' for option in options)}."


def _other_type(value: _Value, found: re.Match[str]) -> str:
    given = f"{value.option} {value.reason.partition('Got value: ')[2] or value.value}".rstrip()
    listed = re.findall(r"typing.Literal\[(.*?)\]", value.refused.message)
    choices = [choice.strip("'\"") for choices in listed for choice in choices.split(", ")]
    if choices:
        choices = list(dict.fromkeys(choices))
        meant = nearest(given.rpartition(" ")[2], choices)
        return f"{given}: must be one of {', '.join(choices)}.{meant}"
    types = dict.fromkeys(re.findall(r"Expected a <class '(\w+)'>", value.refused.message))
    types.pop("NoneType", None)
    return f"{given}: expected {' or '.join(types)}."


def _missing_arguments(value: _Value, found: re.Match[str]) -> str:
    names = found[1].split(", ")
    if not value.option:
        prefix = f"{value.refused.command}."
        return f"{', '.join(f'--{name.removeprefix(prefix)}' for name in names)}: required."
    cls = re.search(r"class_path='[\w.]*?(\w+)'", value.value)
    needed = ", ".join(f"{value.option}.{name}" for name in names)
    return f"{value.option} {cls[1] if cls else value.value}: requires {needed}."


# Each reason of jsonargparse that a value is refused for.
_REASONS: dict[str, Callable[[_Value, re.Match[str]], str]] = {
    r".*Option '([^']+?)\+?' is not accepted": _option_of_class,
    r"Expected a (?:path but|dot import path string:) (\S+)": _no_class,
    r"Unable to load config ['\"](.*)['\"]": _value_of_group,
    r"Expected a (?:<class '\w+'>|typing.Literal\[)": _other_type,
    r".*arguments are required: (.*)": _missing_arguments,
}


def _innermost(message: str) -> tuple[str, str, str]:
    """Find the key (dotted), the value and the reason of what is wrong."""
    keys: list[str] = []
    value = ""
    reason = ""
    otherwise = ""
    for raw in message.splitlines():
        line = raw.strip().removeprefix("- ")
        if found := re.match(r"Parser key \"([^\"]+)\":?\s*", line):
            if found[1] not in keys[-1:]:
                keys.append(found[1])
            line = line[found.end() :]
        if found := re.match(r"Given value: (.*)", line):
            value = value or found[1]
            continue
        line = re.sub(r"Type .*? expects a function or a callable class: ", "", line)
        if found := re.match(r"Parser key \"([^\"]+)\":?\s*$", line):
            keys.append(found[1])
            continue
        if not reason and not _TRIED.match(line):
            reason = re.sub(r"\.?\.? Got value: (Namespace|NestedArg|\{).*", "", line)
            if reason == "Expected a <class 'list'>":  # what is given may stand without a list
                otherwise = reason
                reason = ""
    return ".".join(keys), value, reason or otherwise or " ".join(message.split())


def _import_again(value: str) -> None:
    """Raise the error that jsonargparse caught while importing the module of a class.

    Args:
        value: The class, as jsonargparse writes it: ``a.B`` or ``{'class_path': 'a.B'}``.
    """
    found = re.match(r"\[?(?:\{'class_path': |Namespace\(class_path=)?'?([\w.]+)\.\w+(?!\w)", value)
    if not found or not all(name.isidentifier() for name in found[1].split(".")):
        return
    try:
        importlib.import_module(found[1])
    except ModuleNotFoundError as e:
        if e.name is None or not f"{found[1]}.".startswith(f"{e.name}."):
            raise  # of what the module imports
