"""Trainings that are stopped, killed or starved, for real."""

import csv
import errno
import io
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from lenet.__main__ import main
from lenet.models import ImageClassifier
from lenet.training.checkpoint_io import WholeCheckpointIO
from tests.conftest import QUIET

STEPS = 14  # an epoch
# A training with everything that could make a resumed one differ: order, distortions, dropout,
# statistics of batches, the state of an optimizer and of a schedule, averaged weights.
OPTIONS = [
    *("--data", "Digits", "--data.batch_size", "96", "--data.rotation", "5", *QUIET),
    *("--model", "ConvNet", "--model.widths", "[4,8]", "--model.hidden_sizes", "[16]"),
    *("--model.batch_norm", "true", "--model.dropout", "0.2", "--model.scheduler", "OneCycleLR"),
    *("--trainer.accelerator", "cpu", "--trainer.max_epochs", "3"),
    *("--trainer.callbacks", "EMAWeightAveraging", "--trainer.callbacks.decay", "0.9"),
    *("--early_stopping.patience", "99"),
]
SIGNALS = {signal.SIGINT: ("Ctrl-C", 130), signal.SIGTERM: ("SIGTERM", 143)}


def saved(run: str | Path, name: str = "last") -> dict:
    return torch.load(Path(run) / "checkpoints" / f"{name}.ckpt", weights_only=True)


