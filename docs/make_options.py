"""Make docs/options.md, the reference of all options, out of constructors and docstrings.

    python -m docs.make_options

An option is an argument of a constructor or of a command's method. Its meaning is the docstring's:
edit it there. Of Lightning's options it is the first sentence, and the default is the docstring's
where the parser has none.
"""

import inspect
import json
import math
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import docstring_parser
import lightning

from lenet import Trainer, data, models
from lenet.cli import COMMANDS, GROUPS, LeNetCLI
from lenet.cli.checks import LEAST
from lenet.data.ranges import RANGES
from lenet.models.optimization import ReduceLROnPlateau

PAGE = Path(__file__).absolute().with_name("options.md")
Row = tuple[str, str, str, str]  # option, type, default, meaning
ROOMS = {"model": models, "data": data}
# Options that are no argument of anything: names, type and meaning.
FIRST = [
    ("`-h`, `--help`", "", "", "Show the options and exit."),
    ("`-c`, `--config`", "file", "", "YAML file with options. What is typed overrides it."),
    (
        "`--print_config`",
        "",
        "",
        "Print all options in force as YAML and exit. With `--print_config=skip_default` only "
        "those that are not the default.",
    ),
]
LAST = [("`--version`", "", "", "Show the version and exit.")]
CHOICES = {
    "model": "A model below, or [a custom one](extending.md).",
    "data": "A data set below, or [a custom one](extending.md).",
}
NAMES = {bool: ["`true`", "`false`"], int: ["int"], float: ["float"]}
NAMES |= {str: ["text"], Path: ["text"], timedelta: ["time span"]}
LIMITS = {f"--data.{name}": limits for name, limits in RANGES.items()}
LIMITS |= {f"--{name}": (least, math.inf) for name, least in LEAST.items()}
BEGINNING = """\
# Options

<!-- Made by `python -m docs.make_options` out of the docstrings: mend them there. -->

Every option as it is typed. In a config it has the same name: see
[options and configs](commands.md#options-and-configs), and [precedence](commands.md#precedence) if
it is set more than once. The default `null` stands for what the meaning says. Lists and mappings
are typed as in YAML, in quotation marks: `"[32, 64]"`. An option with `+` adds to its list.
"""
NESTED = """\
The options of an optimizer or a schedule are typed like `--model.optimizer.momentum 0.9`, and
listed by `lenet fit --model.optimizer.help SGD` or `lenet fit --model.scheduler.help StepLR`: see
[optimizers and schedules](commands.md#optimizers-and-schedules).
"""
MANUAL = "https://lightning.ai/docs/pytorch/stable/common/trainer.html#trainer-flags"
LIGHTNINGS = f"""\
The first sentence of Lightning {lightning.__version__}'s description of each option. The rest is in
`lenet fit --help` and in [Lightning's manual]({MANUAL}). The default `null` leaves the choice
to Lightning.
"""


def parser_of(verb: str) -> Any:
    """Give the parser of a command, as it is once all its defaults are set."""
    cli: Any = LeNetCLI.__new__(LeNetCLI)
    stop: Any = SimpleNamespace(parse_args=sys.exit)
    cli.parse_arguments = lambda _, args: LeNetCLI.parse_arguments(cli, stop, args)
    with suppress(SystemExit):
        cli.__init__([verb, "--trainer.default_root_dir", os.devnull])
    return cli.command_parser


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


def row(option: str, kind: Any, default: Any, meaning: str) -> Row:
    """Describe an option."""
    names = spelt(kind)
    typed = " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    least, limit = LIMITS.get(option, (-math.inf, math.inf))
    typed += f" >= {least}" * (least > -math.inf) + f" and < {limit}" * (limit < math.inf)
    text = plain(meaning)
    documented = re.search(r"Default: `*['\"]?([^`'\"]+?)['\"]?`*\.?$", text)
    if default is None and documented:
        default = {"None": None, "True": True}.get(documented[1], documented[1])
    shown = default if isinstance(default, str) else json.dumps(default)
    if option.startswith("--trainer."):
        text = text.partition(". ")[0].rstrip(".") + "."
    is_list = any(name.startswith("list of ") for name in names)
    spellings = [option, f"{option}+"] if is_list else [option]
    return ", ".join(f"`{name}`" for name in spellings), typed, f"`{shown}`", text


