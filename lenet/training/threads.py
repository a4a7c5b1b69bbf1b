"""The number of threads that PyTorch computes with: chosen by timing, recorded, and watched.

PyTorch takes a thread for each core. Its threads wait for each other in every layer, so beside
other busy programs a step can take many times as long with several threads as with one.
docs/benchmarks.md has the measurements.
"""

import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.trainer.states import TrainerFn

from lenet.data.memory import EVALUATION_FACTOR
from lenet.errors import UserError

__all__ = ["Threads"]

MOST = 1024  # threads: beyond every machine, and far below what PyTorch cannot count
BUDGET = 0.8  # seconds that the timing may take
SHORT = 2.0  # seconds of work, below which the timing would not pay
LONG_STEP = 0.03  # seconds of a step, from which a larger part of the batch is not timed
SLOW = 0.1  # seconds of a step, from which only 1 and the most threads are timed
ROUNDS = 3  # turns of each number, one after the other: other programs come and go
HOPELESS = 3.0  # times the fastest, from which a number is not timed again
NEARLY = 1.15  # times the fastest, up to which fewer threads are preferred
# Steps and seconds, at the least, over which the speed of a training is taken.
FIRST_WINDOW, WINDOW = (20, 1.0), (20, 5.0)
MANY_TIMES = 5.0  # as slow as at the start, at which the user is told


class Threads(pl.Callback):
    """Set the number of threads of a command, and report when its training becomes slow.

    Where no number is given, a few steps of the model are timed on this machine with 1, 2, 4 and
    more threads, up to PyTorch's own number. Short work takes one thread and is not timed. On an
    accelerator PyTorch's own number is kept.

    Args:
        num_threads: Number of threads. None times the work and chooses.

    Raises:
        UserError: If the number is out of range.
    """

    def __init__(self, num_threads: int | None = None):
        if num_threads is not None and not 1 <= num_threads <= MOST:
            raise UserError(
                f"--num_threads {num_threads}: must be from 1 to {MOST}, or null to choose."
            )
        self.num_threads = num_threads
        self._before = torch.get_num_threads()
        self._speed = _Speed()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Set the number that was given, or chosen by an earlier stage of the same command."""
        self._before = torch.get_num_threads()
        if self.num_threads is not None:
            torch.set_num_threads(self.num_threads)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose for a training."""
        self._choose(trainer, pl_module)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose for a validation, unless it belongs to a training."""
        self._speed.pause()
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._choose(trainer, pl_module)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose for a test."""
        self._choose(trainer, pl_module)

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose for a prediction."""
        self._choose(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave out what happens between two epochs."""
        self._speed.pause()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Report once that the training has become many times slower than at its start."""
        slower = self._speed.step()
        if slower is not None and trainer.is_global_zero:
            now, first = (1000 * seconds for seconds in slower)
            fewer = torch.get_num_threads() > 1 and trainer.strategy.root_device.type == "cpu"
            resume = ", or stop with Ctrl-C and resume with --num_threads 1" if fewer else ""
            print(
                f"Training has become {now / first:.0f} times slower: {now:.0f} ms a step, "
                f"{first:.0f} ms at the start. Other programs may be using this machine: stop "
                f"them{resume}.",
                file=sys.stderr,
                flush=True,
            )

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Restore the number of before."""
        torch.set_num_threads(self._before)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Restore the number of before."""
        torch.set_num_threads(self._before)

    def _choose(self, trainer: pl.Trainer, model: pl.LightningModule) -> None:
        if self.num_threads is not None:
            return
        # The same number on all devices: they time together.
        most = self.num_threads = int(trainer.strategy.broadcast(self._before))
        if most == 1 or trainer.strategy.root_device.type != "cpu":
            return
        trains = trainer.state.fn == TrainerFn.FITTING
        try:
            with torch.random.fork_rng(devices=[]):
                torch.set_num_threads(1)
                step, share = _example_step(trainer, model, trains)
                one = _agree(trainer, _timed(step))
                if _num_steps(trainer, trains) * one / share < SHORT:
                    self.num_threads, said = 1, ""
                else:
                    candidates = _candidates(most) if one < SLOW else [1, most]
                    seconds = _time(trainer, step, candidates)
                    fastest = min(seconds.values())
                    self.num_threads = min(n for n, s in seconds.items() if s <= NEARLY * fastest)
                    each = [f"{1000 * s / share:.1f} ms with {n}" for n, s in seconds.items()]
                    said = f" (a step: {', '.join(each)})"
        except Exception as e:
            # A custom model or data module that cannot be timed this way. If it is an error of
            # theirs, the first step raises it.
            self.num_threads, said = most, f" (not timed: {type(e).__name__})"
        torch.set_num_threads(self.num_threads)
        if said and trainer.is_global_zero:
            print(f"Threads: {self.num_threads}{said}", file=sys.stderr, flush=True)


class _Speed:
    """Compare the speed of a training with that of its first steps."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._first: float | None = None
        self._told = False
        self._restart()

    def _restart(self) -> None:
        self._steps = 0
        self._seconds = 0.0
        self._longest = 0.0

    def pause(self) -> None:
        """Leave out the time until the next step ends."""
        self._last = None

    def step(self) -> tuple[float, float] | None:
        """Count a step.

        Returns:
            Seconds a step now and at the start, once, when the training has become slow.
        """
        before, now = self._last, perf_counter()
        self._last = now
        if before is None or self._told:
            return None
        taken = now - before
        self._steps += 1
        self._seconds += taken
        self._longest = max(self._longest, taken)
        num_steps, seconds = FIRST_WINDOW if self._first is None else WINDOW
        if self._steps < num_steps or self._seconds < seconds:
            return None
        # Without the longest: a computer that slept, or a file that was written.
        mean = (self._seconds - self._longest) / (self._steps - 1)
        self._restart()
        if self._first is None:
            self._first = mean
        elif mean > MANY_TIMES * self._first:
            self._told = True
            return mean, self._first
        return None


