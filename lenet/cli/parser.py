"""The parser, which says in one line what is wrong: the option, its value and the way out.

jsonargparse describes every alternative of a nested type that it tried, over up to thirty lines.
The one that matters is in there; this finds it and puts it into the words that were typed.
"""

import argparse
import importlib
import inspect
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from shlex import quote
from typing import Any, NoReturn

import jsonargparse
import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import Logger
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchvision import models

from lenet.cli.construction import ALWAYS_ON, let_through
from lenet.cli.suggestions import Known, suggest
from lenet.commands import COMMANDS
from lenet.data import ImageDataModule
from lenet.data.sets.folder_listing import SUFFIXES
from lenet.errors import UserError, nearest, one_line
from lenet.models import ImageClassifier
from lenet.runs import bounded_yaml, read_config
from lenet.runs.trusted_names import subclasses

__all__ = [
    "Parser",
    "bound_what_is_read",
    "check_nulls",
    "check_seed",
    "class_of",
    "complete",
    "explain",
    "parse",
]

# A config's key that is no option, in the group of it.
_NO_OPTION = (
    r"^(?:Group '([^']+)' does not accept option|Subcommand '\w+' does not accept option|Option)"
    r" '([^']+)'"
)
# Lines that tell what was tried, not what is wrong.
_TRIED = re.compile(
    r"Does not validate against|Subtypes:|Errors:|Expected a <class 'NoneType'>|Given value type:"
    r"|Problem with given class_path|.*to be a subclass of|$"
)
_BASES = {
    "model": ImageClassifier,
    "data": ImageDataModule,
    "optimizer": Optimizer,
    "scheduler": LRScheduler,
    "callbacks": Callback,
    "logger": Logger,
}
# Options of Lightning's that it does not check.
LEAST = {"trainer.accumulate_grad_batches": 1}


def bound_what_is_read() -> None:
    """Let jsonargparse read files and YAML within the bounds of a config, and none from the web.

    It reads some by itself, such as the file that ``--model`` names.
    """
    load = jsonargparse.get_loader("yaml")
    if getattr(load, "is_bounded", False):
        return

    def bounded(text: str) -> Any:
        return bounded_yaml.load(text, load)

    bounded.is_bounded = True  # type: ignore[attr-defined]
    jsonargparse.set_loader("yaml", bounded, (yaml.YAMLError,))
    path: Any = jsonargparse.Path  # pyright: ignore[reportPrivateImportUsage]
    path.read_text = lambda self: bounded_yaml.read_text(self.absolute, self.relative)
    jsonargparse.set_parsing_settings(config_read_mode_fsspec_enabled=False)


class _RefusedError(SystemExit):
    """What a parser refuses. Not an ``Exception``: jsonargparse would try something else.

    Args:
        parser: The parser of the command.
        message: What jsonargparse or argparse says.
    """

    def __init__(self, parser: ArgumentParser, message: str):
        super().__init__(2)
        self.parser, self.message = parser, message


class Parser(LightningArgumentParser):
    """Lightning's parser, with one line for a mistake."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Refuse what is wrong, once all that could be meant has been tried."""
        if not self.exit_on_error:
            super().error(message, ex)
        raise _RefusedError(getattr(ex, "subcommand_parser", None) or self, message)

    def add_instantiator(self, instantiator: Any, *args: Any, **kwargs: Any) -> None:
        """Take what constructs the classes of a kind, and let through what they raise."""
        super().add_instantiator(let_through(instantiator), *args, **kwargs)

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """Give the help: that of a model or data with all that is said of it, without marks."""
        text = super().format_help(*args, **kwargs)
        if " [options] " in self.prog:  # of a command, where argparse begins with every option
            usage = f"usage: {self.prog.replace(' [options]', '')} [options]\n\n"
            text = usage + text.partition("\n\n")[2]
        if found := re.search(r"Help for\s+--\S+=(\S+)", text):
            cls = class_of({"class_path": found[1]})
            text = re.sub(r"--(optimizer|scheduler)\.", r"--model.\1.", text.partition("\n\n")[2])
            if issubclass(cls, (ImageClassifier, ImageDataModule)):
                about = re.split(r"\n\n(?:Args|Raises):", inspect.getdoc(cls) or found[1])[0]
                title = re.escape(about.partition("\n")[0].rstrip("."))
                text = re.sub(rf"\n({title}|<class '\S+'>):\n", "\noptions:\n", text)
                text = text.replace(found[0], about)
        return re.sub(r":\w+:`~?([\w.]+)`", r"\1", text).replace("``", "")


