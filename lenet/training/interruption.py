"""Stopping a training on Ctrl-C or a signal without losing progress."""

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
    """Save and stop a training on Ctrl-C or SIGTERM, after the current step.

    A resumed training continues with the next batch of the same epoch. During the validation at the
    end of an epoch, a signal takes effect after the validation. A second signal stops immediately,
    without saving.

    It is a Checkpoint because Lightning calls those last, after callbacks such as weight averaging
    have processed the step.

    Args:
        keeps: Whether to save the training.
    """

    def __init__(self, keeps: bool = True):
        self.keeps = keeps
        self.signum: int | None = None
        self._steps = 0
        self.began_at: int | None = None  # the first step of this process
        self._before: dict[int, Any] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse several processes that would train independently."""
        if "TORCHELASTIC_RUN_ID" in os.environ and trainer.world_size == 1:
            started, here = (os.environ[name] for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
            if started != "1":
                raise UserError(
                    f"--trainer.devices {trainer.num_devices}: torchrun started {started} "
                    "processes, which would train independently. Add --trainer.devices "
                    f"{here} --trainer.strategy ddp."
                )

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Install the signal handlers before workers start, which would inherit the defaults."""
        self._take_signals()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Install the signal handlers again, since Lightning's would interrupt a step."""
        self._steps = self.began_at = trainer.global_step
        self._take_signals()

    def _take_signals(self) -> None:
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        signals = [signal.SIGINT]
        if not SLURMEnvironment.detect():
            signals.append(signal.SIGTERM)  # under SLURM, Lightning handles it
        for signum in signals:
            if signal.getsignal(signum) != signal.SIG_IGN:  # ignored for background jobs
                self._before[signum] = signal.signal(signum, self._take)

    def _take(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            self._give_back()
            raise Interrupted(signum)
        self.signum = signum
        if hasattr(signal, "SIGCHLD"):
            # The signal may have killed workers, and PyTorch's handler would raise an error while
            # the checkpoint is saved. Without it, the error comes when the next batch is needed.
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def _give_back(self) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any, **kwargs: Any
    ) -> None:
        """Save and stop if a signal has arrived."""
        stepped = trainer.global_step > self._steps
        self._steps = trainer.global_step
        # While gradients accumulate, wait for the optimizer step: gradients are not saved.
        if stepped and not validation_follows(trainer) and self._is_asked(trainer):
            check_weights(trainer, pl_module)
            for last in self._kept(trainer):
                last.save(trainer)
            self._stop(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop if a signal arrived between two epochs."""
        if self._is_asked(trainer):
            self._stop(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Skip what follows the training if a signal has arrived."""
        if self._is_asked(trainer):
            self._stop(trainer)
        self._give_back()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Restore the previous signal handlers.

        Raises:
            Interrupted: If the exception comes from a worker that the signal killed.
        """
        self._give_back()
        worker = isinstance(exception, RuntimeError) and "DataLoader worker" in str(exception)
        if self.signum is not None and worker:
            raise Interrupted(self.signum)

    def _is_asked(self, trainer: pl.Trainer) -> bool:
        # True if any device received a signal. Lightning synchronizes at each step as well.
        return trainer.strategy.reduce_boolean_decision(self.signum is not None, all=False)

    def _kept(self, trainer: pl.Trainer) -> list[LastCheckpoint]:
        callbacks = trainer.checkpoint_callbacks if self.keeps else []
        return [callback for callback in callbacks if isinstance(callback, LastCheckpoint)]

    def _stop(self, trainer: pl.Trainer) -> None:
        where = f"step {trainer.global_step} in epoch {trainer.current_epoch}"
        saved = any(last.saved_step() == trainer.global_step for last in self._kept(trainer))
        raise Interrupted(self.signum or signal.SIGINT, where, saved)
