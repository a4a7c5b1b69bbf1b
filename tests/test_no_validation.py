"""Trainings on all images, with none held out for validation."""

import csv
from pathlib import Path

import pytest
import torch

from lenet import Digits, ImageFolder
from tests.conftest import DIGITS, QUIET, SILENT, TINY
from tests.small import split_up

RUN = Path("runs/LeNet-Digits-1")
ALL = ["--data.val_size", "0"]


def checkpoint(name: str) -> dict:
    return torch.load(RUN / "checkpoints" / f"{name}.ckpt", weights_only=True)


def test_every_training_image_is_trained_on():
    data = Digits(val_size=0)
    data.setup("fit")
    assert len(data.sets["train"]) == 1437
    assert data.sets["train"].indices.unique().numel() == 1437
    assert data.val_dataloader() == []


def test_a_folders_own_validation_images_are_trained_on(photos):
    split_up(photos)
    data = ImageFolder(val_size=0)
    data.setup("fit")
    assert len(data.sets["train"]) == 21
    assert data.val_dataloader() == []


def test_the_last_weights_are_the_best_for_every_command_that_follows(lenet, caplog, recwarn):
    few = ["--trainer.max_epochs", "2", "--trainer.limit_train_batches", "2"]
    done = lenet("run", *DIGITS, *ALL, *SILENT, *few)
    assert done.code == 0, done.err
    assert "Training on all 1437 images" in caplog.text
    kinds = {warning.category for warning in recwarn}  # some deprecations are UserWarnings as well
    assert not [
        x for x in kinds if issubclass(x, UserWarning) and not issubclass(x, DeprecationWarning)
    ]
    assert "Last epoch, since there is no validation set" in done.out
    best, last = checkpoint("best"), checkpoint("last")
    assert best["epoch"] == last["epoch"] == 1
    assert all(best["state_dict"][name].equal(w) for name, w in last["state_dict"].items())
    assert not (RUN / "validate.json").exists()
    assert {"curves.png", "features.png", "predictions.csv"} < {p.name for p in RUN.iterdir()}
    with (RUN / "metrics.csv").open(newline="") as file:
        assert "val/loss" not in next(csv.reader(file))
    before = (RUN / "test.json").read_text()
    assert lenet("test", *QUIET).code == 0
    assert (RUN / "test.json").read_text() == before


def test_it_goes_on_as_if_it_had_not_stopped(lenet):
    whole = ["--trainer.max_epochs", "2", "--trainer.default_root_dir", "whole"]
    lenet("fit", *TINY, *ALL, *whole)
    lenet("fit", *TINY, *ALL)
    done = lenet("fit", "--ckpt_path", "last", "--trainer.max_epochs", "2")
    assert done.code == 0, done.err
    expected = torch.load("whole/LeNet-Digits-1/checkpoints/best.ckpt", weights_only=True)
    found = checkpoint("best")["state_dict"]
    assert all(found[name].equal(weight) for name, weight in expected["state_dict"].items())


def test_there_is_nothing_to_validate_on(lenet):
    lenet("fit", *TINY, *ALL)
    done = lenet("validate")
    assert done.code == 2
    assert "--data.val_size 0: leaves no images for validation" in done.err
    done = lenet("validate", *QUIET, "--data.val_size", "100")
    assert done.code == 0
    assert "may have been trained on" in done.err


@pytest.mark.parametrize(
    "watched",
    [("--model.scheduler", "ReduceLROnPlateau"), ("--early_stopping.monitor", "val/accuracy")],
)
def test_what_watches_a_validation_figure_is_named_or_rests(lenet, watched):
    done = lenet("fit", *TINY, *ALL, *watched)
    if "ReduceLROnPlateau" in watched:
        assert done.code == 2
        assert "--model.scheduler.monitor val/loss" in done.err
        assert "Traceback" not in done.err
    else:
        assert done.code == 0, done.err