def parse(parser: ArgumentParser, args: Sequence[str], verb: str, named: Mapping[str, str]) -> Any:
    """Parse a command line, or exit with one line that says what is wrong with it.

    Args:
        parser: The parser of all commands.
        args: The command line.
        verb: The command, or nothing if none is typed.
        named: The classes that the command line chooses, by ``model`` and so on.
    """
    try:
        return parser.parse_args(args)
    except _RefusedError as e:
        refused = e
    # Out of reach of jsonargparse, which takes some of our bugs for mistakes of the user.
    command = f"{parser.prog} {verb}".strip() if refused.parser is not parser else parser.prog
    line = one_line(explain(parser, refused.message, verb, named))
    return parser.exit(2, f"{command}: error: {line}\n")


def explain(
    parser: ArgumentParser, message: str, verb: str = "", named: Mapping[str, str] | None = None
) -> str:
    """Put a message of jsonargparse or argparse into one line.

    Args:
        parser: The parser of all commands.
        message: The message.
        verb: The command, or nothing if none is typed.
        named: The classes that the command line chooses, by ``model`` and so on.
    """
    args = list(getattr(parser, "args", None) or [])
    verbs = list(COMMANDS)
    if '"subcommand"' in message or "argument subcommand" in message:
        given = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if args[:1] and args[0].startswith("-"):
            return f"{args[0]}: the command comes first, as in lenet fit. See lenet --help."
        said = f"{given[1]}: no such command.{nearest(given[1], verbs)}" if given else "no command."
        return f"{said} There are {', '.join(verbs)}: see lenet --help."
    parser = parser._subcommands_action._name_parser_map.get(verb, parser)  # type: ignore[union-attr]
    see = f" See lenet {verb} --help."
    if found := re.match(r"unrecognized arguments: ([^-]\S*)(.*)", message, re.DOTALL):
        said = found[1] + found[2]
        word = next((arg for arg in args if said == arg or said.startswith(f"{arg} ")), found[1])
        meant = _meant_by(word, verb, args, _known(parser, named or {}))
        return f"unexpected argument '{word}': options start with --.{meant or see}"
    if found := re.match(r"unrecognized arguments: (--?[^\s=]+)", message):
        known = _known(parser, named or {})
        meant = _for_command(suggest(found[1].lstrip("-"), known, see), verb)
        return f"{found[1]}: no such option.{meant}"
    if found := re.match(_NO_OPTION, message):
        option = ".".join(filter(None, found.groups()))
        option = re.sub(r"\.(class_path|init_args)\b.*", "", option)  # of a class that it is not
        if option.partition(".")[0] in verbs:
            command, _, inner = option.partition(".")
            moved = f"Move {inner} and all else" if inner else "Move everything"
            return (
                f"{command}: a config has its options at the top, not below a command. {moved} "
                f"out of {command}."
            )
        if found[1] and option.startswith(f"{found[1]}.{found[1]}."):
            option = option.removeprefix(f"{found[1]}.")
        meant = _for_command(suggest(option, _known(parser, named or {}), see), verb)
        one = re.fullmatch(r" Did you mean --([\w.]+)\?", meant)
        return f"{option}: no such option.{f' Did you mean {one[1]}?' if one else meant}"
    if found := re.match(r"(?:Key must be a string, got: |Empty nested key: )(.*)", message):
        return f"a config has the key {found[1].rstrip('.')}: an option's name is text."
    if found := re.match(r"Unexpected config: (.*)", message, re.DOTALL):
        return f"a config gives no option a value: {found[1]}"
    return _explain_value(parser, message, verb, named or {})


