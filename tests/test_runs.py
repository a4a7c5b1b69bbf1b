import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lenet import runs
from lenet.errors import UserError
from tests.conftest import QUIET


def make_run(folder: Path, *names: str, started: float | None = None) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    for name in names:
        (folder / "checkpoints" / f"{name}.ckpt").touch()
    (folder / "config.yaml").touch()
    if started is not None:
        os.utime(folder / "config.yaml", (started, started))
    return folder


def test_runs_made_at_the_same_moment_never_share_a_folder(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        folders = list(pool.map(lambda _: runs.create(tmp_path / "runs", "LeNet"), range(64)))
    assert sorted(path.name for path in folders) == sorted(f"LeNet-{n}" for n in range(1, 65))


def test_best_and_last_mean_the_run_that_was_started_last(tmp_path):
    make_run(tmp_path / "b", "best", "last", started=300)
    make_run(tmp_path / "deep" / "er" / "a", "best", started=400)
    make_run(tmp_path / "c", "last", started=350)
    assert runs.find_checkpoint("best", tmp_path).parent.parent.name == "a"
    assert runs.find_checkpoint("last", tmp_path).parent.parent.name == "c"


def test_a_folder_means_its_best_to_evaluate_and_its_last_to_go_on(tmp_path):
    run = make_run(tmp_path / "run", "best", "last")
    assert runs.find_checkpoint(str(run), tmp_path).name == "best.ckpt"
    assert runs.find_checkpoint(str(run), tmp_path, in_folder="last").name == "last.ckpt"
    only = make_run(tmp_path / "only", "last")
    assert runs.find_checkpoint(str(only), tmp_path).name == "last.ckpt"


def test_a_file_is_itself(tmp_path):
    file = tmp_path / "some.ckpt"
    file.touch()
    assert runs.find_checkpoint("some.ckpt", tmp_path) == file
    assert runs.folder_of(file) == tmp_path


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("best", r"no run below .*runs has checkpoints/best\.ckpt\. Train one with `lenet fit`"),
        ("last", r"no run below .*runs has checkpoints/last\.ckpt"),
        ("nope", r"--ckpt_path nope: no such file or folder"),
        ("empty", r"--ckpt_path empty: this folder has no checkpoints/best\.ckpt"),
    ],
)
def test_what_is_not_there_is_an_error_that_says_where_it_was_looked_for(asked, message, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        runs.find_checkpoint(asked, "runs")


def test_only_a_runs_own_last_checkpoint_is_gone_on_from(tmp_path):
    run = make_run(tmp_path / "run", "best", "last")
    assert runs.is_continued(run / "checkpoints" / "last.ckpt")
    assert not runs.is_continued(run / "checkpoints" / "best.ckpt")
    assert not runs.is_continued(tmp_path / "last.ckpt")


def test_a_folder_is_discarded_only_if_nothing_is_in_it(tmp_path):
    run = make_run(tmp_path / "run")
    runs.discard(run, 0)
    assert run.is_dir()
    runs.discard(runs.create(tmp_path, "new"), 0)
    assert not (tmp_path / "new-1").exists()


def test_a_training_that_has_had_more_epochs_says_so(lenet, small_run, tmp_path):
    shutil.copytree(small_run, tmp_path / "runs" / "LeNet-Digits-1")
    done = lenet("fit", "--ckpt_path", "last", "--trainer.max_epochs", "0", *QUIET)
    assert done.code == 2
    assert "--trainer.max_epochs 0: training has come to 1 epochs already. Give more" in done.err
