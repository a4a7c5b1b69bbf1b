"""Lightning's parser with one-line errors, help without markup, and limited config files."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import jsonargparse
import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch.cli import LightningArgumentParser

from lenet.cli import explanations
from lenet.cli.construction import LetThrough
from lenet.cli.known_options import class_of
from lenet.data import ImageDataModule
from lenet.errors import one_line
from lenet.models import ImageClassifier
from lenet.runs import bounded_yaml

__all__ = ["Parser", "bound_what_is_read", "parse"]


def bound_what_is_read() -> None:
    """Limit the YAML that jsonargparse reads, and forbid remote files.

    jsonargparse also reads files on its own, such as the file that ``--model`` names.
    """
    load = jsonargparse.get_loader("yaml")
    if getattr(load, "is_bounded", False):
        return

    def bounded(text: str) -> Any:
        return bounded_yaml.load(text, load)

    bounded.is_bounded = True  # type: ignore[attr-defined]
    jsonargparse.set_loader("yaml", bounded, (yaml.YAMLError,))
    jsonargparse.set_parsing_settings(config_read_mode_fsspec_enabled=False)


class _RefusedError(SystemExit):
    """An error of a parser. Not an ``Exception``, since jsonargparse would catch that.

    Args:
        parser: The parser of the command, or of all commands if none is typed.
        message: What jsonargparse or argparse says.
    """

    def __init__(self, parser: ArgumentParser, message: str):
        super().__init__(2)
        self.parser = parser
        self.message = message


class Parser(LightningArgumentParser):
    """Lightning's parser with one-line errors."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise an error, after all alternatives have been tried."""
        if not self.exit_on_error:
            super().error(message, ex)
        raise _RefusedError(getattr(ex, "subcommand_parser", None) or self, message)

    def add_instantiator(self, instantiator: Any, *args: Any, **kwargs: Any) -> None:
        """Add an instantiator whose exceptions jsonargparse does not catch."""
        super().add_instantiator(LetThrough(instantiator), *args, **kwargs)

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """Return the help without markup, with the full docstring of a model or data module."""
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


def parse(
    parser: ArgumentParser,
    command_parser: ArgumentParser,
    args: Sequence[str],
    command: str,
    classes: Mapping[str, str],
) -> Any:
    """Parse a command line, or exit with a one-line error.

    Args:
        parser: The parser of all commands.
        command_parser: The parser of the command.
        args: The command line.
        command: The command, or nothing if none is typed.
        classes: The classes that the command line chooses, by ``model`` and so on.
    """
    try:
        return parser.parse_args(args)
    except _RefusedError as e:
        refused = e
    # Outside of the try block, so that jsonargparse does not hide bugs in this code.
    refusal = explanations.RefusedCommand(refused.message, command_parser, command, args, classes)
    line = one_line(explanations.explain(refusal))
    program = f"{parser.prog} {command}".strip() if refused.parser is not parser else parser.prog
    return parser.exit(2, f"{program}: error: {line}\n")