def _explain_value(
    parser: ArgumentParser, message: str, verb: str, named: Mapping[str, str]
) -> str:
    """Put into one line what is wrong with an option's value, or with the options of its class."""
    key, value, reason = _innermost(message)
    option = f"--{key}" if key else ""
    if key.rpartition(".")[2] in _BASES:
        _import_again(value)
    # Of the class that is nested deepest.
    paths = re.findall(r"class_path(?:='|': '| ')([\w.]+)", message.partition("Given value:")[0])
    if found := re.search(r"Option '([^']+?)\+?' is not accepted", reason):
        name = f"{key}.{found[1]}"
        if found[1] in ("lr", "max_lr"):
            return f"--{name}: no such option. The only learning rate is --model.lr."
        if key in ("model", "data"):
            cls = paths[-1].rpartition(".")[2] if paths else ""
            see = f" See lenet {verb} --{key}.help {cls}."
            known = _known(parser, {**named, key: cls})
            return f"--{name}: no such option.{suggest(name, known, see)}"
        if paths and class_of({"class_path": paths[-1]}) in _BASES.values():
            return f"--{name}: no class is chosen yet. Put {option} CLASS before it."
        names = [f"{key}.{argument}" for argument in _arguments(paths)]
        there = f" There are {', '.join(f'--{argument}' for argument in names)}." if names else ""
        return f"--{name}: no such option.{suggest(name, Known(names), there)}"
    if found := re.search(r"Multiple subclasses with name (\w+)\..*?: (.*)\.", message):
        if key == "trainer.callbacks" and found[1] in ALWAYS_ON:
            return f"{option} {found[1]}: {ALWAYS_ON[found[1]]}"
        return f"{option} {found[1]}: there are several. Give one of {found[2]}."
    if found := re.match(r"Expected a (?:path but|dot import path string:) (\S+)", reason):
        base = _BASES.get(key.rpartition(".")[2])
        classes = {
            cls.__name__
            for cls in (subclasses(base) if base else ())
            if not cls.__module__.startswith(
                ("lenet.pictures.", "lenet.training.")
            )  # there already
        }
        names = sorted(name for name in classes if name[0] != "_")
        said = nearest(found[1], names) or (f" There are {', '.join(names[:40])}." if names else "")
        networks = models.list_models(module=models) if key == "model" else []
        if like := [name for name in networks if name.startswith(found[1].lower())]:
            said = f" Did you mean --model TorchvisionModel --model.name {like[0]}?"
        return f"{option} {found[1]}: no such class.{said}"
    if found := re.match(r"Unable to load config ['\"](.*)['\"]", reason):
        if key == "checkpoint":
            return f"{option} {found[1]}: this is a group of options. Did you mean --ckpt_path?"
        names = [f"--{action.dest}" for action in parser._actions if _group_of(action) == key]
        return f"{option} {found[1]}: this is a group of options, which are {', '.join(names)}."
    if found := re.match(r"Expected a (?:<class '(\w+)'>|typing.Literal\[(.*?)\])", reason):
        value = reason.partition("Got value: ")[2] or value
        literals = re.findall(r"typing.Literal\[(.*?)\]", message)
        if found[1] and literals:
            choices = [choice.strip("'\"") for part in literals for choice in part.split(", ")]
            choices = list(dict.fromkeys(choices))
            return (
                f"{option} {value}: must be one of {', '.join(choices)}.{nearest(value, choices)}"
            )
        if found[1]:
            types = dict.fromkeys(re.findall(r"Expected a <class '(\w+)'>", message))
            types.pop("NoneType", None)
            return f"{option} {value}".rstrip() + f": expected {' or '.join(types)}."
        choices = [choice.strip("'") for choice in found[2].split(", ")]
        return f"{option} {value}: must be one of {', '.join(choices)}.{nearest(value, choices)}"
    if found := re.search(r"arguments are required: (.*)", reason):
        names = ", ".join(
            f"{option}.{name}" if option else f"--{name.removeprefix(f'{verb}.')}"
            for name in found[1].split(", ")
        )
        if not option:
            return f"{names} must be given."
        cls = re.search(r"class_path='[\w.]*?(\w+)'", value)
        return f"{option} {cls[1] if cls else value}: also needs {names}."
    return f"{option}: {reason}" if option else reason


