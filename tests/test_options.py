"""docs/options.md has every option that there is, as the parsers and the classes have them now."""

import contextlib
import inspect
import re
import sys
from typing import Any

import lightning
import pytest
import yaml

import lenet
from docs import make_options
from lenet.cli import COMMANDS, LeNetCLI
from lenet.data import ImageDataModule
from lenet.models import ImageClassifier
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "options.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Give what stands below a title, up to the next one."""
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def rows(text: str) -> dict[str, list[str]]:
    """Give type, default and meaning by option, in each of its spellings."""
    lines = re.findall(r"^\| (`-.*) \|$", text, re.MULTILINE)
    cells = [re.split(r"(?<!\\) \| ", line) for line in lines]
    return {name: rest for names, *rest in cells for name in names.strip("`").split("`, `")}


def parsers() -> dict[str, Any]:
    """Give the parser of each command, before any command is parsed."""
    found = {}
    for verb in ("", *COMMANDS):
        cli: Any = LeNetCLI.__new__(LeNetCLI)
        cli.parse_arguments = lambda *_: sys.exit()
        with contextlib.suppress(SystemExit):
            cli.__init__([verb] if verb else [])
        found[verb] = cli.command_parser if verb else cli.parser
    return found


def test_the_page_is_what_its_generator_makes():
    page, made = PAGE, make_options.page()
    if f"Lightning {lightning.__version__} " not in page:  # another one says other things
        page, made = (text.partition("\n## `--trainer`\n")[0] for text in (page, made))
    assert made == page, "docs/options.md is out of date: type python -m docs.make_options"


def test_every_option_that_a_command_lists_is_in_the_page():
    first, last = PAGE.index("\n## `lenet fit`\n"), PAGE.index("\n## `--model`\n")
    shared = rows(PAGE[:first] + PAGE[last:])
    for command, parser in parsers().items():
        known = shared | rows(section(f"`lenet {command}`"))
        lines = re.findall(r"^ {1,2}(-.*)$", parser.format_help(), re.MULTILINE)
        listed = re.findall(r"(?<![\w.-])--?\w(?:[\w.]*\w)?\+?", "\n".join(lines))
        assert len(listed) > (80 if command else 5)
        assert [name for name in listed if name not in known] == [], command


@pytest.mark.parametrize("group", ["model", "data"])
def test_every_option_of_a_class_is_in_the_page_with_its_default(group):
    base = {"model": ImageClassifier, "data": ImageDataModule}[group]
    shared = rows(section(f"Of every `--{group}`"))
    for name in lenet.__all__:
        cls = getattr(lenet, name)
        if not (isinstance(cls, type) and issubclass(cls, base)):
            continue
        known = shared | rows(section(f"`--{group} {name}`"))
        for argument in inspect.signature(cls).parameters.values():
            if argument.kind is not argument.VAR_KEYWORD:
                default = known[f"--{group}.{argument.name}"][1]
                assert yaml.safe_load(default.strip("`")) == argument.default, (name, argument)


def test_every_option_has_a_type_and_a_meaning_for_people():
    parts = re.split("^##+ ", PAGE, flags=re.MULTILINE)[1:]  # some options are in several
    lines = [(option, *rest) for part in parts for option, rest in rows(part).items()]
    assert len(lines) > 100
    for option, kind, default, meaning in lines:
        assert re.search(r"\w.*[.)]$", meaning), option
        assert default == "" or re.fullmatch(r"`[^`]+`", default), option
        assert kind or not default, option
        assert not re.search(r"Union|Optional|typing|class '|None|\w\.\w", kind), option
        assert not re.search(r"``|:\w+:`", meaning), option
