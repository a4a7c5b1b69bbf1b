"""The counts of Lightning's loops, which have no public name: these fail when they change."""

import lightning.pytorch as pl
import pytest
import torch

from lenet import Digits, LeNet, Trainer
from lenet.epoch_position import (
    SavedPosition,
    batches_served,
    batches_trained,
    validation_follows,
)

QUIET_TRAINER = {
    "accelerator": "cpu",
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "enable_progress_bar": False,
    "logger": False,
}


class Watch(pl.Callback):
    """Record where the training is said to stand, and save at the end of batches and epochs."""

    def __init__(self, folder):
        self.folder = folder
        self.trained, self.served, self.follows = [], [], []

    def on_train_batch_start(self, trainer, *_):
        self.trained.append(batches_trained(trainer))

    def on_train_batch_end(self, trainer, *_):
        self.served.append(batches_served(trainer))
        self.follows.append(validation_follows(trainer))
        trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    watch = Watch(tmp_path_factory.mktemp("watched"))
    options = {"max_epochs": 2, "limit_train_batches": 5, "limit_val_batches": 1}
    trainer = Trainer(callbacks=[watch], **options, **QUIET_TRAINER)
    trainer.fit(LeNet(), datamodule=Digits(batch_size=8))
    return watch


def position(watched, step: int) -> SavedPosition:
    return SavedPosition(torch.load(watched.folder / f"{step}.ckpt", weights_only=True))


def test_a_training_says_which_batch_it_is_at(watched):
    assert watched.trained == list(range(10))
    assert watched.served == [1, 2, 3, 4, 0] * 2  # of a last batch, the epoch is over
    assert watched.follows == [False, False, False, False, True] * 2


def test_a_validation_within_an_epoch_is_seen(tmp_path):
    watch = Watch(tmp_path)
    options = {"max_epochs": 1, "limit_train_batches": 6, "val_check_interval": 0.5}
    trainer = Trainer(callbacks=[watch], **options, limit_val_batches=1, **QUIET_TRAINER)
    trainer.fit(LeNet(), datamodule=Digits(batch_size=8))
    assert watch.follows == [False, False, True, False, False, True]


@pytest.mark.parametrize(("step", "epochs", "done"), [(2, 0, 2), (5, 0, 5), (8, 1, 3)])
def test_a_checkpoint_says_where_it_was_saved(watched, step, epochs, done):
    saved = position(watched, step)
    assert (saved.epochs, saved.is_within_epoch) == (epochs, True)
    assert saved.batches_done(5) == done


@pytest.mark.parametrize(
    ("step", "now", "multiple", "done"),
    [(2, 10, 1, 4), (2, 10, 3, 3), (2, 2, 1, 0), (5, 10, 3, 10)],
)
def test_the_part_of_an_epoch_that_is_done_is_kept(watched, step, now, multiple, done):
    saved = position(watched, step)
    saved.rescale(5, now, multiple)
    assert saved.batches_done(now) == done


def test_an_epoch_that_was_trained_is_over(watched, tmp_path):
    class Save(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.save_checkpoint(tmp_path / "end.ckpt")

    options = {"max_epochs": 3, "limit_train_batches": 5, "limit_val_batches": 1}
    trainer = Trainer(callbacks=[Save()], max_steps=5, **options, **QUIET_TRAINER)
    trainer.fit(LeNet(), datamodule=Digits(batch_size=8))
    checkpoint = torch.load(tmp_path / "end.ckpt", weights_only=True)
    saved = SavedPosition(checkpoint)
    saved.end_epoch()
    assert saved.batches_done(5) == 0
    loops = checkpoint["loops"]["fit_loop"]
    assert loops["epoch_progress"]["total"]["completed"] == 1
    unfinished = position(watched, 2)
    unfinished.end_epoch()
    assert unfinished.batches_done(5) == 2
