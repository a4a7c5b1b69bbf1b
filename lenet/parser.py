"""The parser, which says in one line what is wrong: the option, its value and the way out.

jsonargparse describes every alternative of a nested type that it tried, over up to thirty lines.
The one that matters is in there; this finds it and puts it into the words that were typed.
"""

import inspect
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import jsonargparse
import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch import Callback
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import Logger
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lenet.data import ImageDataModule
from lenet.errors import UserError, nearest, one_line
from lenet.models import ImageClassifier
from lenet.safety import config

__all__ = ["Parser", "check_nulls", "class_of", "complete", "explain", "subclasses"]

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

# What jsonargparse reads by itself, such as the file that --model names, has a config's bounds.
_load = jsonargparse.get_loader("yaml")
jsonargparse.set_loader("yaml", lambda text: config.load(text, _load), (yaml.YAMLError,))
_Path: Any = jsonargparse.Path  # pyright: ignore[reportPrivateImportUsage]
_Path.read_text = lambda self: config.read_text(self.absolute, self.relative)
jsonargparse.set_parsing_settings(config_read_mode_fsspec_enabled=False)  # nothing out of the web


class Parser(LightningArgumentParser):
    """Lightning's parser, with one line for a mistake."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the mistake and exit with 2, once all that could be meant has been tried."""
        if not self.exit_on_error:
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        prog = parser.prog.replace(" [options]", "")
        self.exit(2, f"{prog}: error: {one_line(explain(parser, message))}\n")

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


def explain(parser: ArgumentParser, message: str) -> str:
    """Put a message of jsonargparse or argparse into one line."""
    if (found := re.match(r"unrecognized arguments: (\S+)", message)) and os.path.exists(found[1]):
        if not found[1].endswith((".ckpt", ".yaml", ".yml")) and os.path.isfile(found[1]):
            return (
                f"{found[1]}: one file too many. A pattern needs quotation marks: "
                "--data.predict_path '*.png'."
            )
        return f"{found[1]}: give it as --ckpt_path {found[1]} or --config {found[1]}."
    if found := re.match(r"unrecognized arguments: ([^-]\S*)", message):
        return f"{found[1]}: not an option: they begin with --. All are in --help."
    if found := re.match(r"unrecognized arguments: (--?[\w.+-]+)", message):
        options = [name for action in parser._actions for name in action.option_strings]
        return f"{found[1]}: no such option.{nearest(found[1], options)}"
    if found := re.search(r"does not accept option '([^']+)'", message):
        names = [action.dest for action in parser._actions]
        return f"{found[1]}: no such option.{nearest(found[1], names)}"
    if found := re.match(r"(?:Key must be a string, got: |Empty nested key: )(.*)", message):
        return f"a config has the key {found[1].rstrip('.')}: an option's name is text."
    if found := re.match(r"Unexpected config: (.*)", message, re.DOTALL):
        return f"a config gives no option a value: {found[1]}"
    if '"subcommand"' in message or "argument subcommand" in message:
        given = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        verbs = list(parser._subcommands_action._name_parser_map)  # type: ignore[union-attr]
        said = f"{given[1]}: no such command.{nearest(given[1], verbs)}" if given else "no command."
        return f"{said} There are {', '.join(verbs)}: see lenet --help."
    key, value, reason = _innermost(message)
    option = f"--{key}" if key else ""
    verb = getattr(parser, "subcommand", "") or (getattr(parser, "args", None) or [""])[0]
    # Of the class that is nested deepest.
    paths = re.findall(r"class_path(?:='|': '| ')([\w.]+)", message.partition("Given value:")[0])
    if found := re.search(r"Option '([\w.]+)\+?' is not accepted", reason):
        names = [f"{option}.{name}" for name in _arguments(paths)]
        name = f"{option}.{found[1]}"
        if key in ("model", "data") and (others := _classes_with(found[1], _BASES[key])):
            given, cls = " or ".join(f"{option} {x}" for x in others), paths[-1].rpartition(".")[2]
            return f"{name}: no such option of {cls}. {given} comes before it."
        if found[1] in ("lr", "max_lr"):
            return f"{name}: no such option. The only learning rate is --model.lr."
        return f"{name}: no such option.{nearest(name, names)}"
    if found := re.match(r"Expected a (?:path but|dot import path string:) (\S+)", reason):
        base = _BASES.get(key.rpartition(".")[2])
        known = {cls.__name__ for cls in subclasses(base)} if base else set()
        names = sorted(name for name in known if name[0] != "_")
        said = nearest(found[1], names) or (f" There are {', '.join(names[:40])}." if names else "")
        return f"{option} {found[1]}: no such class.{said}"
    if found := re.match(r"Expected a (?:<class '(\w+)'>|typing.Literal\[(.*?)\])", reason):
        value = reason.partition("Got value: ")[2] or value
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
    value, reason = "", ""
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
    return ".".join(keys), value, reason or " ".join(message.split())


def _arguments(class_paths: list[str]) -> Iterable[str]:
    if not class_paths:
        return []
    module, _, name = class_paths[-1].rpartition(".")
    parser = ArgumentParser()
    parser.add_class_arguments(getattr(sys.modules[module], name), fail_untyped=False)
    # What the trainer gives is not typed.
    given = ("params", "lr", "optimizer", "max_lr", "total_steps") if module[:6] == "torch." else ()
    return [name for name in parser.get_defaults().as_dict() if name.split(".")[0] not in given]


def _classes_with(argument: str, base: type) -> list[str]:
    """Find our models or data sets that have an argument of their own."""
    ours = {cls.__name__: f"{cls.__module__}.{cls.__name__}" for cls in subclasses(base)}
    ours = {name: path for name, path in sorted(ours.items()) if path.startswith("lenet.")}
    return [
        name for name, path in ours.items() if name[0] != "_" and argument in _arguments([path])
    ]


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


def subclasses(cls: type) -> Iterator[type[Any]]:
    """Go through all classes that are derived from a class, at any depth."""
    for subclass in cls.__subclasses__():
        yield subclass
        yield from subclasses(subclass)
