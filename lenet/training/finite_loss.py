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
    """Stop a training whose loss has become NaN or infinite, before anything is saved with it.

    On an accelerator the losses are checked 50 steps at a time, since each check waits for it.
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
        """Check the last losses before anything is kept."""
        if not trainer.sanity_checking:
            self._check_losses(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the validation before anything is kept."""
        if not trainer.sanity_checking:
            check_weights(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the last losses before anything is kept."""
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
    """Stop a training whose weights or validation loss are NaN or infinite, before they are kept.

    The loss of a step is of the weights before it: its own step can be the one that is too large.

    Raises:
        UserError: If one is NaN or infinite.
    """
    loss = trainer.callback_metrics.get("val/loss")
    if loss is not None and not math.isfinite(loss):
        stop_training(trainer, f"val/loss is {float(loss)} after step {trainer.global_step}")
    state = [value for value in model.state_dict().values() if value.is_floating_point()]
    if not all(bool(value.isfinite().all()) for value in state):
        stop_training(trainer, f"a weight is NaN or infinite after step {trainer.global_step}")


def stop_training(trainer: pl.Trainer, what: str) -> NoReturn:
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
