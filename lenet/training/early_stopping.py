"""Early stopping."""

from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch import callbacks

from lenet.errors import UserError
from lenet.models.optimization import best_mode
from lenet.training.monitors import check_monitor

__all__ = ["EarlyStopping"]


class EarlyStopping(callbacks.EarlyStopping):
    """Stop the training when a figure has stopped getting better.

    Args:
        monitor: Logged figure that decides: ``val/loss``, ``val/accuracy`` or one of your own.
        patience: Validations without improvement after which training stops.
        min_delta: Least change that counts as an improvement.
        mode: Whether less or more of it is better. By default less of a loss or an error, more of
            an accuracy, F1, AUROC and the like. Needed for a metric of any other name.
        stopping_threshold: Figure at which training stops at once. By default none.
        divergence_threshold: Figure so bad that training stops at once. By default none.

    Raises:
        UserError: If the mode is needed and not given, or the patience is negative.
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
            strict=False,  # what is not logged is refused below, or there was no validation yet
        )
        if patience < 0:
            raise UserError(f"--early_stopping.patience {patience}: must be at least 0.")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the monitor while nothing is lost yet."""
        check_monitor("early_stopping", self.monitor, trainer)
        super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the monitor, now that all figures are there, and stop or not."""
        check_monitor("early_stopping", self.monitor, trainer)
        super().on_train_epoch_end(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report it, if early stopping ends the training."""
        reason = self.stopping_reason_message
        stops = trainer.current_epoch == self.stopped_epoch + 1
        if reason and stops and trainer.is_global_zero:
            # Without what Lightning adds for the log: "Signaling Trainer to stop."
            reason = reason.partition(" Signaling")[0]
            print(f"Stopped early, after epoch {self.stopped_epoch}. {reason}")

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue to count from a checkpoint, with the patience of this training."""
        super().load_state_dict({**state_dict, "patience": self.patience})
