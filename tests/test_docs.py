"""What the README and docs/ show is run, on small data."""

import re
import shlex

import numpy as np
import pytest

from tests.conftest import QUIET, REPOSITORY
from tests.drawing import draw

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
# The code of that page is run from outside of the package, by tests of its own.
RUN_HERE = [page for page in PAGES if page.name != "extending.md"]
# The code of tests/test_export.py's page needs its files.
PYTHON_RUN_HERE = [page for page in RUN_HERE if page.name != "export.md"]
SMALL = [*QUIET, "--trainer.accelerator", "cpu", "--trainer.max_epochs", "1"]


def blocks(page, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [block for block in found if "not run" not in block]


def commands(page) -> list[str]:
    lines = "".join(blocks(page, "sh")).splitlines()
    return [line.split("#")[0].split(">")[0].strip() for line in lines if line.startswith("lenet ")]


def write_scans(folder) -> None:
    """Draw a few digits, as the pages have them."""
    for i, name in enumerate(("3.png", "four.jpg", "letters/7.tif", "letters/nine.png")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(i, "pen", "shadow", np.random.default_rng(i)).image.save(path)


def arguments_that_make_it_small(verb: str, args: list[str]) -> list[str]:
    """Make a command run on small data: of options that are given twice, the last is used."""
    if "--help" in (verb, *args) or any(".help" in arg for arg in args):
        return []
    small = [*SMALL, "--data.val_size", "5"]
    if verb == "demo":  # the page is up, and gone
        small += ["--trainer.fast_dev_run", "true", "--open_browser", "false"]
    if "--ckpt_path" in args and verb == "fit":
        small[small.index("--trainer.max_epochs") + 1] = "3"
    return small


@pytest.mark.parametrize("page", RUN_HERE, ids=lambda page: page.name)
def test_every_command_of_a_page_runs_in_its_order(lenet, small, monkeypatch, page, tmp_path):
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")
    small("MNIST")
    write_scans(tmp_path / "scans")
    assert lenet("fit", *SMALL, "--data.val_size", "5").code == 0  # a run for `best` to find
    for command in commands(page):
        _, verb, *args = shlex.split(command)
        if "--trainer.devices" in args:
            continue  # tests/test_cli.py starts two processes
        name = args[args.index("--data") + 1] if "--data" in args else "MNIST"
        files = tmp_path / f"{name}-files"
        if not files.exists():
            small(name)
            if name == "ImageFolder":
                (tmp_path / "photos").symlink_to(files)
        monkeypatch.setenv("PATH_DATASETS", str(files))
        done = lenet(verb, *args, *arguments_that_make_it_small(verb, args))
        assert done.code == 0, f"{command}\n{done.err}"
        if "--print_config" in args:
            (tmp_path / "tanh.yaml").write_text(lenet(verb, *args).out)


@pytest.mark.parametrize("page", PYTHON_RUN_HERE, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(small, monkeypatch, page):
    small("MNIST")
    monkeypatch.setattr("lenet.MNIST.usual_val_size", 5)
    names: dict = {}
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_trees_of_readme_and_design_are_those_of_the_package():
    rooms = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "lenet").rglob("*.py")
        if path.name != "__init__.py"
    }
    design = (REPOSITORY / "docs" / "design.md").read_text()
    named = set(re.findall(r"`(lenet/[\w/]+\.py)`", design))
    assert named <= rooms
    for room in rooms - named:
        folder = room.rpartition("/")[0]
        assert f"`{folder}/`" in design or f"`{folder}/*.py`" in design, room
