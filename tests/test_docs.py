"""What the README and docs/ show is run, on small data."""

import re
import shlex

import pytest

from tests.conftest import QUIET, REPOSITORY

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
SMALL = [*QUIET, "--trainer.accelerator", "cpu", "--trainer.max_epochs", "1"]


def blocks(page, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [block for block in found if "not run" not in block]


def commands(page) -> list[str]:
    lines = "".join(blocks(page, "sh")).splitlines()
    return [line.split("#")[0].split(">")[0].strip() for line in lines if line.startswith("lenet ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_runs_in_its_order(lenet, mnist_root, monkeypatch, page, tmp_path):
    monkeypatch.setenv("PATH_DATASETS", str(mnist_root))
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")
    assert lenet("fit", *SMALL, "--data.val_size", "20").code == 0  # a run for `best` to find
    for command in commands(page):
        _, verb, *args = shlex.split(command)
        # What is asked for twice is the last: a page's own number of epochs is cut short.
        small = [] if {"--help", "--version"} & {verb, *args} else [*SMALL, "--data.val_size", "20"]
        if any(".help" in arg for arg in args):
            small = []
        if "--ckpt_path" in args and verb == "fit":
            small = [*SMALL[:-2], "--trainer.max_epochs", "3", "--data.val_size", "20"]
        if "--trainer.devices" in args:
            continue  # tests/test_cli.py starts two processes
        done = lenet(verb, *args, *small)
        assert done.code == 0, f"{command}\n{done.err}"
        if "--print_config" in args:
            (tmp_path / "tanh.yaml").write_text(lenet(verb, *args).out)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(mnist_root, monkeypatch, page):
    monkeypatch.setenv("PATH_DATASETS", str(mnist_root))
    monkeypatch.setattr("lenet.MNIST.usual_val_size", 20)
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
