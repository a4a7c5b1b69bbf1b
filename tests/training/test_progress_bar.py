import re
from itertools import pairwise

import pytest
from lightning.pytorch.callbacks import RichProgressBar

from lenet.training import progress_bar as progress
from lenet.training.progress_bar import ProgressBar
from tests.conftest import DIGITS


@pytest.fixture
def drawn(monkeypatch):
    """Count what is passed on to Lightning's bar, on a clock that is set by hand."""
    drawn: list[float] = []
    now = [100.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    monkeypatch.setattr(RichProgressBar, "refresh", lambda self, hard=False: drawn.append(now[0]))
    return now, drawn


def test_the_bar_is_drawn_five_times_a_second_at_most(drawn):
    now, drawn = drawn
    bar = ProgressBar()
    for step in range(1000):  # a second of quick steps
        now[0] = 100 + step / 1000
        bar.refresh()
    assert len(drawn) == 5
    assert min(b - a for a, b in pairwise(drawn)) >= progress.INTERVAL


def test_slow_steps_and_what_must_be_seen_at_once_are_drawn_each_time(drawn):
    now, drawn = drawn
    bar = ProgressBar()
    for step in range(3):
        now[0] = 100 + step
        bar.refresh()
    bar.refresh(hard=True)
    assert drawn == [100, 101, 102, 102]


@pytest.mark.parametrize("width", [80, 100, 200])
def test_each_epoch_leaves_a_line_with_its_last_figures(lenet, monkeypatch, caplog, width):
    monkeypatch.setenv("COLUMNS", str(width))
    few = ("--pictures.filters", "false", "--pictures.features", "false")
    done = lenet("fit", *DIGITS, *few, "--trainer.max_epochs", "2")
    out = done.out
    assert out.index("Epoch 1/1") < out.index("Pictures in")
    # It would be printed into the last epoch's line.
    assert "Trainer.fit" not in caplog.text + done.err
    for epoch in ("Epoch 0/1", "Epoch 1/1"):
        [line] = [line for line in out.splitlines() if line.startswith(epoch)]
        assert "20/20" in line
        assert re.search(r" val/loss: \d+\.\d{4} val/accuracy: 0\.\d{4}$", line.rstrip())
        assert ("it/s" in line) == (width >= 100)
