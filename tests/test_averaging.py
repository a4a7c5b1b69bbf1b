"""Averaged weights, by Lightning's own callback."""

import json
from pathlib import Path

import pytest
import torch

import lenet as package
from tests.conftest import QUIET, TINY

RUN = Path("runs/LeNet-Digits-1")
AVERAGED = [
    *("--trainer.callbacks", "EMAWeightAveraging", "--trainer.callbacks.decay", "0.9"),
    *("--trainer.max_epochs", "2"),
]


def weights(name: str, key: str = "state_dict", run: Path = RUN) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)[key]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(a[name].equal(value) for name, value in b.items())


@pytest.mark.parametrize("held_out", [[], ["--data.val_size", "0"]], ids=["some", "none"])
def test_averaged_weights_are_kept_and_measured_by_run_and_afterwards(lenet, held_out):
    done = lenet("run", *TINY, *AVERAGED, *held_out)
    assert done.code == 0, done.err
    assert not same(weights("best"), weights("best", "current_model_state"))
    inside = json.loads((RUN / "test.json").read_text())
    assert lenet("test", *QUIET).code == 0
    assert json.loads((RUN / "test.json").read_text()) == inside
    assert same(package.load(RUN).state_dict(), weights("best"))


def test_an_averaged_training_goes_on_as_if_it_had_not_stopped(lenet):
    lenet("fit", *TINY, *AVERAGED, "--trainer.default_root_dir", "whole")
    lenet("fit", *TINY, *AVERAGED, "--trainer.max_epochs", "1")
    done = lenet("fit", "--ckpt_path", "last", "--trainer.max_epochs", "2")
    assert done.code == 0, done.err
    whole = Path("whole/LeNet-Digits-1")
    for key in ("state_dict", "current_model_state"):
        assert same(weights("last", key), weights("last", key, whole))