def metrics(run: str | Path) -> list[dict[str, str]]:
    with (Path(run) / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def assert_same(one: str | Path, other: str | Path) -> None:
    """Compare two runs bit for bit."""
    for name in ("last", "best"):
        a, b = saved(one, name), saved(other, name)
        assert a["global_step"] == b["global_step"]
        for weights in ("state_dict", "current_model_state"):
            assert all(a[weights][key].equal(value) for key, value in b[weights].items())
        states = [x["optimizer_states"][0]["state"] for x in (a, b)]
        for mine, its in zip(*(state.values() for state in states), strict=True):
            assert all(torch.equal(mine[key], its[key]) for key in mine)
        assert a["lr_schedulers"] == b["lr_schedulers"]
    assert metrics(one) == metrics(other)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Train without an interruption."""
    root = tmp_path_factory.mktemp("whole")
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        main(["fit", *OPTIONS, "--trainer.default_root_dir", str(root)])
    return root / "ConvNet-Digits-1"


@pytest.fixture
def at_step(monkeypatch) -> Callable[..., None]:
    """Do something in the middle of a step, or of a step of validation."""

    def at(step: int, action: Callable[[], None], hook: str = "training_step") -> None:
        original, done = getattr(ImageClassifier, hook), []

        def wrapped(self, *args):
            if self.trainer.global_step == step and not self.trainer.sanity_checking and not done:
                done.append(True)
                action()
            return original(self, *args)

        monkeypatch.setattr(ImageClassifier, hook, wrapped)

    return at


def send(*signals: int) -> Callable[[], None]:
    def action() -> None:
        for signum in signals:
            os.kill(os.getpid(), signum)

    return action


# In the middle of an epoch, at its last step, and while it is validated.
@pytest.mark.parametrize(
    ("signum", "step", "hook", "stops_at"),
    [
        (signal.SIGINT, STEPS + 9, "training_step", STEPS + 10),
        (signal.SIGTERM, STEPS + 9, "training_step", STEPS + 10),
        (signal.SIGINT, STEPS - 1, "training_step", STEPS),
        (signal.SIGINT, STEPS, "validation_step", STEPS),
    ],
)
def test_a_training_that_is_stopped_goes_on_as_if_it_had_not_been(
    lenet, at_step, whole, signum, step, hook, stops_at
):
    said, code = SIGNALS[signum]
    at_step(step, send(signum), hook)
    done = lenet("fit", *OPTIONS)
    assert done.code == code
    assert "Traceback" not in done.err
    assert f"Stopped by {said} after step {stops_at} in epoch 1. Progress is saved" in done.err
    assert done.err.endswith("\n  lenet fit --ckpt_path runs/ConvNet-Digits-1\n")
    assert saved("runs/ConvNet-Digits-1")["global_step"] == stops_at
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    done = lenet("fit", "--ckpt_path", "runs/ConvNet-Digits-1")
    assert done.code == 0, done.err
    assert os.listdir("runs") == ["ConvNet-Digits-1"]
    assert_same("runs/ConvNet-Digits-1", whole)


GROUP = """
import os, signal, sys
from lenet.__main__ import main
from lenet.models import ImageClassifier

hook, sanity, signum, *args = sys.argv[1:]
original, done = getattr(ImageClassifier, hook), []

def wrapped(self, *args):
    if not done and self.trainer.sanity_checking == bool(int(sanity)):
        done.append(True)
        os.killpg(os.getpgid(0), int(signum))
    return original(self, *args)

setattr(ImageClassifier, hook, wrapped)
main(args)
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("signum", "hook", "sanity"),
    [
        (signal.SIGINT, "validation_step", 1),
        (signal.SIGINT, "validation_step", 0),
        (signal.SIGTERM, "training_step", 0),
    ],
)
def test_a_signal_to_the_workers_as_well_stops_as_one_to_the_training(
    tmp_path, signum, hook, sanity
):
    options = ("--data.num_workers", "2", "--data.batch_size", "96", *QUIET)
    command = [sys.executable, "-c", GROUP, hook, str(sanity), str(int(signum)), "fit"]
    done = subprocess.run(
        [*command, "--data", "Digits", *options, "--trainer.accelerator", "cpu"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        start_new_session=True,  # a group of its own, which a terminal's Ctrl-C reaches as a whole
        check=False,
    )
    said, code = SIGNALS[signum]
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert f"Stopped by {said}" in done.stderr
    if signum == signal.SIGINT:  # which the workers leave to the training
        assert f"after step {0 if sanity else STEPS} in epoch" in done.stderr
        assert (tmp_path / "runs/LeNet-Digits-1/checkpoints/last.ckpt").exists() != sanity


def test_a_second_signal_stops_at_once(lenet, at_step):
    at_step(STEPS + 9, send(signal.SIGINT, signal.SIGINT))
    done = lenet("fit", *OPTIONS)
    assert done.code == 130
    assert "Stopped by Ctrl-C. Resume from the last save with\n  lenet fit" in done.err
    assert saved("runs/ConvNet-Digits-1")["global_step"] == STEPS


def test_run_says_run_and_does_not_go_on_to_test(lenet, at_step):
    at_step(3 * STEPS - 1, send(signal.SIGINT))  # the very last
    done = lenet("run", *OPTIONS)
    assert done.code == 130
    assert "lenet run --ckpt_path runs/ConvNet-Digits-1" in done.err
    assert not Path("runs/ConvNet-Digits-1/test.json").exists()
    assert lenet("run", "--ckpt_path", "last").code == 0
    assert Path("runs/ConvNet-Digits-1/test.json").exists()


def test_run_stopped_after_its_training_says_how_to_go_on(lenet, at_step):
    at_step(3 * STEPS, send(signal.SIGTERM), "test_step")
    done = lenet("run", *OPTIONS)
    assert done.code == 143
    assert done.err.endswith("the last save with\n  lenet run --ckpt_path runs/ConvNet-Digits-1\n")


@pytest.mark.parametrize("signum", SIGNALS)
def test_an_evaluation_that_is_stopped_says_so(lenet, at_step, whole, signum):
    at_step(0, send(signum), "test_step")
    done = lenet("test", "--ckpt_path", whole, *QUIET)
    said, code = SIGNALS[signum]
    assert done.code == code
    assert done.err.endswith(f"Stopped by {said}.\n")
    assert not (whole / "test.json").exists()


def test_before_the_first_step_nothing_is_left(lenet, monkeypatch):
    monkeypatch.setattr(ImageClassifier, "on_fit_start", lambda self: send(signal.SIGINT)())
    assert lenet("fit", *OPTIONS).code == 130
    assert os.listdir("runs") == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("fault", ["weights", "validation"])
def test_a_loss_that_is_no_number_stops_the_training(lenet, at_step, monkeypatch, fault):
    if fault == "weights":

        def ruin(self, *args):
            if self.trainer.global_step == STEPS + 5:
                next(self.parameters()).data.fill_(torch.nan)

        monkeypatch.setattr(ImageClassifier, "on_train_batch_start", ruin, raising=False)
        said = f"the loss is nan at step {STEPS + 6}"
    else:
        loss = torch.nn.functional.cross_entropy

        def ruined(self, logits, labels):
            bad = not self.training and self.trainer.global_step == 2 * STEPS
            return loss(logits, labels) * (torch.nan if bad else 1)

        monkeypatch.setattr(ImageClassifier, "loss", ruined)
        said = f"val/loss is nan after step {2 * STEPS}"
    done = lenet("fit", *OPTIONS)
    assert done.code == 2
    [line] = [line for line in done.err.splitlines() if "error:" in line]
    assert said in line
    assert "Try a smaller --model.lr" in line
    run = "runs/ConvNet-Digits-1"
    for name in ("best", "last"):
        checkpoint = saved(run, name)
        assert checkpoint["global_step"] == STEPS
        assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())


