"""Stopping a training whose loss or weights are NaN or infinite."""

import math
import os
from typing import Any, NoReturn

import lightning.pytorch as pl
import torch
from torch import Tensor

from lenet.errors import UserError

__all__ = ["FiniteLoss", "check_weights"]


class FiniteLoss(pl.Callback):
    """Stop a training whose loss is NaN or infinite, before a checkpoint is saved.

    On an accelerator the losses are checked every 50 steps, since each check synchronizes with it.
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
        """Check the loss of the step."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor):
            self._losses.append(loss.detach())
        at_once = trainer.world_size == 1 and trainer.strategy.root_device.type == "cpu"
        if at_once or len(self._losses) == 50:
            self._check_losses(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the last losses before a checkpoint is saved."""
        if not trainer.sanity_checking:
            self._check_losses(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the weights and the validation loss before a checkpoint is saved."""
        if not trainer.sanity_checking:
            check_weights(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the last losses before a checkpoint is saved."""
        self._check_losses(trainer)
        check_weights(trainer, pl_module)

    def _check_losses(self, trainer: pl.Trainer) -> None:
        if not self._losses:
            return
        losses = torch.stack(self._losses).float()
        self._losses = []
        bad = ~losses.isfinite()
        if trainer.strategy.reduce_boolean_decision(bool(bad.any()), all=False):
            if not bad.any():
                stop_training(trainer, f"the loss is NaN or infinite at step {trainer.global_step}")
            first = int(bad.int().argmax())
            step = trainer.global_step - len(losses) + 1 + first
            stop_training(trainer, f"the loss is {float(losses[first])} at step {step}")


def check_weights(trainer: pl.Trainer, model: pl.LightningModule) -> None:
    """Stop a training whose weights or validation loss are NaN or infinite.

    The loss of a step is computed before the weights change, so it does not show whether the step
    itself was too large.

    Raises:
        UserError: If a weight or the validation loss is NaN or infinite.
    """
    loss = trainer.callback_metrics.get("val/loss")
    if loss is not None and not math.isfinite(loss):
        stop_training(trainer, f"val/loss is {float(loss)} after step {trainer.global_step}")
    state = [value for value in model.state_dict().values() if value.is_floating_point()]
    if not all(bool(value.isfinite().all()) for value in state):
        stop_training(trainer, f"a weight is NaN or infinite after step {trainer.global_step}")


def stop_training(trainer: pl.Trainer, what: str) -> NoReturn:
    """Stop on all devices, and report what was saved and what to try.

    Raises:
        UserError: On the first device.
    """
    if not trainer.is_global_zero:  # only the first device prints the error
        raise SystemExit
    best = os.path.join(getattr(trainer, "run_dir", None) or "", "checkpoints", "best.ckpt")
    kept = "The best weights so far are saved" if os.path.exists(best) else "No weights were saved"
    raise UserError(
        f"training stopped because {what}. {kept}. Try a smaller --model.lr or "
        "--trainer.gradient_clip_val 1, or check the images and labels."
    )