def help_row(option: str) -> Row:
    """Describe the option that shows the options of a class."""
    return f"`{option}.help`", "class name", "", "Show the options of a class and exit."


def rows_of(
    owner: Any, prefix: str = "--", skip: Iterable[str] = (), parser: Any = None
) -> list[Row]:
    """Describe the arguments of a method, or of a class and of the bases that it passes them on to.

    Args:
        owner: The class or method.
        prefix: What the options begin with, such as ``--model.``.
        skip: Arguments that are not options.
        parser: Parser that knows the defaults. By default they are the signature's.
    """
    owners = owner.__mro__ if isinstance(owner, type) else (owner,)
    functions = [vars(cls)["__init__"] for cls in owners if "__init__" in vars(cls)] or [owner]
    meanings: dict[str, str] = {}
    for documented in (*owners, *functions):
        for argument in docstring_parser.parse(documented.__doc__ or "").params:
            meanings.setdefault(argument.arg_name, argument.description or "")
    rows: dict[str, Row] = {}
    for function in functions:
        kinds, arguments = get_type_hints(function), inspect.signature(function).parameters
        passed_on = [name for name, a in arguments.items() if a.kind is a.VAR_KEYWORD]
        for name in [n for n in arguments if n in kinds and n not in (*skip, *rows, *passed_on)]:
            option, default = f"{prefix}{name}", arguments[name].default
            if parser is not None:
                default = parser.get_default(option.removeprefix("--"))
            rows[name] = row(option, kinds[name], default, meanings[name])
        if not passed_on:
            break
    classes = [name for name, (_, kind, _, _) in rows.items() if "class name" in kind]
    return [*rows.values(), *(help_row(f"{prefix}{name}") for name in classes)]


def general_rows() -> list[Row]:
    """Describe the options of every command."""
    added: list[Row] = []

    def add_argument(option: str, type: Any, default: Any, help: str) -> None:
        added.append(row(option, type, default, help))

    recorder: Any = SimpleNamespace(add_argument=add_argument)
    LeNetCLI.__new__(LeNetCLI).add_default_arguments_to_parser(recorder)
    return [*FIRST, *added, *LAST]


def table(rows: Iterable[Iterable[str]], *head: str) -> str:
    """Write a table."""
    head = head or ("option", "type", "default", "meaning")
    lines = (head, ["---"] * len(head), *rows)
    cells = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def classes(group: str) -> list[str]:
    """Write the classes that ``--model`` or ``--data`` can choose, and the options of each."""
    base, room = GROUPS[group], ROOMS[group]
    names = sorted(set(room.__all__) - {base.__name__}, key=str.lower)
    built_in = {name: getattr(room, name) for name in names}
    shared = rows_of(base, f"--{group}.")
    parts = [table(((f"`{name}`", summary(cls)) for name, cls in built_in.items()), "name", "what")]
    parts += [f"### Of every `--{group}`\n", table(shared)]
    if group == "model":
        own = rows_of(ReduceLROnPlateau, "--model.scheduler.", skip={"optimizer"})
        parts += [NESTED, "### `--model.scheduler ReduceLROnPlateau`\n"]
        parts += [f"{summary(ReduceLROnPlateau)}\n", table(own)]
    for name, cls in built_in.items():
        if own := [line for line in rows_of(cls, f"--{group}.") if line not in shared]:
            parts += [f"### `--{group} {name}`\n", table(own)]
    return parts


def page() -> str:
    """Write the page."""
    parts = [BEGINNING, "## Of every command\n", table(general_rows())]
    for verb, skip in COMMANDS.items():
        method = getattr(Trainer, verb)
        parts += [f"## `lenet {verb}`\n", f"{summary(method)}\n"]
        parts += [table(rows_of(method, skip=skip, parser=parser_of(verb)))]
    parser = parser_of("fit")
    for group, cls in GROUPS.items():
        parts += [f"## `--{group}`\n", f"{summary(cls)}\n"]
        if group in ROOMS:
            default = parser.get_default(group)["class_path"].rpartition(".")[2]
            choice = (f"`--{group}`", "class name", f"`{default}`", CHOICES[group])
            parts += [table([choice, help_row(f"--{group}")]), *classes(group)]
            continue
        file = (f"`--{group}`", "file", "", "YAML file with options of this group.")
        parts += [LIGHTNINGS] * (group == "trainer")
        parts += [table([file, *rows_of(cls, f"--{group}.", parser=parser)])]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
