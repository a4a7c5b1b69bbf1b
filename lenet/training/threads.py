"""Choosing the number of threads that PyTorch uses, by timing.

PyTorch uses one thread per core, and its threads wait for each other in every layer. On a machine
that is busy with other programs, a step can take many times longer with several threads than with
one (docs/benchmarks.md).
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

MAX_THREADS = 1024  # more than any machine has, and far below the overflow in PyTorch
BUDGET = 0.8  # seconds that the timing may take
SHORT = 2.0  # seconds of work: shorter work is not worth timing
LONG_STEP = 0.03  # seconds per step: above this, only part of a batch is timed
SLOW = 0.1  # seconds per step: above this, only 1 and the maximum number are timed
ROUNDS = 3  # rounds of timing, since the load by other programs varies
HOPELESS = 3.0  # times the fastest: slower numbers are not timed again
NEARLY = 1.15  # times the fastest: within this factor, fewer threads are preferred
# Minimum number of steps and seconds over which the speed of a training is measured.
FIRST_WINDOW = (20, 1.0)
WINDOW = (20, 5.0)
MANY_TIMES = 5.0  # times slower than at the start: above this, the user is warned


class Threads(pl.Callback):
    """Set the number of threads of a command, and warn if its training becomes slow.

    By default a few steps are timed with 1, 2, 4 and more threads, up to PyTorch's default number.
    Short work uses one thread and is not timed. On an accelerator, PyTorch's default is kept.

    Args:
        num_threads: Number of threads. By default the fastest is chosen by timing.

    Raises:
        UserError: If the number is out of range.
    """

    def __init__(self, num_threads: int | None = None):
        if num_threads is not None and not 1 <= num_threads <= MAX_THREADS:
            raise UserError(
                f"--num_threads {num_threads}: must be from 1 to {MAX_THREADS}, or null to choose "
                "automatically."
            )
        self.num_threads = num_threads
        self._before = torch.get_num_threads()
        self._speed = _Speed()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Set the number that was given, or chosen earlier in the same command."""
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
        """Exclude the time between two epochs."""
        self._speed.pause()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Warn once if the training becomes many times slower than at its start."""
        slower = self._speed.step()
        if slower is not None and trainer.is_global_zero:
            now, first = (1000 * seconds for seconds in slower)
            fewer = torch.get_num_threads() > 1 and trainer.strategy.root_device.type == "cpu"
            resume = ", or stop with Ctrl-C and resume with --num_threads 1" if fewer else ""
            print(
                f"Training has become {now / first:.0f} times slower: {now:.0f} ms per step, "
                f"{first:.0f} ms at the start. Other programs may be using this machine. Stop "
                f"them{resume}.",
                file=sys.stderr,
                flush=True,
            )

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Restore the previous number."""
        torch.set_num_threads(self._before)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Restore the previous number."""
        torch.set_num_threads(self._before)

    def _choose(self, trainer: pl.Trainer, model: pl.LightningModule) -> None:
        """Choose the number of threads, unless it was given or has been chosen."""
        if self.num_threads is not None:
            return
        # All devices use the same number, since they time together.
        self.num_threads = int(trainer.strategy.broadcast(self._before))
        if self.num_threads == 1 or trainer.strategy.root_device.type != "cpu":
            return
        try:
            with torch.random.fork_rng(devices=[]):
                self.num_threads, report = _fastest_number(trainer, model, self.num_threads)
        except Exception as e:
            # Some custom models and data modules cannot be timed this way. If the error is theirs,
            # the first step raises it again.
            report = f"not timed: {type(e).__name__}"
        torch.set_num_threads(self.num_threads)
        if report and trainer.is_global_zero:
            print(f"Threads: {self.num_threads} ({report})", file=sys.stderr, flush=True)


class _Speed:
    """Compare the speed of a training with that of its first steps."""

    def __init__(self) -> None:
        self._last_end: float | None = None
        self._first_mean: float | None = None
        self._is_reported = False
        self._start_window()

    def _start_window(self) -> None:
        self._num_steps = 0
        self._seconds = 0.0
        self._longest = 0.0

    def pause(self) -> None:
        """Exclude the time until the next step ends."""
        self._last_end = None

    def step(self) -> tuple[float, float] | None:
        """Count a step.

        Returns:
            Seconds per step now and at the start if the training has become slow, else None.
        """
        last_end = self._last_end
        self._last_end = perf_counter()
        if last_end is None or self._is_reported:
            return None
        seconds = self._last_end - last_end
        self._num_steps += 1
        self._seconds += seconds
        self._longest = max(self._longest, seconds)
        min_steps, min_seconds = FIRST_WINDOW if self._first_mean is None else WINDOW
        if self._num_steps < min_steps or self._seconds < min_seconds:
            return None
        # Ignores the longest step, such as one during which the computer slept.
        mean = (self._seconds - self._longest) / (self._num_steps - 1)
        self._start_window()
        if self._first_mean is None:
            self._first_mean = mean
        elif mean > MANY_TIMES * self._first_mean:
            self._is_reported = True
            return mean, self._first_mean
        return None


def _fastest_number(trainer: pl.Trainer, model: Any, most: int) -> tuple[int, str]:
    """Time a few steps, and return the number of threads to use.

    Returns:
        The number, and a text with the times, or with the reason why nothing was timed.
    """
    trains = trainer.state.fn == TrainerFn.FITTING
    torch.set_num_threads(1)
    step, fraction = _example_step(trainer, model, trains)
    one_thread = _mean_of_devices(trainer, _timed(step))
    if _num_steps(trainer, trains) * one_thread / fraction < SHORT:
        return 1, ""
    candidates = _candidates(most) if one_thread < SLOW else [1, most]
    seconds = _time(trainer, step, candidates)
    limit = NEARLY * min(seconds.values())
    times = [f"{1000 * mean / fraction:.1f} ms with {n}" for n, mean in seconds.items()]
    return min(n for n, mean in seconds.items() if mean <= limit), f"per step: {', '.join(times)}"


def _candidates(most: int) -> list[int]:
    """List 1, 2, 4 and so on, up to ``most``."""
    return sorted({*(2**i for i in range(most.bit_length()) if 2**i <= most), most})


def _num_steps(trainer: pl.Trainer, trains: bool) -> float:
    """Return the number of batches of the command."""
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
    """Return a step like those of the command that does not change the model.

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
    """Return the time of a step in seconds, the faster of two, since one may be delayed."""
    times = []
    for _ in range(2):
        start = perf_counter()
        step()
        times.append(perf_counter() - start)
    return min(times)


def _mean_of_devices(trainer: pl.Trainer, seconds: float) -> float:
    return float(trainer.strategy.reduce(torch.tensor(seconds), reduce_op="mean"))


def _time(trainer: pl.Trainer, step: Callable[[], None], candidates: list[int]) -> dict[int, float]:
    """Return the mean time of a step in seconds for each number of threads.

    The mean is used, since on a busy machine most steps are fast but a few wait very long.
    """
    seconds = dict.fromkeys(candidates, 0.0)
    steps = dict.fromkeys(candidates, 0)
    means: dict[int, float] = {}
    start = perf_counter()
    for _ in range(ROUNDS):
        for number in candidates:
            if number in means and means[number] > HOPELESS * min(means.values()):
                continue
            torch.set_num_threads(number)
            turn = perf_counter()
            while True:
                step()
                steps[number] += 1
                if perf_counter() - turn > BUDGET / ROUNDS / len(candidates):
                    break
            seconds[number] += perf_counter() - turn
            means[number] = _mean_of_devices(trainer, seconds[number] / steps[number])
        if _mean_of_devices(trainer, perf_counter() - start) > BUDGET:
            break
    return means
