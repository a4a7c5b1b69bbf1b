"""The benchmark's clocks, without a word on how fast anything is."""

import json

import pytest
import torch
from torch import nn

from lenet import MNIST
from tests.benchmarks import bare
from tests.benchmarks.rows import write_tenfold
from tests.benchmarks.table import Row, faster, table, times
from tests.conftest import QUIET, REPOSITORY

CLOCKED = [
    *("--data", "Digits", "--data.rotation", "5", "--trainer.accelerator", "cpu", *QUIET),
    *("--trainer.max_epochs", "4", "--trainer.limit_train_batches", "2"),
]


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY))


@pytest.mark.parametrize(
    ("against", "pairs"),
    [("bare", (3, 3)), ("tuned", (3, 3)), ("plain", (1, 1)), ("nothing", (4, 0))],
)
def test_epochs_are_timed_beside_what_they_are_compared_with(lenet, tmp_path, against, pairs):
    clock = ["--trainer.callbacks+", "tests.benchmarks.clock.EpochClock"]
    clock += ["--trainer.callbacks.output", tmp_path / "clock.json"]
    done = lenet("fit", *CLOCKED, *clock, "--trainer.callbacks.against", against)
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "clock.json").read_text())
    assert (len(found["ours"]), len(found["base"])) == pairs
    assert all(turn > 0 for turns in found.values() for turn in turns)


def test_the_bare_loop_does_not_change_the_training(lenet, tmp_path):
    clock = ["--trainer.callbacks+", "tests.benchmarks.clock.EpochClock"]
    clock += ["--trainer.callbacks.output", tmp_path / "clock.json"]
    figures = []
    for options in ([], clock):
        assert lenet("fit", *CLOCKED, *options).code == 0
        run = max(tmp_path.glob("runs/*"))
        figures.append((run / "metrics.csv").read_text())
    assert figures[0] == figures[1]


@pytest.mark.parametrize("verb", ["test", "predict"])
def test_an_evaluation_is_timed_beside_five_bare_ones(lenet, tmp_path, verb):
    assert lenet("fit", *CLOCKED[:4], "--trainer.max_epochs", "1", *QUIET).code == 0
    clock = ["--trainer.callbacks+", "tests.benchmarks.clock.EvaluationClock"]
    clock += ["--trainer.callbacks.output", tmp_path / "clock.json"]
    done = lenet(verb, *QUIET, *clock)
    assert done.code == 0, done.err
    found = json.loads((tmp_path / "clock.json").read_text())
    assert (len(found["ours"]), len(found["base"])) == (1, 5)


def test_a_training_is_timed_beside_a_bare_epoch(lenet, tmp_path):
    clock = ["--trainer.callbacks+", "tests.benchmarks.clock.TrainingClock"]
    clock += ["--trainer.callbacks.output", tmp_path / "clock.json"]
    assert lenet("fit", *CLOCKED, *clock).code == 0
    found = json.loads((tmp_path / "clock.json").read_text())
    assert (len(found["ours"]), len(found["base"])) == (1, 1)


def test_ten_times_the_images_are_mnists_ten_times(mnist_root, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH_DATASETS", str(mnist_root))
    # Ten times 120, which is what the small files have.
    write_tenfold(tmp_path / "ten" / "MNIST" / "raw")
    images, labels = MNIST(root=str(tmp_path / "ten")).read(train=True)
    one, its_labels = MNIST(root=str(mnist_root)).read(train=True)
    assert images.equal(one.repeat(10, 1, 1, 1))
    assert labels.equal(its_labels.repeat(10))


def test_the_bare_loop_learns_in_both_layouts():
    torch.manual_seed(0)
    images, labels = torch.randn(64, 1, 8, 8), torch.arange(64) % 4
    images += labels.view(-1, 1, 1, 1)
    for tuned in (False, True):
        network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4))
        before = nn.functional.cross_entropy(network(images), labels)
        for _ in range(5):
            bare.train(network, images, labels, batch_size=16, lr=1e-2, tuned=tuned)
        assert nn.functional.cross_entropy(network(images), labels) < before / 2


def test_a_table_has_medians_and_the_figure_that_counts():
    ours, base = [1.0, 2.0, 9.0], [2.0, 4.0, 6.0]
    assert times(ours, base) == "0.50 times (0.50 to 1.50)"
    assert faster(ours, base) == "2.0 times (0.7 to 2.0) as fast"
    row = Row("an epoch", times(ours, base), "at most 1.20 times", ours, base)
    said = "| an epoch | 2 s | 4 s | 0.50 times (0.50 to 1.50) | at most 1.20 times |"
    assert table([row]).splitlines()[-1] == said
