"""The blocks of code in the README and in docs/, and what stands beside them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPOSITORY

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
_FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+?) -->\n)?"
    r"^```(?P<language>\w*)(?P<about>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Block:
    """A fenced block.

    Args:
        language: What it is written in: sh, python, yaml or text.
        text: Its lines.
        reason: Why it is not run, if it is marked so.
        about: What stands beside the language: setup of the README's two commands, which .ci/run
            runs, or a title, the name of a file.
        output: What it prints, if the page shows it right below.
    """

    language: str
    text: str
    reason: str | None
    about: str
    output: str | None = None

    def file(self) -> str | None:
        """Give the name of the file that it is to be put into."""
        title = re.fullmatch(r'title="(.+)"', self.about)
        return title[1] if title else None

    def commands(self) -> list[list[str]]:
        """Give the words of each command, without comments; of set-up, only lenet's."""
        lines = self.text.replace("\\\n", " ").splitlines()
        commands = [line.split(" && ")[-1] for line in lines if line]
        if self.about == "setup":
            commands = [command for command in commands if command.startswith("lenet ")]
        return [shlex.split(command, comments=True) for command in commands]


def name(page: Path) -> str:
    """Give a page's path in the repository."""
    return page.relative_to(REPOSITORY).as_posix()


def blocks(page: Path, *languages: str) -> list[Block]:
    """Give a page's blocks that are run, in their order."""
    return [x for x in all_blocks(page) if x.language in languages and x.reason is None]


def all_blocks(page: Path) -> list[Block]:
    """Give all blocks of a page, each with its output instead of a block for that."""
    text, found, end = page.read_text(encoding="utf-8"), [], 0
    for match in _FENCE.finditer(text):
        shown = match["language"] == "text" and found and not text[end : match.start()].strip()
        if shown and found[-1].language in ("sh", "python"):
            found[-1].output = match["text"]
        else:
            about = match["about"].strip()
            found.append(Block(match["language"], match["text"], match["reason"], about))
        end = match.end()
    return found


def kind(output: str) -> list[str]:
    """Give the lines of an output without what differs from run to run: numbers and widths.

    Progress bars are left out, and rules are as wide as they are.
    """
    lines = []
    for line in output.splitlines():
        if re.search(r"━ \d+/\d+ ", line):
            continue
        numbered = re.sub(r"\d[\d,]*(\.\d+)?(e[+-]?\d+)?", "0", line)
        lines.append(re.sub(r"[\s━─=-]+", " ", numbered).strip())
    return [line for line in lines if line]
