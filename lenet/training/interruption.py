"""Stopping a training on Ctrl-C or a signal, with all that it has learned."""

import os
import signal
import threading
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import Checkpoint

from lenet.epoch_position import validation_follows
from lenet.errors import Interrupted, UserError
from lenet.training.checkpointing import LastCheckpoint
from lenet.training.finite_loss import check_weights

__all__ = ["Interruption"]


class Interruption(Checkpoint):
    """Stop a training on Ctrl-C or SIGTERM: after the step under way, with all that it has learned.

    What is saved goes on with the next batch of the same epoch, as if nothing had happened. A
    signal that comes at an epoch's end, while it is validated, waits until that is done. A second
    one stops at once, with what was saved last.

    A Checkpoint, since Lightning calls those last: what else follows the steps, such as an average
    of the weights, has then followed this one.

    Args:
        keeps: Whether the training is saved.
    """

    def __init__(self, keeps: bool = True):
        self.keeps = keeps
        self.signum: int | None = None
        self._steps = 0
        self.began_at: int | None = None  # the step that this training began or was resumed with
        self._before: dict[int, Any] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse processes that do not know of each other."""
        if "TORCHELASTIC_RUN_ID" in os.environ and trainer.world_size == 1:
            started, here = (os.environ[name] for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
            if started != "1":
                raise UserError(
                    f"--trainer.devices {trainer.num_devices}: torchrun has started {started} "
                    "processes, and each would train for itself. Give --trainer.devices "
                    f"{here} --trainer.strategy ddp as well."
                )

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals before there are workers: one that has just begun would die of them."""
        self._take_signals()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals, which Lightning would let through in the middle of a step."""
        self._steps = self.began_at = trainer.global_step
        self._take_signals()

    def _take_signals(self) -> None:
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        signals = [signal.SIGINT]
        if not SLURMEnvironment.detect():
            signals.append(signal.SIGTERM)  # under SLURM Lightning has its own use for it
        for signum in signals:
            if signal.getsignal(signum) != signal.SIG_IGN:  # as it is in the background
                self._before[signum] = signal.signal(signum, self._take)

    def _take(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            self._give_back()
            raise Interrupted(signum)
        self.signum = signum
        if hasattr(signal, "SIGCHLD"):
            # Workers may have died of it. PyTorch would fail in the midst of saving, or of tidying
            # up after it, so for good. Where one is missed, it fails when a batch is asked for.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def _give_back(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Save and stop, if that was asked for."""
        stepped = trainer.global_step > self._steps
        self._steps = trainer.global_step
        # Between two steps of the optimizer there are gradients, which are not saved.
        if stepped and not validation_follows(trainer) and self._is_asked(trainer):
            check_weights(trainer, pl_module)
            for last in self._kept(trainer):
                last.save(trainer)
            self._stop(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop between two epochs."""
        if self._is_asked(trainer):
            self._stop(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop what would come after the training."""
        if self._is_asked(trainer):
            self._stop(trainer)
        self._give_back()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Give the signals back.

        Raises:
            Interrupted: If what failed is a worker that the signal has reached as well.
        """
        self._give_back()
        worker = isinstance(exception, RuntimeError) and "DataLoader worker" in str(exception)
        if self.signum is not None and worker:
            raise Interrupted(self.signum)

    def _is_asked(self, trainer: pl.Trainer) -> bool:
        # Of any device. Lightning asks all of them at each step as well.
        return trainer.strategy.reduce_boolean_decision(self.signum is not None, all=False)

    def _kept(self, trainer: pl.Trainer) -> list[LastCheckpoint]:
        callbacks = trainer.checkpoint_callbacks if self.keeps else []
        return [callback for callback in callbacks if isinstance(callback, LastCheckpoint)]

    def _stop(self, trainer: pl.Trainer) -> None:
        where = f"step {trainer.global_step}, in epoch {trainer.current_epoch}"
        saved = any(last.saved_step() == trainer.global_step for last in self._kept(trainer))
        raise Interrupted(self.signum or signal.SIGINT, where, saved)
