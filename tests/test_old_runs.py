"""Runs that an earlier version wrote are still tested, predicted, exported and resumed.

``tests/old_runs`` was written by commit 70db7be, with ``/home/user`` in place of its folder.
``ConvNet-Digits-1`` was stopped after two of three epochs, so it resumes with its own config.
"""

import csv
import json
import shutil
from pathlib import Path

import pytest

from lenet import load
from tests.conftest import QUIET
from tests.small import write_folder

OLD = Path(__file__).parent / "old_runs"
# What commit 70db7be found: the third epoch of a training that was not stopped, and the test.
THIRD_EPOCH = {"train/loss": 1.0515321, "val/loss": 0.8141772, "lr": 0.0042548114}
TEST = {"test/loss": 1.0347, "test/accuracy": 0.6694}


@pytest.fixture
def digits_run() -> Path:
    return Path(shutil.copytree(OLD / "ConvNet-Digits-1", "runs/ConvNet-Digits-1"))


@pytest.fixture
def folder_run() -> Path:
    write_folder(Path("photos"))
    return Path(shutil.copytree(OLD / "ConvNet-ImageFolder-1", "runs/ConvNet-ImageFolder-1"))


def test_an_old_run_is_tested_predicted_exported_and_loaded(lenet, digits_run):
    assert lenet("test", *QUIET).code == 0
    found = json.loads((digits_run / "test.json").read_text())
    for name, value in TEST.items():
        assert found[name] == pytest.approx(value, abs=1e-3)
    assert lenet("predict", *QUIET).code == 0
    assert (digits_run / "predictions.csv").is_file()
    assert lenet("export", "--output", "old.pt2").code == 0
    assert load(digits_run).image_size == 16


def test_an_old_run_is_resumed_as_if_it_had_not_stopped(lenet, digits_run):
    done = lenet(
        "fit", "--ckpt_path", "last", "--early_stopping.stopping_threshold", "null", *QUIET
    )
    assert done.code == 0, done.err
    with (digits_run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    for name, value in THIRD_EPOCH.items():
        assert float(rows[2][name]) == pytest.approx(value, rel=1e-3)


def test_an_old_run_on_a_folder_of_images_is_tested_repeated_and_resumed(lenet, folder_run):
    assert lenet("test", *QUIET).code == 0
    done = lenet("fit", "--ckpt_path", "last", "--trainer.max_epochs", "2", *QUIET)
    assert done.code == 0, done.err
    done = lenet("fit", "--config", OLD / "ConvNet-ImageFolder-1" / "config.yaml", *QUIET)
    assert done.code == 0, done.err
