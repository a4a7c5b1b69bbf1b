"""Make docs/options.md, the reference of all options, out of the parsers themselves.

    python -m docs.make_options

What an option means is what its docstring says, as in ``--help``: mend it there. Of Lightning's
options it is the first sentence, and the default is the docstring's where the parser has none.
"""

import contextlib
import json
import math
import os
import re
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import lightning
from jsonargparse import ArgumentParser

from lenet import data, models
from lenet.cli import COMMANDS, GROUPS, LeNetCLI
from lenet.cli.parser import LEAST
from lenet.data.ranges import RANGES
from lenet.models.optimization import ReduceLROnPlateau

PAGE = Path(__file__).absolute().with_name("options.md")
Row = tuple[str, str, str, str]  # option, type, default, meaning
ROOMS = {"model": models, "data": data}
# What jsonargparse and Lightning say of these is for programmers.
MEANINGS = {
    "help": "Show the options and exit.",
    "version": "Show the version and exit.",
    "config": "YAML file with options. What is typed beats it.",
    "print_config": "Print all that is in force as YAML and exit. With "
    "`--print_config=skip_default` only what is not the default.",
    "model": "A model below, or [one of your own](extending.md).",
    "data": "A data set below, or [one of your own](extending.md).",
    **{group: "YAML file with options of this group." for group in GROUPS if group not in ROOMS},
}
NAMES = {bool: ["`true`", "`false`"], int: ["int"], float: ["float"]}
NAMES |= {str: ["text"], Path: ["text"], timedelta: ["time span"]}
LIMITS = {f"--data.{name}": limits for name, limits in RANGES.items()}
LIMITS |= {f"--{name}": (least, math.inf) for name, least in LEAST.items()}
BEGINNING = """\
# Options

<!-- Made by `python -m docs.make_options` out of the docstrings: mend them there. -->

Every option as it is typed. In a config it has the same name: see
[options and configs](commands.md#options-and-configs), and [who wins](commands.md#who-wins) where
several say something. The default `null` stands for what the meaning says. Lists and mappings are
typed as in YAML, in quotation marks: `"[32, 64]"`. An option with `+` adds to its list.
"""
NESTED = """\
The options of an optimizer or a schedule are typed like `--model.optimizer.momentum 0.9`, and
listed by `lenet fit --model.optimizer.help SGD` or `lenet fit --model.scheduler.help StepLR`: see
[optimizers and schedules](commands.md#optimizers-and-schedules).
"""
MANUAL = "https://lightning.ai/docs/pytorch/stable/common/trainer.html#trainer-flags"
LIGHTNINGS = f"""\
Of what Lightning {lightning.__version__} says of its options, here is the first sentence. The rest
is in `lenet fit --help` and in [Lightning's manual]({MANUAL}). The default `null` leaves the choice
to Lightning.
"""


def parsers() -> tuple[Any, dict[str, Any]]:
    """Give the parser of ``lenet`` and those of its commands, each with its own defaults."""
    commands = {}
    for verb in COMMANDS:
        cli: Any = LeNetCLI.__new__(LeNetCLI)
        stops: Any = SimpleNamespace(parse_args=sys.exit)  # where all defaults are set
        cli.parse_arguments = lambda _, args, cli=cli, stops=stops: LeNetCLI.parse_arguments(
            cli, stops, args
        )
        with contextlib.suppress(SystemExit):
            cli.__init__([verb, "--trainer.default_root_dir", os.devnull])
        commands[verb] = cli.command_parser
    cli = LeNetCLI.__new__(LeNetCLI)
    cli.parse_arguments = lambda *_: sys.exit()
    with contextlib.suppress(SystemExit):
        cli.__init__([])
    return cli.parser, commands


def plain(text: str) -> str:
    """Bring a docstring's text to a line of Markdown."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return " ".join(text.replace("``", "`").split())


def summary(documented: Any) -> str:
    """Give the first sentence or two of a docstring."""
    return plain(documented.__doc__.partition("\n\n")[0])


def spelt(kind: Any) -> list[str]:
    """Spell the alternatives of a type for people."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return [f"`{choice}`" for choice in args]
    if origin in (Union, UnionType):
        names = [name for arg in args if arg is not type(None) for name in spelt(arg)]
        return list(dict.fromkeys(names))
    if origin in (list, Iterable):
        return [f"list of {spelt(args[0])[0]}".replace("class name", "class names")]
    if origin is dict:
        return [f"mapping of {spelt(args[0])[0]} to {spelt(args[1])[0]}"]
    return NAMES.get(kind, ["class name"])


