"""Trainings that are resumed with other options, and what is left where that fails."""

import os
import shutil
import signal
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from lenet import Digits, Trainer
from lenet.__main__ import main
from lenet.models import ImageClassifier
from lenet.training import EarlyStopping
from tests.conftest import TINY
from tests.test_interruption import metrics, saved

IMAGES = 1257  # of Digits to train on: 20 batches of 64
EPOCHS = 4
QUICK = [*TINY, "--model", "MLP"]  # twice as quick as LeNet
OPTIONS = [*QUICK, "--model.scheduler", "OneCycleLR", "--trainer.max_epochs", str(EPOCHS)]
RUN = "runs/MLP-Digits-1"


def stop_at(monkeypatch, step: int) -> None:
    """Let a training stop after a step, as by Ctrl-C."""
    original = ImageClassifier.training_step

    def training_step(self, batch, batch_idx):
        if self.trainer.global_step == step - 1:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, batch, batch_idx)

    monkeypatch.setattr(ImageClassifier, "training_step", training_step)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> dict[int, Path]:
    """Stop a training between its first two epochs, and one within the second."""
    found = {}
    for step in (20, 30):
        folder = tmp_path_factory.mktemp("stopped")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            stop_at(patch, step)
            with pytest.raises(SystemExit):
                main(["fit", *OPTIONS])
        found[step] = folder / "runs"
        assert saved(found[step] / "MLP-Digits-1")["global_step"] == step
    return found


# What is changed, and how many steps an epoch then has, in how many epochs.
CHANGES = {
    "smaller batches": ("--data.batch_size 16", 79, 4),
    "larger batches": ("--data.batch_size 256", 5, 4),
    "fewer images": ("--data.val_size 1000", 7, 4),
    "more epochs": ("--trainer.max_epochs 7", 20, 7),
    "fewer epochs": ("--trainer.max_epochs 2", 20, 2),
    "as many steps": ("--data.batch_size 128 --trainer.max_epochs 8", 10, 8),
    "fewer batches": ("--trainer.limit_train_batches 3", 3, 4),
    "rarer steps": ("--trainer.accumulate_grad_batches 3", 7, 4),
}


@pytest.mark.parametrize("step", [20, 30])
@pytest.mark.parametrize("change", CHANGES)
def test_a_schedule_goes_on_with_the_part_that_is_done_and_ends_with_the_training(
    lenet, stopped, step, change
):
    options, steps, epochs = CHANGES[change]
    shutil.copytree(stopped[step], "runs")
    rates = []

    class Rates(pl.Callback):
        def on_train_batch_start(self, trainer, *args):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EarlyStopping, "on_train_batch_start", Rates.on_train_batch_start)
        done = lenet("fit", "--ckpt_path", "last", *options.split())
    assert done.code == 0, done.err
    assert os.listdir("runs") == ["MLP-Digits-1"]
    [plan] = saved(RUN)["lr_schedulers"]
    assert plan["total_steps"] == plan["last_epoch"] == steps * epochs
    assert [int(row["epoch"]) for row in metrics(RUN)] == list(range(epochs))
    # The first rate is that of this schedule at the part of its epochs that was done.
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(1))], 1e-3)
    whole = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, steps * epochs)
    planned = [whole.get_last_lr()[0]]
    for _ in range(steps * epochs - 1):
        optimizer.step()
        whole.step()
        planned.append(whole.get_last_lr()[0])
    first = planned.index(pytest.approx(rates[0]))
    assert first == pytest.approx(step / 20 * steps, abs=1)


def test_a_stopped_epoch_goes_on_with_the_images_that_it_has_not_had(lenet, stopped, monkeypatch):
    shutil.copytree(stopped[30], "runs")
    original, sizes = ImageClassifier.training_step, []

    def training_step(self, batch, batch_idx):
        if self.trainer.current_epoch == 1:
            sizes.append(len(batch[0]))
        return original(self, batch, batch_idx)

    monkeypatch.setattr(ImageClassifier, "training_step", training_step)
    done = lenet("fit", "--ckpt_path", "last", "--data.batch_size", "128")
    assert done.code == 0, done.err
    assert len(sizes) == 10 - 5
    assert sum(sizes) == IMAGES - 5 * 128


@pytest.mark.parametrize("step", [20, 30])
def test_workers_go_on_with_the_images_that_have_not_been_trained_on(lenet, stopped, step):
    assert lenet("fit", *OPTIONS, "--trainer.default_root_dir", "whole").code == 0
    shutil.copytree(stopped[step], "runs")
    done = lenet("fit", "--ckpt_path", "last", "--data.num_workers", "2")
    assert done.code == 0, done.err
    assert metrics(RUN) == metrics("whole/MLP-Digits-1")


def test_a_step_limit_places_a_schedule_by_the_steps(lenet, stopped):
    shutil.copytree(stopped[20], "runs")
    options = ["--trainer.max_steps", "50", "--data.batch_size", "16"]
    assert lenet("fit", "--ckpt_path", "last", *options).code == 0
    [plan] = saved(RUN)["lr_schedulers"]
    assert plan["total_steps"] == plan["last_epoch"] == saved(RUN)["global_step"] == 50


