import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lenet import runs
from lenet.errors import UserError
from tests.conftest import DIGITS, QUIET, TINY


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
        ("best", r"no run below .*runs has checkpoints/best\.ckpt\. Train a model with lenet fit"),
        ("last", r"no run below .*runs has checkpoints/last\.ckpt"),
        ("nope", r"--ckpt_path nope: no such file or folder"),
        ("empty", r"--ckpt_path empty: not a run: this folder has no checkpoints/best\.ckpt"),
    ],
)
def test_what_is_not_there_is_an_error_that_says_where_it_was_looked_for(asked, message, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        runs.find_checkpoint(asked, "runs")


def test_only_a_runs_own_last_checkpoint_is_gone_on_from(tmp_path):
    run = make_run(tmp_path / "run", "best", "last")
    assert runs.resumes_in_place(run / "checkpoints" / "last.ckpt")
    assert not runs.resumes_in_place(run / "checkpoints" / "best.ckpt")
    assert not runs.resumes_in_place(tmp_path / "last.ckpt")


def test_a_folder_is_discarded_only_if_nothing_is_in_it(tmp_path):
    run = make_run(tmp_path / "run")
    runs.discard_empty(run, 0)
    assert run.is_dir()
    runs.discard_empty(runs.create(tmp_path, "new"), 0)
    assert not (tmp_path / "new-1").exists()


def test_a_training_that_has_had_more_epochs_says_so(lenet, trained):
    done = lenet("fit", "--ckpt_path", "last", "--trainer.max_epochs", "0", *QUIET)
    assert done.code == 2
    assert "--trainer.max_epochs 0: 1 epochs are already trained. Set a higher total" in done.err


def test_a_copy_of_the_runs_keeps_which_is_the_newest(tmp_path):
    for name in ("z", "a"):  # by the alphabet z would be the newest
        runs.mark_started(make_run(tmp_path / "runs" / name, "best"))
    shutil.copytree(tmp_path / "runs", tmp_path / "copy", copy_function=shutil.copyfile)
    os.utime(tmp_path / "copy" / "z" / "config.yaml")  # copied last
    assert runs.find_checkpoint("best", tmp_path / "copy").parent.parent.name == "a"
    make_run(tmp_path / "copy" / "old", "best", started=300)  # by a version that wrote no start
    (tmp_path / "copy" / "z" / "started.txt").write_bytes(b"\xff")
    os.utime(tmp_path / "copy" / "z" / "config.yaml", (200, 200))
    assert runs.find_checkpoint("best", tmp_path / "copy").parent.parent.name == "a"
    (tmp_path / "copy" / "a" / "started.txt").unlink()
    os.utime(tmp_path / "copy" / "a" / "config.yaml", (100, 100))
    assert runs.find_checkpoint("best", tmp_path / "copy").parent.parent.name == "old"


def test_a_training_that_is_resumed_makes_its_run_the_newest(lenet):
    for name in ("a", "b"):
        assert lenet("fit", *TINY, "--trainer.default_root_dir", f"runs/{name}").code == 0
    before = Path("runs/a/LeNet-Digits-1/config.yaml").read_bytes()
    assert runs.find_checkpoint("best", "runs").parents[2].name == "b"
    last = "runs/a/LeNet-Digits-1"
    assert lenet("fit", "--ckpt_path", last, *QUIET, "--trainer.max_epochs", "2").code == 0
    shutil.copytree("runs", "copy", copy_function=shutil.copyfile)
    os.utime("copy/b/LeNet-Digits-1/config.yaml")  # copied last
    assert runs.find_checkpoint("best", "copy").parents[2].name == "a"
    assert Path(last, "config-1.yaml").read_bytes() == before


def test_a_training_removes_what_another_left_and_not_what_a_test_is_writing(tmp_path):
    run = make_run(tmp_path / "run")
    left = [".config.yaml.1.part", ".metrics.csv.2.part", "checkpoints/.last.ckpt.3.part"]
    left += [".test_confusion.png.5.part"]
    writes = [".test.json.4.part", ".predictions.csv.4.part", ".best.onnx.4.part"]
    for name in (*left, *writes):
        (run / name).touch()
    os.utime(run / left[-1], (1, 1))  # long ago
    with runs.locked(run):
        assert not any((run / name).exists() for name in left)
        assert all((run / name).exists() for name in writes)


def windows(monkeypatch) -> None:
    """Let no file be removed that is open, as Windows has it."""
    unlink = Path.unlink

    def refuse(self, *args, **kwargs):
        if Path("/proc/self/fd").exists():
            held = {os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir()}
            if str(self.resolve()) in held:
                raise PermissionError(13, "used by another process", str(self))
        unlink(self, *args, **kwargs)

    monkeypatch.setattr(Path, "unlink", refuse)


def test_a_run_is_given_back_where_an_open_file_cannot_be_removed(tmp_path, monkeypatch):
    windows(monkeypatch)
    run = make_run(tmp_path / "run")
    for _ in range(2):
        with (
            runs.locked(run),
            pytest.raises(UserError, match="another process is training this run"),
            runs.locked(run),
        ):
            pass


def test_a_path_on_another_drive_is_written_in_full(monkeypatch):
    def refuse(path, start=None):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", refuse)
    assert runs.short_path("/elsewhere/run") == "/elsewhere/run"


@pytest.mark.parametrize(("system", "said"), [("nt", '"my runs"'), ("posix", "'my runs'")])
def test_what_is_to_be_typed_is_quoted_for_the_shell(system, said, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", system)
        typed = runs.command_options("my runs", None, None)
    assert typed == f"--ckpt_path {said}"


def test_no_file_is_read_or_written_in_the_encoding_of_the_machine():
    program = (
        "import sys, warnings\n"
        "from lenet.__main__ import main\n"
        "warnings.filterwarnings('error', category=EncodingWarning, module=r'lenet\\.')\n"
        "main(sys.argv[1:])\n"
    )
    command = [sys.executable, "-X", "warn_default_encoding", "-c", program]
    short = ["--pictures.filters", "false", "--pictures.features", "false"]
    short += ["--trainer.limit_train_batches", "2"]
    subprocess.run([*command, "run", *DIGITS, *short], check=True)