@pytest.mark.long
def test_a_full_disk_is_one_line_and_the_checkpoint_before_is_whole(tmp_path, whole):
    if subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("unshare -rm is not allowed here, which would mount a small disk")
    size = (whole / "checkpoints" / "last.ckpt").stat().st_size
    disk = tmp_path / "disk"
    disk.mkdir()
    # Room for best and last and not for a third, which each new one is until it is whole.
    mount = f"mount -t tmpfs -o size={int(2.6 * size)} tmpfs {disk}"
    lenet = f"{sys.executable} -m lenet"
    root = f"--trainer.default_root_dir {disk}"
    script = (
        f"{mount}; {lenet} fit {' '.join(OPTIONS)} {root}; echo code $?; ls {disk}/*/checkpoints; "
        f"{lenet} test --ckpt_path last {root} {' '.join(QUIET)}; echo code $?"
    )
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    [line] = [line for line in done.stderr.splitlines() if "error:" in line]
    full = os.strerror(errno.ENOSPC)
    assert f"cannot be saved ({full}). The previous checkpoint is kept" in line
    codes = [line for line in done.stdout.splitlines() if line.startswith("code")]
    assert codes == ["code 2", "code 0"], done.stdout + done.stderr
    assert ".part" not in done.stdout


@pytest.mark.parametrize(
    ("step", "options"),
    [
        (STEPS, ()),
        (STEPS + 1, ("--data.val_size", "0")),
        (STEPS, ("--trainer.limit_val_batches", "0")),
        (STEPS // 2, ("--trainer.val_check_interval", "0.5")),
        (STEPS, ("--trainer.check_val_every_n_epoch", "2")),
    ],
)
def test_weights_that_became_no_numbers_at_an_epochs_last_step_are_not_kept(
    lenet, monkeypatch, step, options
):
    def optimizer_step(self, epoch, batch_idx, optimizer, closure=None):
        pl.LightningModule.optimizer_step(self, epoch, batch_idx, optimizer, closure)
        if self.trainer.global_step == 2 * step:
            with torch.no_grad():
                next(self.parameters()).fill_(torch.nan)

    monkeypatch.setattr(ImageClassifier, "optimizer_step", optimizer_step)
    done = lenet("fit", *OPTIONS, *options)
    assert done.code == 2
    assert "training stopped because" in done.err
    for checkpoint in Path("runs").rglob("*.ckpt"):
        state = saved("runs/ConvNet-Digits-1", checkpoint.stem)["state_dict"]
        assert all(value.isfinite().all() for value in state.values()), checkpoint
    kept = Path("runs/ConvNet-Digits-1/checkpoints/best.ckpt").exists()
    assert ("The best weights so far are saved" in done.err) == kept
    assert ("No weights were saved" in done.err) != kept


def test_two_trainings_of_one_run_do_not_write_into_each_other(lenet, at_step):
    said = []

    def second() -> None:
        with pytest.raises(SystemExit), redirect_stderr(io.StringIO()) as err:
            main(["fit", "--ckpt_path", "last"])
        said.append(err.getvalue())

    at_step(STEPS + 1, second)
    assert lenet("fit", *OPTIONS).code == 0
    assert "runs/ConvNet-Digits-1: another process is training this run" in said[0]
    assert not list(Path("runs").rglob(".*"))


def test_an_epoch_s_figures_are_written_as_they_stay_before_its_checkpoint(lenet, monkeypatch):
    seen, save = [], WholeCheckpointIO.save_checkpoint

    def look(self, checkpoint, path, *args, **kwargs):
        seen.append(metrics(Path(path).parents[1]))
        return save(self, checkpoint, path, *args, **kwargs)

    monkeypatch.setattr(WholeCheckpointIO, "save_checkpoint", look)
    assert lenet("fit", *OPTIONS, "--trainer.accumulate_grad_batches", "2").code == 0
    rows = metrics("runs/ConvNet-Digits-1")
    assert all(then == rows[: len(then)] for then in seen)
    assert {len(then) for then in seen} == {1, 2, 3}


def life(root: str, first: bool) -> None:
    """Live as a training, until killed."""
    torch.set_num_threads(1)
    log = os.open(f"{root}.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    options = [*OPTIONS, "--trainer.max_epochs", "15"] if first else ["--ckpt_path", "last"]
    main(["fit", *options, "--trainer.default_root_dir", root])


@pytest.mark.long
def test_a_training_that_is_killed_25_times_ends_as_the_one_that_was_not(tmp_path):
    kills = int(os.environ.get("LENET_KILLS", "25"))
    chance = random.Random(seed := random.randrange(2**32))
    print(f"seed {seed}")
    processes = multiprocessing.get_context("forkserver")  # forks one that has imported all
    processes.set_forkserver_preload(["tests.test_interruption", "lenet.cli"])
    root, survived, ended = tmp_path / "killed", 0, 0
    run = root / "ConvNet-Digits-1"
    begun, last = run / "config.yaml", run / "checkpoints" / "last.ckpt"

    def born(where: Path):
        process = processes.Process(target=life, args=(str(where), not last.exists()))
        process.start()
        return process

    born(tmp_path / "whole").join()
    finished = tmp_path / "whole" / run.name
    epoch = (finished / "checkpoints" / "last.ckpt").stat().st_mtime
    epoch = (epoch - (finished / "config.yaml").stat().st_mtime) / 15  # seconds
    while survived < kills or not ended:
        before = begun.stat().st_mtime_ns if begun.exists() else 0
        process = born(root)
        # Before the first epoch's end there is nothing to go on from.
        while process.is_alive() and not (last.exists() and begun.stat().st_mtime_ns > before):
            time.sleep(0.005)
        if survived < kills:
            time.sleep(chance.uniform(0, 3 * epoch))
            process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            survived += 1
            check_killed(run)
            continue
        assert process.exitcode == 0, (tmp_path / "killed.log").read_text()[-2000:]
        ended += 1
        assert os.listdir(root) == ["ConvNet-Digits-1"]
        assert_same(run, tmp_path / "whole" / "ConvNet-Digits-1")
        shutil.rmtree(root)
    print(f"{survived} kills, {ended} trainings")


def check_killed(run: Path) -> None:
    """Check that what a killed training leaves is whole, and agrees."""
    rows = {int(row["epoch"]): row for row in metrics(run)}
    last, best = saved(run, "last"), saved(run, "best")
    for name, checkpoint in {"last": last, "best": best}.items():
        assert all(rows[checkpoint["epoch"]].values()), f"{name}.ckpt is ahead of metrics.csv"
    loss = {epoch: float(row["val/loss"]) for epoch, row in rows.items()}
    state = next(v for k, v in best["callbacks"].items() if k.startswith("Best"))
    assert float(state["best_model_score"]) == pytest.approx(loss[best["epoch"]])
    # The best of all that last.ckpt knows, or of an epoch more, which it is to train again.
    epochs = range(max(last["epoch"], best["epoch"]) + 1)
    assert min(epochs, key=loss.__getitem__) == best["epoch"]
    assert best["epoch"] <= last["epoch"] + 1