def _innermost(message: str) -> tuple[str, str, str]:
    """Find the key (dotted), the value and the reason of what is wrong."""
    keys: list[str] = []
    value, reason, otherwise = "", "", ""
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
                otherwise, reason = reason, ""
    return ".".join(keys), value, reason or otherwise or " ".join(message.split())


def _import_again(value: str) -> None:
    """Raise what jsonargparse has caught while it imported the module of a class.

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


def _arguments(class_paths: list[str]) -> Iterable[str]:
    if not class_paths:
        return []
    module, _, name = class_paths[-1].rpartition(".")
    parser = ArgumentParser()
    parser.add_class_arguments(getattr(sys.modules[module], name), fail_untyped=False)
    # What the trainer gives is not typed.
    given = ("params", "lr", "optimizer", "max_lr", "total_steps") if module[:6] == "torch." else ()
    return [name for name in parser.get_defaults().as_dict() if name.split(".")[0] not in given]


def _known(parser: ArgumentParser, named: Mapping[str, str]) -> Known:
    """List the options of a command with the classes that it names, and those of other classes."""
    options = [action.dest for action in parser._actions if action.option_strings]
    for group in ("model", "data"):
        cls = named.get(group) or (parser.get_default(group) or {}).get("class_path", "")
        name = cls.rpartition(".")[2]
        found = [c for c in subclasses(_BASES[group]) if c.__name__ == name]
        options += _options_of(found[0] if found else _BASES[group], group)
    for part in ("optimizer", "scheduler"):
        name = named.get(f"model.{part}", "").rpartition(".")[2]
        found = [c for c in subclasses(_BASES[part]) if c.__name__ == name]
        options += _options_of(found[0], f"model.{part}") if found else []

    def others() -> dict[str, list[str]]:
        classes: dict[str, list[str]] = {}
        for group in ("model", "data"):
            for cls in sorted(subclasses(_BASES[group]), key=lambda cls: cls.__name__):
                if cls.__module__.startswith("lenet.") and cls.__name__[0] != "_":
                    for option in _options_of(cls, group):
                        classes.setdefault(option, []).append(cls.__name__)
        return classes

    return Known(options, others)


def _options_of(cls: type, group: str) -> list[str]:
    return [f"{group}.{name}" for name in _arguments([f"{cls.__module__}.{cls.__name__}"])]


def _group_of(action: argparse.Action) -> str:
    return action.dest.rpartition(".")[0]


def _for_command(meant: str, verb: str) -> str:
    """Name the command as well where an option is for another one."""
    if "--data.predict_path?" in meant and verb not in ("predict", "run"):
        return " To predict images type lenet predict --data.predict_path."
    return meant


def _meant_by(word: str, verb: str, args: Sequence[str], known: Known) -> str:
    """Say which option a word that stands alone is for, or nothing if that cannot be told."""
    typed, ending = quote(word), os.path.splitext(word)[1].lower()
    is_folder, predicts = os.path.isdir(word), verb in ("predict", "run")
    has_images = ending in SUFFIXES or (is_folder and _has_images(word))
    if has_images and any(arg.partition("=")[0] == "--data.predict_path" for arg in args):
        return f" A pattern needs quotation marks: --data.predict_path '*{ending}'."
    if ending in (".yaml", ".yml"):
        try:
            read_config(word)
        except UserError as e:
            return f" {e}"
        return f" Did you mean --config {typed}?"
    if (
        ending == ".ckpt"
        or word in ("best", "last")
        or os.path.isdir(os.path.join(word, "checkpoints"))
    ):
        return f" Did you mean --ckpt_path {typed}?"
    if has_images and predicts:
        return f" Did you mean --data.predict_path {typed}?"
    if has_images and is_folder:
        return f" Did you mean --data ImageFolder --data.root {typed}?"
    if has_images:
        return f" Did you mean lenet predict --data.predict_path {typed}?"
    option = word.partition("=")[0]
    if option in known.options:
        return f" Did you mean --{word}?"
    if option != word:
        return suggest(option, known)
    if "/" in word or os.sep in word:
        images = f" or --data.predict_path {typed}" if predicts else ""
        return f" Did you mean --ckpt_path {typed}{images}?"
    for group in ("model", "data"):
        if any(cls.__name__ == word for cls in subclasses(_BASES[group])):
            return f" Did you mean --{group} {word}?"
    return ""


def _has_images(folder: str) -> bool:
    """Tell whether there are images among the first thousand files below a folder."""
    files = (file for _, _, files in os.walk(folder) for file in files)
    return any(file.lower().endswith(SUFFIXES) for file in islice(files, 1_000))


def check_nulls(group: str, values: Any, cls: type) -> None:
    """Refuse a null where an option needs a value, and numbers that nobody else refuses.

    Raises:
        UserError: With the option.
    """
    if values is None:
        raise UserError(f"--{group} null: needs a value. Leave it out for the default.")
    for name, value in values.items():
        _check_numbers(f"{group}.{name.replace('init_args.', '')}", value)
    if "class_path" in values:
        cls, values = class_of(values), values.get("init_args") or {}
    parser = ArgumentParser()
    parser.add_class_arguments(cls, fail_untyped=False)
    for name, default in parser.get_defaults().items():
        if default is not None and "." not in name and values.get(name, default) is None:
            raise UserError(f"--{group}.{name} null: needs a value. Leave it out for the default.")


def _check_numbers(option: str, value: Any) -> None:
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, int) and abs(number) >= 2**63:
            raise UserError(f"--{option}: has more than 64 bits. Give a smaller number.")
        if isinstance(number, float) and math.isnan(number):  # which no range refuses
            raise UserError(f"--{option} nan: is not a number.")
        if option in LEAST and number is not None and number < LEAST[option]:
            raise UserError(f"--{option} {number}: must be at least {LEAST[option]}.")


def check_seed(seed: int | bool) -> None:
    """Refuse a seed that NumPy's random numbers cannot start from.

    Raises:
        UserError: If it is out of range.
    """
    _check_numbers("seed_everything", seed)
    if not 0 <= seed < 2**32:
        raise UserError(f"--seed_everything {seed}: must be from 0 to {2**32 - 1:,}.")


def complete(verb: str, model: Any, data: Any) -> None:
    """Settle what depends on model, data and command together.

    Images are brought to the size that the model is usually given, unless another is asked for.

    Raises:
        UserError: If images of one's own are given to a command that predicts none.
    """
    options = data["init_args"]
    if options.get("image_size", 0) is None:
        options["image_size"] = class_of(model).usual_image_size or class_of(data).native_size
    path = options.get("predict_path")
    if path is not None and verb not in ("predict", "run"):
        raise UserError(
            f"--data.predict_path {path}: {verb} predicts no images. Leave it out, or type "
            f"lenet predict."
        )


def class_of(spec: Any) -> Any:
    """Give the class that a parsed ``class_path`` names."""
    module, _, name = spec["class_path"].rpartition(".")
    return getattr(sys.modules[module], name)