def row(action: Any) -> Row:
    """Describe an option."""
    option, text, default = action.option_strings[0], plain(action.help or ""), action.default
    kind = shown = ""
    if option.endswith(".help"):
        kind, text = "class name", "Show the options of a class and exit."
    elif hasattr(action, "_typehint"):
        names = spelt(action._typehint)
        kind = " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        least, limit = LIMITS.get(option, (-math.inf, math.inf))
        kind += f" >= {least}" * (least > -math.inf) + f" and < {limit}" * (limit < math.inf)
        said = re.search(r"Default: `*['\"]?([^`'\"]+?)['\"]?`*\.?$", text)
        if default is None and said:
            default = {"None": None, "True": True}.get(said[1], said[1])
        if hasattr(default, "class_path"):
            default = default.class_path.rpartition(".")[2]
        shown = f"`{default if isinstance(default, str) else json.dumps(default)}`"
    elif action.dest in ("config", *GROUPS):
        kind = "file"
    if option.startswith("--trainer."):
        text = text.partition(". ")[0].rstrip(".") + "."
    typed = ", ".join(f"`{name}`" for name in action.option_strings)
    return typed, kind, shown, MEANINGS.get(action.dest, text)


def rows(parser: Any) -> list[Row]:
    """Describe the options of a parser, with the help on classes last."""
    found = [row(action) for action in parser._actions if action.option_strings]
    return sorted(found, key=lambda line: line[0].endswith(".help`"))


def rows_of_class(cls: type, group: str, skip: Iterable[str] = ()) -> list[Row]:
    """Describe the options of a class, those of its base included."""
    parser = ArgumentParser(add_help=False)
    parser.add_class_arguments(cls, group, fail_untyped=False, skip=set(skip))
    return [line for line in rows(parser) if line[0] != f"`--{group}`"]


def table(rows: Iterable[Iterable[str]], *head: str) -> str:
    """Write a table."""
    head = head or ("option", "type", "default", "meaning")
    lines = (head, ["---"] * len(head), *rows)
    cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def classes(group: str) -> list[str]:
    """Write what there is to choose from for ``--model`` or ``--data``, and the options of each."""
    base, room = GROUPS[group], ROOMS[group]
    names = sorted(set(room.__all__) - {base.__name__}, key=str.lower)
    known = {name: getattr(room, name) for name in names}
    shared = rows_of_class(base, group)
    parts = [table(((f"`{name}`", summary(cls)) for name, cls in known.items()), "name", "what")]
    parts += [f"### Of every `--{group}`\n", table(shared)]
    if group == "model":
        own = rows_of_class(ReduceLROnPlateau, "model.scheduler", skip={"optimizer"})
        parts += [NESTED, "### `--model.scheduler ReduceLROnPlateau`\n"]
        parts += [f"{summary(ReduceLROnPlateau)}\n", table(own)]
    for name, cls in known.items():
        if own := [line for line in rows_of_class(cls, group) if line not in shared]:
            parts += [f"### `--{group} {name}`\n", table(own)]
    return parts


def page() -> str:
    """Write the page."""
    top, commands = parsers()
    of = {verb: rows(parser) for verb, parser in commands.items()}
    shared = [line for line in of["fit"] if all(line in others for others in of.values())]
    grouped: dict[str, list[Row]] = {group: [] for group in ("", *GROUPS)}
    for line in dict.fromkeys([*shared, *rows(top)]):
        group = re.split("[`.]", line[0])[1].removeprefix("--")
        grouped[group if group in GROUPS else ""].append(line)
    parts = [BEGINNING, "## Of every command\n", table(grouped[""])]
    for verb, own in of.items():
        parts += [f"## `lenet {verb}`\n", f"{commands[verb].description}\n"]
        parts += [table(line for line in own if line not in shared)]
    for group, cls in GROUPS.items():
        parts += [f"## `--{group}`\n", f"{summary(cls)}\n"]
        parts += [LIGHTNINGS] * (group == "trainer") + [table(grouped[group])]
        parts += classes(group) if group in ROOMS else []
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
