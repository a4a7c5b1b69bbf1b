import torch
from torch import tensor

from lenet import Trainer
from lenet.training import BestCheckpoint, EarlyStopping
from tests.conftest import TINY


def test_of_equally_good_epochs_the_latest_is_kept():
    best, trainer = BestCheckpoint("val/accuracy"), Trainer(logger=False, accelerator="cpu")
    assert best.check_monitor_top_k(trainer, tensor(0.9))
    best.best_model_score = tensor(0.9)
    best.best_k_models, best.kth_best_model_path = {"best.ckpt": tensor(0.9)}, "best.ckpt"
    assert best.check_monitor_top_k(trainer, tensor(0.9))
    assert best.check_monitor_top_k(trainer, tensor(0.91))
    assert not best.check_monitor_top_k(trainer, tensor(0.89))
    assert not best.check_monitor_top_k(trainer, None)


def test_early_stopping_goes_on_counting_with_the_patience_of_now():
    before, now = EarlyStopping(patience=3), EarlyStopping(patience=9)
    before.wait_count, before.best_score = 2, torch.tensor(0.5)
    now.load_state_dict(before.state_dict())
    assert (now.patience, now.wait_count, now.best_score) == (9, 2, 0.5)


def test_early_stopping_says_so_and_an_end_that_was_asked_for_does_not(lenet):
    done = lenet("fit", *TINY)
    assert done.code == 0, done.err
    assert "Stopped early" not in done.out
    done = lenet(
        "fit", *TINY, "--trainer.max_epochs", "3", "--early_stopping.stopping_threshold", "9"
    )
    assert "Stopped early after epoch 0. " in done.out
