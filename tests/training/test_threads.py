"""The number of threads: given or chosen, recorded, repeated, and watched."""

import csv
from pathlib import Path

import pytest
import torch
import yaml

from lenet.training import threads
from tests.conftest import TINY

# Two threads beside other tests are slow: few steps.
TINY = [*TINY, "--trainer.limit_train_batches", "3"]
RUN = Path("runs/LeNet-Digits-1")


@pytest.fixture(autouse=True)
def two_threads():
    """Let PyTorch have two threads, as on a machine with two cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def timings(monkeypatch):
    """Time all work, however short, and replace what is found: seconds a step by threads."""
    found, calls = {}, []

    def fake(trainer, step, candidates):
        calls.append(candidates)
        step()
        return found

    monkeypatch.setattr(threads, "SHORT", 0.0)
    monkeypatch.setattr(threads, "_time", fake)
    found["calls"] = calls
    return found


def recorded(run: Path = RUN) -> int:
    return yaml.safe_load((run / "config.yaml").read_text())["num_threads"]


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [({1: 0.007, 2: 0.020}, 1), ({1: 0.007, 2: 0.005}, 2), ({1: 0.0052, 2: 0.005}, 1)],
    ids=["beside a busy program", "alone", "hardly faster"],
)
def test_the_fastest_number_is_chosen_said_and_recorded(lenet, timings, seconds, chosen):
    calls = timings.pop("calls")
    timings.update(seconds)
    done = lenet("fit", *TINY)
    assert done.code == 0, done.err
    assert calls == [[1, 2]]
    assert recorded() == chosen
    [line] = [line for line in done.err.splitlines() if line.startswith("Threads: ")]
    assert line.startswith(f"Threads: {chosen} (per step: {1000 * seconds[1]:.1f} ms with 1, ")
    assert torch.get_num_threads() == 2  # as before the command


def test_a_number_that_is_given_is_taken_and_nothing_is_timed(lenet, timings):
    done = lenet("fit", *TINY, "--num_threads", "1")
    assert done.code == 0, done.err
    assert not timings["calls"]
    assert "Threads" not in done.err
    assert recorded() == 1


def test_short_work_takes_one_thread_and_is_not_timed(lenet, small_run, monkeypatch):
    calls = []
    monkeypatch.setattr(threads, "_time", lambda *_: calls.append(1))
    done = lenet("predict", "--ckpt_path", small_run, "--trainer.default_root_dir", ".")
    assert done.code == 0, done.err
    assert not calls
    assert "Threads" not in done.err


def test_the_timing_changes_nothing_that_is_trained(lenet, timings):
    options = ["--model", "ConvNet", "--model.widths", "[4]", "--model.batch_norm", "true"]
    options += ["--model.dropout", "0.5", "--data.rotation", "5", *TINY]
    timings.pop("calls")
    timings.update({1: 0.007, 2: 0.005})
    assert lenet("fit", *options).code == 0
    assert lenet("fit", *options, "--num_threads", "2").code == 0
    first, second = Path("runs/ConvNet-Digits-1"), Path("runs/ConvNet-Digits-2")
    assert rows(first) == rows(second)
    assert (first / "config.yaml").read_text() == (second / "config.yaml").read_text()


def test_a_resumed_run_takes_the_runs_number(lenet, timings):
    timings.pop("calls")
    timings.update({1: 0.007, 2: 0.020})
    lenet("fit", *TINY)
    timings.update({1: 0.007, 2: 0.005})
    done = lenet("fit", "--ckpt_path", "last", "--trainer.max_epochs", "2")
    assert done.code == 0, done.err
    assert recorded() == 1
    assert "Threads" not in done.err


def test_less_than_one_thread_is_refused(lenet):
    done = lenet("fit", *TINY, "--num_threads", "0")
    assert done.code == 2
    assert "--num_threads 0: must be from 1 to 1024, or null" in done.err
    assert not Path("runs").exists()


def test_a_model_that_cannot_be_timed_is_trained_all_the_same(lenet, monkeypatch):
    def fails(*_):
        raise RuntimeError

    monkeypatch.setattr(threads, "_example_step", fails)
    done = lenet("fit", *TINY)
    assert done.code == 0
    assert "Threads: 2 (not timed: RuntimeError)" in done.err
    assert recorded() == 2


def test_all_candidates_are_timed_for_real(lenet, monkeypatch, capfd):
    monkeypatch.setattr(threads, "SHORT", 0.0)
    monkeypatch.setattr(threads, "HOPELESS", 1e9)
    done = lenet("fit", *TINY)
    assert done.code == 0, done.err
    assert " ms with 1, " in done.err
    assert " ms with 2)" in done.err


def test_candidates_are_powers_of_two_and_the_number_of_cores():
    assert threads._candidates(2) == [1, 2]
    assert threads._candidates(6) == [1, 2, 4, 6]
    assert threads._candidates(16) == [1, 2, 4, 8, 16]


@pytest.fixture
def clock(monkeypatch):
    """Let steps take so many seconds as a list says, and the rest as many as its last item."""
    seconds, now = [], [0.0]

    def perf_counter() -> float:
        now[0] += seconds.pop(0) if len(seconds) > 1 else seconds[0]
        return now[0]

    monkeypatch.setattr(threads, "perf_counter", perf_counter)
    monkeypatch.setattr(threads, "FIRST_WINDOW", (5, 0.0))
    monkeypatch.setattr(threads, "WINDOW", (5, 1.0))
    return seconds


@pytest.mark.parametrize("number", [1, 2])
def test_a_training_that_becomes_many_times_slower_says_so_once(lenet, clock, number):
    clock += [*[0.007] * 10, 0.3]
    done = lenet("fit", *TINY[:-2], "--num_threads", number)
    assert done.code == 0, done.err
    [line] = [line for line in done.err.splitlines() if "slower" in line]
    assert ", 7 ms at the start" in line
    assert ("resume with --num_threads 1" in line) == (number == 2)


def test_one_long_step_is_not_a_slow_training(lenet, clock):
    clock += [*[0.2] * 10, 3600, 0.2]
    done = lenet("fit", *TINY[:-2], "--num_threads", "1")
    assert done.code == 0
    assert "slower" not in done.err


def test_slow_steps_are_timed_within_a_second_or_so(lenet, clock, monkeypatch):
    clock += [0.3]  # a look at the clock: of eight threads, two numbers are timed
    monkeypatch.setattr(threads, "SHORT", 0.0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    done = lenet("fit", *TINY)
    assert done.code == 0, done.err
    [line] = [line for line in done.err.splitlines() if line.startswith("Threads: ")]
    assert line.count(" ms with ") == 2
