"""Two processes that share a training give what one gives."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.conftest import SILENT, TINY
from tests.small import write_mnist

# Each starts processes of its own.
pytestmark = pytest.mark.long

EPOCHS = 3
OPTIONS = [
    *("--model.lr", "0.01", "--data.val_size", "21", "--trainer.max_epochs", str(EPOCHS)),
    *("--trainer.accelerator", "cpu", *SILENT),
]
TWO = ["--trainer.strategy", "ddp", "--trainer.devices", "2", "--data.batch_size", "10"]
ONE = ["--data.batch_size", "20"]  # the same batches in one process
LENET = ["-m", "lenet"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *LENET]


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run the same training in one process, in two of Lightning's, and in two of torchrun's."""
    root = tmp_path_factory.mktemp("devices")
    write_mnist(root / "data", train=161, test=31)  # 140 to train on, in 7 batches, and 21
    environment = {**os.environ, "PATH_DATASETS": str(root / "data")}
    commands = {"one": [*LENET, *ONE], "ddp": [*LENET, *TWO], "torchrun": [*TORCHRUN, *TWO]}
    for name, [*command] in commands.items():
        command.insert(command.index("lenet") + 1, "run")
        (root / name).mkdir()
        done = subprocess.run(
            [sys.executable, *command, *OPTIONS],
            cwd=root / name,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Next:") == 1
        assert done.stdout.count("Pictures in") == 3  # of training, validation and test
    return root


@pytest.mark.parametrize("launcher", ["ddp", "torchrun"])
def test_two_processes_learn_what_one_learns(ran, launcher):
    assert os.listdir(ran / launcher / "runs") == ["LeNet-MNIST-1"]
    one, two = (ran / name / "runs" / "LeNet-MNIST-1" for name in ("one", launcher))
    figures = [rows(run / "metrics.csv") for run in (one, two)]
    assert len(figures[0]) == EPOCHS
    for alone, together in zip(*figures, strict=True):
        for name, value in alone.items():
            assert float(together[name]) == pytest.approx(float(value), abs=1e-5), name
    assert float(figures[0][0]["train/loss"]) > float(figures[0][-1]["train/loss"])


def test_one_process_tests_the_best_weights_of_two(ran, lenet, monkeypatch):
    monkeypatch.setenv("PATH_DATASETS", str(ran / "data"))
    run = ran / "ddp" / "runs" / "LeNet-MNIST-1"
    together = json.loads((run / "test.json").read_text())
    root = ["--trainer.default_root_dir", str(run.parent)]
    assert lenet("test", "--ckpt_path", "best", *root, *SILENT).code == 0
    alone = json.loads((run / "test.json").read_text())
    assert alone["test/accuracy"] == together["test/accuracy"]
    assert alone["test/loss"] == pytest.approx(together["test/loss"], abs=1e-5)


@pytest.mark.parametrize("launcher", ["ddp", "torchrun"])
def test_two_processes_count_and_predict_each_image_once(ran, launcher):
    one, two = (ran / name / "runs" / "LeNet-MNIST-1" for name in ("one", launcher))
    for name in ("validate.json", "test.json"):  # 21 and 31 images
        alone, together = (json.loads((run / name).read_text()) for run in (one, two))
        del alone["checkpoint"], together["checkpoint"]
        assert together == pytest.approx(alone, abs=1e-5)
    alone, together = (rows(run / "predictions.csv") for run in (one, two))
    assert [int(row["index"]) for row in together] == list(range(31))
    assert [row["prediction"] for row in together] == [row["prediction"] for row in alone]
    for name in ("best", "last"):
        assert (two / "checkpoints" / f"{name}.ckpt").exists()
    names = [{path.name for path in run.glob("*.png")} for run in (one, two)]
    assert names[0] == names[1]
    for name in ("validate_classes.csv", "test_classes.csv"):
        assert (one / name).read_text() == (two / name).read_text()


def test_two_processes_stop_together_and_go_on_as_if_they_had_not(tmp_path):
    options = ["--data", "Digits", "--trainer.max_epochs", "4", "--trainer.accelerator", "cpu"]
    fit = [sys.executable, *LENET, "fit", *TWO, *SILENT, *options]
    subprocess.run([*fit, "--trainer.default_root_dir", "whole"], cwd=tmp_path, check=True)
    last = tmp_path / "runs" / "LeNet-Digits-1" / "checkpoints" / "last.ckpt"
    process = subprocess.Popen(fit, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not last.exists():
        time.sleep(0.01)
    process.terminate()  # the first one alone
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert said.count("Stopped by SIGTERM") == said.count("Progress is saved") == 1
    step = torch.load(last, weights_only=True)["global_step"]
    assert f"after step {step} in epoch" in said
    go_on = [sys.executable, *LENET, "fit", "--ckpt_path", "last"]
    subprocess.run(go_on, cwd=tmp_path, check=True)
    whole = tmp_path / "whole" / last.relative_to(tmp_path / "runs")
    stopped, other = (torch.load(file, weights_only=True) for file in (last, whole))
    assert stopped["global_step"] == other["global_step"]
    for name, weights in other["state_dict"].items():
        assert torch.equal(stopped["state_dict"][name], weights), name


SEEN = """
import hashlib
from lightning.pytorch import Callback

class Seen(Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        with open(f"seen-{trainer.current_epoch}.txt", "a") as file:
            for image in batch[0]:
                file.write(hashlib.md5(image.numpy().tobytes()).hexdigest() + "\\n")

    def on_train_end(self, trainer, pl_module):
        with open("seeds.txt", "a") as file:
            file.write(f"{trainer.datamodule.shared_seed}\\n")
"""


def test_two_processes_without_a_seed_train_on_each_image_once(tmp_path):
    write_mnist(tmp_path / "data", train=161, test=31)  # 140 to train on
    (tmp_path / "seen.py").write_text(SEEN)
    options = [*TWO, *OPTIONS, "--seed_everything", "false", "--trainer.max_epochs", "2"]
    subprocess.run(
        [sys.executable, *LENET, "fit", *options, "--trainer.callbacks", "seen.Seen"],
        cwd=tmp_path,
        env={**os.environ, "PATH_DATASETS": str(tmp_path / "data")},
        check=True,
    )
    epochs = [(tmp_path / f"seen-{epoch}.txt").read_text().splitlines() for epoch in range(2)]
    for seen in epochs:
        assert len(seen) == len(set(seen)) == 140
    assert set(epochs[0]) == set(epochs[1])
    assert epochs[0] != epochs[1]
    [one, other] = (tmp_path / "seeds.txt").read_text().split()  # which distortions use too
    assert one == other


def test_processes_of_torchruns_that_would_each_train_for_themselves_are_refused(
    lenet, monkeypatch
):
    for name in ("TORCHELASTIC_RUN_ID", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "2")
    done = lenet("fit", *TINY)
    assert done.code == 2
    assert "torchrun started 2 processes" in done.err
    assert "Add --trainer.devices 2 --trainer.strategy ddp" in done.err
    assert not os.listdir("runs")


@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork"])
def test_processes_that_are_spawned_tell_the_first_what_is_best(lenet_process, strategy):
    two = ["--trainer.devices", "2", "--trainer.strategy", strategy]
    done = lenet_process("fit", *TINY, *two)
    assert done.code == 0, done.err
    run = Path("runs/LeNet-Digits-1")
    assert os.listdir("runs") == [run.name]
    assert not (run / ".lock").exists()
    best = min(float(row["val/loss"]) for row in rows(run / "metrics.csv"))
    assert f"Best val/loss: {best:.4f}. Weights saved to\n  {run}" in done.out
    assert done.out.count("Next:") == 1


def test_a_mistake_that_a_spawned_process_sees_is_one_line(lenet_process):
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp_fork"]
    done = lenet_process("fit", *TINY, *two, "--checkpoint.monitor", "val/other_loss")
    assert done.code == 2
    [line] = [line for line in done.err.splitlines() if "error:" in line]
    assert line.startswith("lenet: error: --checkpoint.monitor val/other_loss: ")
    assert not os.listdir("runs")
