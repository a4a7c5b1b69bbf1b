"""The measurement of accuracy: what it keeps, goes on with and writes."""

import json
import shutil

import pytest
import torch

from tests.benchmarks.accuracy import keep_config, machine, measure, replace_row, row
from tests.conftest import QUIET, REPOSITORY

CONFIG = """\
model: LeNet
data: Digits
trainer:
  max_epochs: 2
  accelerator: cpu
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY))
    path = tmp_path / "small.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def counted(lenet):
    """Run lenet in this process, and keep what it was asked for."""
    asked = []

    def run(args, log):
        asked.append(args)
        bar = ["--trainer.enable_progress_bar", "false"]
        done = lenet(*args[: -len(bar)], *QUIET)
        if done.code:
            raise SystemExit(done.err)

    run.asked = asked
    return run


def test_a_seed_is_trained_on_everything_tested_once_and_never_again(config, counted, tmp_path):
    first = measure(config, 3, tmp_path, counted)
    assert [args[0] for args in counted.asked] == ["fit", "test"]
    assert measure(config, 3, tmp_path, counted) == first
    assert len(counted.asked) == 2
    [run] = tmp_path.glob("seed-3/LeNet-Digits-*")
    assert first["seed"] == 3
    assert first["commit"] == machine()["commit"]
    assert first["accuracy"] == 100 * json.loads((run / "test.json").read_text())["test/accuracy"]
    saved = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert saved["datamodule_hyper_parameters"]["val_size"] == 0
    assert saved["epoch"] == 1


def test_what_was_interrupted_goes_on_and_ends_alike(config, counted, tmp_path):
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole = measure(config, 0, tmp_path / "whole", counted)

    def interrupted(args, log):
        counted([*args[:-2], "--trainer.max_epochs", "1", *args[-2:]], log)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(config, 0, tmp_path / "broken", interrupted)
    again = measure(config, 0, tmp_path / "broken", longer(counted))
    assert again["accuracy"] == whole["accuracy"]
    assert counted.asked[-2][:3] == ["fit", "--ckpt_path", "last"]
    [run] = tmp_path.glob("broken/seed-0/LeNet-*")
    assert len((run / "metrics.csv").read_text().splitlines()) == 3


def longer(run):
    """Give back to a training the length that it was interrupted at."""

    def go_on(args, log):
        more = ["--trainer.max_epochs", "2"] if args[0] == "fit" else []
        run([*args[:-2], *more, *args[-2:]], log)

    return go_on


def test_runs_of_another_configuration_are_not_mixed_in(config, tmp_path):
    keep_config(config, tmp_path / "kept")
    config.write_text("# a header\n" + CONFIG)
    keep_config(config, tmp_path / "kept")
    config.write_text(CONFIG + "seed_everything: 1\n")
    with pytest.raises(ValueError, match=r"another small\.yaml"):
        keep_config(config, tmp_path / "kept")
    shutil.rmtree(tmp_path / "kept")
    keep_config(config, tmp_path / "kept")


def test_a_line_has_mean_deviation_interval_and_every_seed(config):
    found = [
        {"seed": i, "accuracy": accuracy, "seconds": 90.0, "commit": "abc1234"}
        for i, accuracy in enumerate((99.0, 99.5, 100.0))
    ]
    line = row(config, found)
    # The interval by Student's t of two degrees of freedom, 4.303, times 0.5 / sqrt(3).
    expected = "| `small.yaml` | **99.500** | 0.500 | 98.258 to 100.742 | 99.00, 99.50, 100.00 "
    assert line == expected + "| 1.5 min | abc1234 |"
    assert "| - | - |" in row(config, found[:1])
    assert row(config, [*found, {**found[0], "commit": "def5678"}]).endswith(
        " | abc1234, def5678 |"
    )


def test_a_line_replaces_its_own_and_leaves_the_rest():
    text = "# Results\n\n| a | b |\n|---|---|\n| `one.yaml` | 1 |\n\nMore | text.\n\n"
    text += "| another | table |\n|---|---|\n| `one.yaml` | 4 |\n"
    replaced = replace_row(text, "| `one.yaml` | 2 |")
    assert replaced == text.replace("| 1 |", "| 2 |")
    added = replace_row(text, "| `two.yaml` | 3 |")
    assert added == text.replace("| 1 |\n", "| 1 |\n| `two.yaml` | 3 |\n")
    empty = "| a | b |\n|---|---|\n"
    assert replace_row(empty, "| `two.yaml` | 3 |") == empty + "| `two.yaml` | 3 |\n"
