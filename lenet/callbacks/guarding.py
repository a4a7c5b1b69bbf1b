"""What stops a training before its end: the user, the system, or a loss that is no number."""

import math
import os
import signal
import threading
from types import FrameType
from typing import Any, NoReturn

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from lenet import runs
from lenet.callbacks.keeping import LastCheckpoint
from lenet.errors import Interrupted, UserError

__all__ = ["FiniteLoss", "Interruption"]


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
        stepped, self._steps = trainer.global_step > self._steps, trainer.global_step
        progress = trainer.fit_loop.epoch_loop.batch_progress
        validates = progress.is_last_batch or (
            bool(trainer.val_check_batch) and progress.current.ready % trainer.val_check_batch == 0
        )
        # Between two steps of the optimizer there are gradients, which are not saved.
        if stepped and not validates and self._is_asked(trainer):
            check_weights(trainer, pl_module)
            for callback in trainer.checkpoint_callbacks if self.keeps else ():
                if type(callback) is LastCheckpoint:
                    callback.save_step(trainer)
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
        """Give the signals back, and say what goes on with the training.

        Raises:
            Interrupted: If what failed is a worker that the signal has reached as well.
        """
        worker = isinstance(exception, RuntimeError) and "DataLoader worker" in str(exception)
        stopped = self.signum is not None and worker
        if stopped:
            exception = Interrupted(self.signum or signal.SIGINT)
        folder, data = (getattr(trainer, name, None) for name in ("run_dir", "datamodule"))
        if folder and os.path.exists(os.path.join(folder, "checkpoints", "last.ckpt")):
            vars(exception)["go_on"] = runs.options(folder, pl_module, data)
        self._give_back()
        if stopped:
            raise exception

    def _is_asked(self, trainer: pl.Trainer) -> bool:
        # Of any device. Lightning asks all of them at each step as well.
        return trainer.strategy.reduce_boolean_decision(self.signum is not None, all=False)

    def _stop(self, trainer: pl.Trainer) -> None:
        where = f"step {trainer.global_step}, in epoch {trainer.current_epoch}"
        saved = False
        for callback in trainer.checkpoint_callbacks if self.keeps else ():
            if type(callback) is LastCheckpoint:
                saved = callback.saved_step() == trainer.global_step
        raise Interrupted(self.signum or signal.SIGINT, where, saved)


class FiniteLoss(pl.Callback):
    """Stop a training whose loss is no number any more, before anything is saved with it.

    On an accelerator the losses are looked at 50 steps at a time, since each look waits for it.
    """

    def __init__(self) -> None:
        self._losses: list[Tensor] = []

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Look at the loss of the step."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor):
            self._losses.append(loss.detach())
        at_once = trainer.world_size == 1 and trainer.strategy.root_device.type == "cpu"
        if at_once or len(self._losses) == 50:
            self._look(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at what is left before there is anything to keep."""
        if not trainer.sanity_checking:
            self._look(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the validation before there is anything to keep."""
        if not trainer.sanity_checking:
            check_weights(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at what is left before there is anything to keep."""
        self._look(trainer)
        check_weights(trainer, pl_module)

    def _look(self, trainer: pl.Trainer) -> None:
        if not self._losses:
            return
        losses, self._losses = torch.stack(self._losses).float(), []
        bad = ~losses.isfinite()
        if trainer.strategy.reduce_boolean_decision(bool(bad.any()), all=False):
            if not bad.any():
                refuse(trainer, f"another device's loss is no number at step {trainer.global_step}")
            first = int(bad.int().argmax())
            step = trainer.global_step - len(losses) + 1 + first
            refuse(trainer, f"the loss is {float(losses[first])} at step {step}")


def check_weights(trainer: pl.Trainer, model: pl.LightningModule) -> None:
    """Refuse weights that are no numbers before they are kept, and a validation's loss.

    The loss of a step is of the weights before it: its own step can be the one that is too large.

    Raises:
        UserError: If one is NaN or infinite.
    """
    loss = trainer.callback_metrics.get("val/loss")
    if loss is not None and not math.isfinite(loss):
        refuse(trainer, f"val/loss is {float(loss)} after step {trainer.global_step}")
    state = [value for value in model.state_dict().values() if value.is_floating_point()]
    if not all(bool(value.isfinite().all()) for value in state):
        refuse(trainer, f"a weight is no number after step {trainer.global_step}")


def refuse(trainer: pl.Trainer, what: str) -> NoReturn:
    """Stop all devices, and say what is left and what to try.

    Raises:
        UserError: On the first device.
    """
    if not trainer.is_global_zero:  # the first device says it, unless Lightning sees another fail
        raise SystemExit
    best = os.path.join(getattr(trainer, "run_dir", None) or "", "checkpoints", "best.ckpt")
    kept = "The best weights before are kept" if os.path.exists(best) else "Nothing was kept yet"
    raise UserError(
        f"{what}, so training has stopped. {kept}. Try a smaller --model.lr, or "
        "--trainer.gradient_clip_val 1, or look for images or labels that are wrong."
    )
