"""Folders of runs and of data: read-only, with a name of all sorts, behind a link."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import QUIET
from tests.small import write_mnist
from tests.starts import codes, said, start_groups

SMALL = ["--data.val_size", "10", "--trainer.accelerator", "cpu", *QUIET]


def read_only(*folders: Path) -> None:
    for folder in folders:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)


@pytest.fixture
def bound_by_modes(tmp_path):
    """Give the command that makes the system's administrator heed what is read-only, too."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("the administrator may write everywhere")
    yield ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    for path in tmp_path.rglob("*"):  # pytest cleans up
        if path.is_dir():
            path.chmod(0o755)


def test_read_only_data_is_read_and_a_read_only_root_is_named(lenet, tmp_path, bound_by_modes):
    data, runs, empty = (tmp_path / name for name in ("data", "runs", "empty"))
    write_mnist(data)
    empty.mkdir()
    options = ["--data.root", str(data), *SMALL, "--trainer.max_epochs", "1"]
    assert lenet("fit", *options).code == 0
    [run] = runs.iterdir()
    shutil.copytree(run, tmp_path / "copy")
    before = sorted(path.name for path in [*data.rglob("*"), *runs.rglob("*")])
    read_only(data, runs, empty)

    best, copy = ["--ckpt_path", "best"], ["--ckpt_path", str(tmp_path / "copy")]
    further = ["--ckpt_path", "last", "--trainer.max_epochs", "2"]
    elsewhere = ["--trainer.default_root_dir", str(tmp_path / "elsewhere")]
    denied = os.strerror(errno.EACCES)
    works = [["fit", *options, *elsewhere], ["predict", *options, *copy]]
    refused = {
        f"--trainer.default_root_dir {runs}: cannot create a run there ({denied}": [
            ["fit", *options]
        ],
        f"{run}: not writable": [
            ["fit", *options, *further],
            *([verb, *options, *best] for verb in ("validate", "test", "predict")),
        ],
        f"MNIST is not in {empty}/MNIST/raw and could not be downloaded (": [
            ["fit", *options, *elsewhere, "--data.root", str(empty)]
        ],
    }
    expected = [(why, command) for why, commands in refused.items() for command in commands]
    groups = [[command] for command in [*works, *(command for _, command in expected)]]
    found = codes(start_groups({"groups": groups}, *bound_by_modes))
    assert found == [0] * len(works) + [2] * len(expected), said()
    for number, (why, _) in enumerate(expected, start=len(works)):
        assert f"lenet: error: {why}" in said(number)
        assert "Traceback" not in said(number)
    assert (tmp_path / "copy" / "predictions.csv").is_file()
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["LeNet-MNIST-1"]
    assert sorted(path.name for path in [*data.rglob("*"), *runs.rglob("*")]) == before


@pytest.mark.parametrize("name", ["with a space and été", "link"])
def test_folders_of_any_name_and_behind_a_link_are_used(lenet, tmp_path, name):
    root, data = tmp_path / name, tmp_path / f"{name} data"
    if name == "link":
        for link in (root, data):
            (tmp_path / f"{link.name} is here").mkdir()
            link.symlink_to(tmp_path / f"{link.name} is here")
    write_mnist(data)
    options = ["--data.root", data, "--trainer.default_root_dir", root, *SMALL]
    done = lenet("fit", *options, "--trainer.max_epochs", "1")
    assert done.code == 0, done.err
    for verb, file in (("test", "test.json"), ("predict", "predictions.csv")):
        done = lenet(verb, *options, "--ckpt_path", "best")
        assert done.code == 0, done.err
        assert (root.resolve() / "LeNet-MNIST-1" / file).is_file()


def test_a_link_that_leads_nowhere_is_named(lenet, mnist_root, tmp_path):
    for root in (tmp_path / "link", tmp_path / "link" / "runs"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(tmp_path / "not there")
        done = lenet("fit", "--data.root", mnist_root, "--trainer.default_root_dir", root, *SMALL)
        assert (done.code, f"default_root_dir {root}" in done.err) == (2, True), done.err
