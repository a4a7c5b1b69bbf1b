"""The trainer in Python finds checkpoints as the command line does, and reads only safe ones."""

import signal
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from lenet import Digits, LeNet, Trainer
from lenet.errors import UserError
from lenet.training import BestCheckpoint
from tests.hostile_checkpoints import Call, saved

SMALL = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
SMALL |= {"enable_model_summary": False, "limit_train_batches": 2}


def test_best_is_what_the_trainer_has_kept():
    trainer = Trainer(max_epochs=1, callbacks=[BestCheckpoint()], **SMALL)
    trainer.fit(LeNet(), datamodule=Digits())
    assert trainer.best is not None
    [row] = trainer.test(ckpt_path="best", datamodule=Digits(), verbose=False)
    assert Path(str(trainer.ckpt_path)) == Path(trainer.best.best_model_path)
    assert Path(str(trainer.ckpt_path)).name == "best.ckpt"
    [again] = Trainer(**SMALL).test(
        LeNet(), ckpt_path=str(trainer.ckpt_path), datamodule=Digits(), verbose=False
    )
    assert again == row


@pytest.mark.parametrize("ckpt_path", ["best", "last", "run"])
def test_a_checkpoint_is_found_by_the_words_of_the_command_line(small_run, ckpt_path):
    model = LeNet()
    trainer = Trainer(default_root_dir=str(small_run.parent), **SMALL)
    path = str(small_run) if ckpt_path == "run" else ckpt_path
    trainer.test(model, ckpt_path=path, datamodule=Digits(), verbose=False)
    name = "last" if ckpt_path == "last" else "best"
    kept = torch.load(small_run / "checkpoints" / f"{name}.ckpt", weights_only=True)
    for key, value in kept["state_dict"].items():
        assert torch.equal(model.state_dict()[key], value)


def test_what_is_not_there_is_no_untrained_network_measured():
    for word in ("best", "last"):
        with pytest.raises(UserError, match=f"--ckpt_path {word}: no run below"):
            Trainer(default_root_dir="runs", **SMALL).test(
                LeNet(), ckpt_path=word, datamodule=Digits()
            )


@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict"])
def test_a_checkpoint_that_is_not_safe_is_refused(good, verb):
    content = torch.load(good, weights_only=True)
    path = saved({**content, "more": Call(Path.touch, Path("ran"))})
    with pytest.raises(UserError, match=r"hostile\.ckpt: refused, because"):
        getattr(Trainer(**SMALL), verb)(LeNet(), datamodule=Digits(), ckpt_path=str(path))
    assert not Path("ran").exists()


def test_ctrl_c_is_the_exception_that_it_is_and_can_be_pressed_again():
    class Stop(pl.Callback):
        def on_train_batch_end(self, *args):
            raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    trainer = Trainer(callbacks=[Stop()], **SMALL)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(LeNet(), datamodule=Digits())
    assert signal.getsignal(signal.SIGINT) is handler
