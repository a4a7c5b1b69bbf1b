"""The benchmark's clocks, without a word on how fast anything is."""

import json

import pytest
import torch
from torch import nn

from tests.benchmarks import bare
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
