"""The parser: Lightning's, with one line for a mistake, help without marks, and bounded files."""

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
    """Let jsonargparse read YAML within the bounds of a config, and no file from the web.

    It reads some by itself, such as the file that ``--model`` names.
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
    """What a parser refuses. Not an ``Exception``: jsonargparse would try something else.

    Args:
        parser: The parser of the command, or of all commands if none is typed.
        message: What jsonargparse or argparse says.
    """

    def __init__(self, parser: ArgumentParser, message: str):
        super().__init__(2)
        self.parser = parser
        self.message = message


class Parser(LightningArgumentParser):
    """Lightning's parser, with one line for a mistake."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Refuse what is wrong, once all that could be meant has been tried."""
        if not self.exit_on_error:
            super().error(message, ex)
        raise _RefusedError(getattr(ex, "subcommand_parser", None) or self, message)

    def add_instantiator(self, instantiator: Any, *args: Any, **kwargs: Any) -> None:
        """Take what constructs the classes of a kind, and let through what they raise."""
        super().add_instantiator(LetThrough(instantiator), *args, **kwargs)

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


def parse(
    parser: ArgumentParser,
    command_parser: ArgumentParser,
    args: Sequence[str],
    command: str,
    classes: Mapping[str, str],
) -> Any:
    """Parse a command line, or exit with one line that says what is wrong with it.

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
    # Out of reach of jsonargparse, which takes some of our bugs for mistakes of the user.
    what = explanations.RefusedCommand(refused.message, command_parser, command, args, classes)
    line = one_line(explanations.explain(what))
    program = f"{parser.prog} {command}".strip() if refused.parser is not parser else parser.prog
    return parser.exit(2, f"{program}: error: {line}\n")