def _candidates(most: int) -> list[int]:
    """List 1, 2, 4 and so on, up to ``most``."""
    return sorted({*(2**i for i in range(most.bit_length()) if 2**i <= most), most})


def _num_steps(trainer: pl.Trainer, trains: bool) -> float:
    """Count the batches of the whole work."""
    if trains:
        return float(trainer.estimated_stepping_batches) * trainer.accumulate_grad_batches
    counts = {
        TrainerFn.VALIDATING: trainer.num_val_batches,
        TrainerFn.TESTING: trainer.num_test_batches,
        TrainerFn.PREDICTING: trainer.num_predict_batches,
    }[trainer.state.fn]  # type: ignore[index]
    return float(sum(counts))


def _example_step(
    trainer: pl.Trainer, model: Any, trains: bool
) -> tuple[Callable[[], None], float]:
    """Make a step like those of the work, which changes nothing of the model.

    Returns:
        The step, and the fraction of a batch that it computes, in (0, 1].
    """
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    shape = next(iter(data.sets.values())).images[torch.zeros(1, dtype=torch.long)].shape[1:]
    weights = {name: value.detach().clone() for name, value in model.named_parameters()}
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    trained = [weights[n].requires_grad_() for n, p in model.named_parameters() if p.requires_grad]

    def step(size: int) -> None:
        images = torch.full((size, *shape), 128, dtype=torch.uint8)
        labels = torch.zeros(size, dtype=torch.long)
        images, labels = data.on_after_batch_transfer((images, labels), 0)
        with torch.set_grad_enabled(trains), trainer.precision_plugin.forward_context():
            logits = torch.func.functional_call(model, (weights, buffers), (images,))
            if trains:
                torch.autograd.grad(model.loss(logits, labels), trained, allow_unused=True)

    step(1)
    batch_size = data.batch_size * (1 if trains else EVALUATION_FACTOR)
    size = 1
    while size < batch_size and _timed(partial(step, size)) < LONG_STEP:
        size = min(4 * size, batch_size)
    return partial(step, size), size / batch_size


def _timed(step: Callable[[], None]) -> float:
    """Time a step, in seconds: the faster of two, since another program may delay one."""
    times = []
    for _ in range(2):
        start = perf_counter()
        step()
        times.append(perf_counter() - start)
    return min(times)


def _agree(trainer: pl.Trainer, seconds: float) -> float:
    """Give the mean of what the devices have measured."""
    return float(trainer.strategy.reduce(torch.tensor(seconds), reduce_op="mean"))


def _time(trainer: pl.Trainer, step: Callable[[], None], candidates: list[int]) -> dict[int, float]:
    """Time a step with each number of threads, in seconds.

    The mean counts: beside other programs most steps are fast, and a few wait very long.
    """
    total, steps = dict.fromkeys(candidates, 0.0), dict.fromkeys(candidates, 0)
    found: dict[int, float] = {}
    began = perf_counter()
    for _ in range(ROUNDS):
        for number in candidates:
            if number in found and found[number] > HOPELESS * min(found.values()):
                continue
            torch.set_num_threads(number)
            start = perf_counter()
            while True:
                step()
                steps[number] += 1
                if perf_counter() - start > BUDGET / ROUNDS / len(candidates):
                    break
            total[number] += perf_counter() - start
            found[number] = _agree(trainer, total[number] / steps[number])
        if _agree(trainer, perf_counter() - began) > BUDGET:
            break
    return found