@pytest.mark.parametrize("batch_size", [64, 128])
def test_a_step_limit_that_is_lifted_lets_a_schedule_end_with_the_training(lenet, batch_size):
    assert lenet("fit", *OPTIONS, "--trainer.max_steps", "30").code == 0
    options = ["--trainer.max_steps", "-1", "--data.batch_size", str(batch_size)]
    done = lenet("fit", "--ckpt_path", "last", *options)
    assert done.code == 0, done.err
    [plan] = saved(RUN)["lr_schedulers"]
    assert plan["total_steps"] == plan["last_epoch"] == EPOCHS * 20 * 64 // batch_size
    assert [int(row["epoch"]) for row in metrics(RUN)] == list(range(EPOCHS))


def test_fewer_steps_than_were_made_are_refused(lenet, stopped):
    shutil.copytree(stopped[20], "runs")
    done = lenet("fit", "--ckpt_path", "last", "--trainer.max_steps", "10")
    assert done.code == 2
    assert "--trainer.max_steps 10: 20 steps are already trained" in done.err


# A start that fails


class Failing(pl.Callback):
    """Fail where a training begins, or in its second step."""

    def __init__(self, step: int = 0):
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == self.step:
            raise OSError(5, "Failed")


@pytest.mark.parametrize("verb", ["fit", "run"])
def test_a_start_that_fails_leaves_no_run(lenet, stopped, verb):
    shutil.copytree(stopped[20], "runs")
    failing = ["--trainer.callbacks", f"{__name__}.Failing"]
    for options in ([], ["--ckpt_path", "best"]):
        done = lenet(verb, *QUICK, "--trainer.max_epochs", "3", *failing, *options)
        assert done.code == 2, done.err
        assert os.listdir("runs") == ["MLP-Digits-1"]
    # A run that is resumed is never removed, nor one that has made a step.
    before = sorted(path.name for path in Path(RUN).rglob("*") if "events" not in path.name)
    assert lenet(verb, "--ckpt_path", "last", *failing).code == 2
    after = sorted(path.name for path in Path(RUN).rglob("*") if "events" not in path.name)
    assert set(before) <= set(after)
    done = lenet(verb, *QUICK, *failing, "--trainer.callbacks.step", "2")
    assert done.code == 2
    assert sorted(os.listdir("runs")) == ["MLP-Digits-1", "MLP-Digits-2"]


MODEL = """
from lenet import MLP

class Broken(MLP):
    def loss(self, logits, labels):
        return super().loss(logits, labels) + ({}["nothing"] if self.training else 0)
"""


def test_a_bug_in_a_model_of_a_folder_called_torch_is_not_called_a_damaged_checkpoint(
    stopped, monkeypatch, tmp_path
):
    # It is called from within a step of the optimizer, as every model is.
    folder = tmp_path / "torch" / "optim"
    folder.mkdir(parents=True)
    (folder / "broken_model.py").write_text(MODEL)
    monkeypatch.syspath_prepend(folder)
    import broken_model  # pyright: ignore[reportMissingImports]

    options = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = Trainer(max_epochs=3, accelerator="cpu", enable_checkpointing=False, **options)
    last = stopped[20] / "MLP-Digits-1" / "checkpoints" / "last.ckpt"
    with pytest.raises(KeyError, match="nothing"):
        trainer.fit(broken_model.Broken(image_size=8), datamodule=Digits(), ckpt_path=str(last))


def test_an_older_config_stays_in_its_run_whatever_the_folder_is_called(lenet, stopped):
    shutil.copytree(stopped[20], "study.yaml")
    root = ["--trainer.default_root_dir", "study.yaml"]
    done = lenet("fit", "--ckpt_path", "last", "--model.lr", "1e-4", *root)
    assert done.code == 0, done.err
    run = Path("study.yaml/MLP-Digits-1")
    assert {"config.yaml", "config-1.yaml"} <= set(os.listdir(run))
    assert not [path for path in Path().iterdir() if path.name.startswith("study-")]
    assert "lr: 0.001" in (run / "config-1.yaml").read_text()


def test_max_steps_does_not_end_a_finished_epoch_again(lenet):
    ends = ["--trainer.max_epochs", "9", "--trainer.max_steps", "30"]
    lenet("fit", *QUICK, *ends, "--trainer.default_root_dir", "whole")
    lenet("fit", *QUICK)
    done = lenet("fit", "--ckpt_path", "last", *ends)
    assert done.code == 0, done.err
    runs = [Path(root) / "MLP-Digits-1" for root in ("runs", "whole")]
    tables = [(run / "metrics.csv").read_text() for run in runs]
    assert tables[0] == tables[1]
    states = [torch.load(r / "checkpoints" / "last.ckpt", weights_only=True) for r in runs]
    for name, value in states[0]["state_dict"].items():
        assert value.equal(states[1]["state_dict"][name])
    assert lenet("fit", "--ckpt_path", "last", "--trainer.max_steps", "-1").code == 0
    assert len((runs[0] / "metrics.csv").read_text().splitlines()) == 1 + 9


def test_an_epoch_that_was_not_validated_is_not_the_best(lenet):
    done = lenet("fit", *QUICK, "--trainer.max_epochs", "9", "--trainer.max_steps", "30")
    assert done.code == 0, done.err
    best = torch.load("runs/MLP-Digits-1/checkpoints/best.ckpt", weights_only=True)
    assert best["global_step"] == 20
    last = Path("runs/MLP-Digits-1/metrics.csv").read_text().splitlines()[-1]
    assert last.startswith("1,29,")
    assert last.endswith(",,")  # nothing of a validation


def test_a_finished_run_says_that_nothing_is_left(lenet):
    lenet("fit", *QUICK)
    done = lenet("fit", "--ckpt_path", "last")
    assert done.code == 0
    assert "Training is already complete at --trainer.max_epochs 1." in done.err
