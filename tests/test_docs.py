"""What the README and docs/ show is run, in each page's order, on small data."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import QUIET, REPOSITORY, SILENT
from tests.drawing import draw
from tests.pages import PAGES, all_blocks, blocks, kind, name

# The code of this one is run in processes of its own, which import a file of the user's, by
# tests/test_extending.py and tests/test_extending_data.py.
ELSEWHERE = "docs/extending.md"
# The tutorial is gone through from the top, in one folder, as its reader does.
CHAPTERS = sorted(
    (page for page in PAGES if re.match(r"docs/tutorial/\d", name(page))),
    key=lambda page: int(page.name.partition("-")[0]),
)
RUN_HERE = [[page] for page in PAGES if name(page) != ELSEWHERE and page not in CHAPTERS]
ONE_EPOCH = ["--trainer.accelerator", "cpu", "--trainer.max_epochs", "1"]


def write_scans(folder: Path) -> None:
    """Draw a few digits, as the pages have them, and a blank sheet."""
    scans = {3: "3.png", 4: "four.jpg", 7: "letters/7.tif", 9: "letters/nine.png", 5: "blank.png"}
    for i, (digit, path) in enumerate(scans.items()):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        image = draw(digit, "pen", "shadow", np.random.default_rng(i)).image
        image.point(lambda _: 255).save(file) if path == "blank.png" else image.save(file)


def data_set(words: list[str]) -> str:
    """Tell which data set a command is about, by its option or its config."""
    if "--data" in words:
        return words[words.index("--data") + 1]
    return "Digits" if any("digits" in word or "Digits" in word for word in words) else "MNIST"


def arguments_that_make_it_small(words: list[str], silent: list[str]) -> list[str]:
    """Make a command run on small data: of options that are given twice, the last is used."""
    if "--help" in words or any(".help" in word for word in words):
        return []
    small = [*silent, *ONE_EPOCH]
    if "--data.val_size" not in words:
        small += ["--data.val_size", "5"]
    if "--trainer.limit_train_batches" not in words:
        small += ["--trainer.limit_train_batches", "2"]
    if "TorchvisionModel" in words:  # checkpoints of a third: AlexNet has 57 million parameters
        small += ["--model.optimizer", "SGD"]
    if words[0] == "demo":  # the page is up, and gone
        small += ["--trainer.fast_dev_run", "true", "--open_browser", "false"]
    if "--ckpt_path" in words and words[0] == "fit":
        small[small.index("--trainer.max_epochs") + 1] = "9"
    return small


@pytest.mark.parametrize("pages", [CHAPTERS, *RUN_HERE], ids=lambda pages: name(pages[0]))
def test_a_page_does_what_it_shows(lenet, small, monkeypatch, capfd, pages, tmp_path):
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")
    small("MNIST")
    write_scans(tmp_path / "scans")
    shutil.copy("scans/3.png", "digit.png")
    if pages is not CHAPTERS and blocks(pages[0], "sh", "python", "yaml"):
        # A run for `best` to find, as a reader has by then.
        assert lenet("fit", *QUIET, *ONE_EPOCH, "--data.val_size", "5").code == 0

    def run(words: list[str], silent: list[str], shown: str = "") -> str:
        assert words[0] == "lenet", f"{words}: mark the block with why it is not run"
        words, target = words[1:], None
        if ">" in words:
            words, target = words[: words.index(">")], words[-1]
        files = tmp_path / f"{data_set(words)}-files"
        if not files.exists():
            small(data_set(words))
            if files.name == "ImageFolder-files":
                (tmp_path / "photos").symlink_to(files)
        monkeypatch.setenv("PATH_DATASETS", str(files))
        done = lenet(*words, *arguments_that_make_it_small(words, silent))
        code = 2 if "error: " in shown else int("skipped:" in done.err)  # a blank sheet is
        assert done.code == code, f"{words}\n{done.err}"
        if target is not None:
            (tmp_path / target).write_text(lenet(*words).out)
        return done.out + done.err

    names: dict = {}
    for page, block in [(x, block) for x in pages for block in blocks(x, "sh", "python", "yaml")]:
        names, printed = names if names.get("page") == page else {"page": page}, ""
        if block.language == "sh":
            silent, shown = (SILENT, block.output) if block.output else (QUIET, "")
            printed = "\n".join(run(words, silent, shown) for words in block.commands())
        elif block.language == "yaml":
            Path("config.yaml").write_text(block.text)
            run(["lenet", "fit", "--config", "config.yaml"], QUIET)
        elif file := block.file():
            Path(file).write_text(block.text)
        else:
            monkeypatch.setenv("PATH_DATASETS", str(tmp_path / "MNIST-files"))
            monkeypatch.setattr("lenet.MNIST.usual_val_size", 5)
            capfd.readouterr()
            exec(compile(block.text, str(page), "exec"), names)
            printed = capfd.readouterr().out
        if block.language == "python" and block.output is not None:
            assert printed == block.output
        elif block.output is not None:
            missing = set(kind(block.output)) - set(kind(printed)) - {"..."}
            assert not missing, printed


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_is_not_run_says_why(page):
    for block in all_blocks(page):
        assert block.language in ("sh", "python", "yaml", "text"), block.language
        # The site knows no other words beside a language.
        assert not block.about or block.file() or (page == PAGES[0] and block.about == "setup")
        assert block.reason is None or len(block.reason.split()) > 1, block.reason
    text = page.read_text()
    marks = re.findall(r"^<!-- not run", text, re.MULTILINE)
    assert len(marks) == sum(x.reason is not None for x in all_blocks(page))
    assert text.count("\n```") == 2 * len(re.findall(r"^```\w", text, re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        if not target.startswith(("http://", "https://")):
            to = page.parent / path if path else page
            assert to.exists(), target
            assert not anchor or anchor in anchors(to), target


def test_every_picture_and_page_is_used():
    pictures = set((REPOSITORY / "docs" / "images").iterdir())
    links = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    }
    assert pictures <= links
    assert set(PAGES[1:]) - {REPOSITORY / "docs" / "index.md"} <= links
    nav = (REPOSITORY / ".mkdocs.yml").read_text()
    assert all(page.relative_to(REPOSITORY / "docs").as_posix() in nav for page in PAGES[1:])


def test_the_tree_of_the_readme_is_that_of_the_package():
    text = (REPOSITORY / "README.md").read_text()
    tree = re.search(r"^```text\nlenet/\n(.*?)^configs/", text, re.MULTILINE | re.DOTALL)
    assert tree is not None
    shown, folder = set(), ""
    for line in tree[1].splitlines():
        name, *phrase = line.split()
        if name.endswith("/"):
            folder = name
        else:
            assert phrase, name
            shown.add(folder + name if line.startswith("    ") else name)
    package = REPOSITORY / "lenet"
    files = {x.relative_to(package).as_posix() for x in package.rglob("*.*") if x.is_file()}
    assert shown == {x for x in files if not x.endswith(("__init__.py", ".pyc"))}
