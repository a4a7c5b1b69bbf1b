"""Early stopping."""

from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch import callbacks

from lenet.errors import UserError
from lenet.models.optimization import best_mode
from lenet.training.monitors import check_monitor

__all__ = ["EarlyStopping"]


class EarlyStopping(callbacks.EarlyStopping):
    """Stop training when a metric stops improving.

    Args:
        monitor: Logged metric to monitor: ``val/loss``, ``val/accuracy`` or a custom metric.
        patience: Number of validations without improvement after which training stops.
        min_delta: Minimum change that counts as an improvement.
        mode: Whether lower (min) or higher (max) is better. By default min for a loss or an error,
            max for an accuracy, F1, AUROC and similar. Required for metrics with other names.
        stopping_threshold: Stop as soon as the metric is better than this value. By default off.
        divergence_threshold: Stop as soon as the metric is worse than this value. By default off.

    Raises:
        UserError: If the mode is required and missing, or the patience is negative.
    """

    def __init__(
        self,
        monitor: str = "val/loss",
        patience: int = 5,
        min_delta: float = 0.0,
        mode: Literal["min", "max"] | None = None,
        stopping_threshold: float | None = None,
        divergence_threshold: float | None = None,
    ):
        super().__init__(
            monitor,
            min_delta=min_delta,
            patience=patience,
            mode=mode or best_mode(monitor, "early_stopping"),
            stopping_threshold=stopping_threshold,
            divergence_threshold=divergence_threshold,
            strict=False,  # missing metrics are refused below, unless there was no validation yet
        )
        if patience < 0:
            raise UserError(f"--early_stopping.patience {patience}: must be at least 0.")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check early that the monitored metric is logged."""
        check_monitor("early_stopping", self.monitor, trainer)
        super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check that the monitored metric is logged, and stop if it no longer improves."""
        check_monitor("early_stopping", self.monitor, trainer)
        super().on_train_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the reason if early stopping ended the training."""
        reason = self.stopping_reason_message
        stops = trainer.current_epoch == self.stopped_epoch + 1
        if reason and stops and trainer.is_global_zero:
            # Without Lightning's suffix "Signaling Trainer to stop."
            reason = reason.partition(" Signaling")[0]
            print(f"Stopped early after epoch {self.stopped_epoch}. {reason}")

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state, but keep this training's patience."""
        super().load_state_dict({**state_dict, "patience": self.patience})
