"""What a training keeps, and when it stops: best and last weights, its config, early stopping."""

import os
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch import callbacks
from lightning.pytorch.cli import SaveConfigCallback
from torch import Tensor

from lenet import runs
from lenet.errors import UserError, nearest
from lenet.models.optimization import best_mode

__all__ = ["BestCheckpoint", "EarlyStopping", "LastCheckpoint", "SaveConfig"]


def _check_monitor(option: str, monitor: str, trainer: pl.Trainer) -> None:
    """Refuse a figure that validation does not log, before an epoch is spent on it."""
    logged = sorted(map(str, trainer.callback_metrics))
    if trainer.sanity_checking and monitor.startswith("val") and monitor not in logged:
        raise UserError(
            f"--{option}.monitor {monitor}: no such figure is logged.{nearest(monitor, logged)} "
            f"There are {', '.join(logged)}, and after an epoch lr, train/loss, train/accuracy."
        )


class BestCheckpoint(callbacks.ModelCheckpoint):
    """Keep the weights of the best epoch in the run's ``checkpoints/best.ckpt``.

    Of epochs that are equally good, which is common on small validation sets, the latest is kept:
    it has learned the longest.

    Args:
        monitor: Logged figure that decides: ``val/loss``, ``val/accuracy`` or one of your own.
        mode: Whether less or more of it is better. By default more of an accuracy, less of
            anything else.
    """

    def __init__(self, monitor: str = "val/loss", mode: Literal["min", "max"] | None = None):
        super().__init__(
            filename="best",
            monitor=monitor,
            mode=mode or best_mode(monitor),
            enable_version_counter=False,
        )

    def check_monitor_top_k(self, trainer: pl.Trainer, current: Tensor | None = None) -> bool:
        """Tell whether an epoch is as good as the best so far."""
        ties = current is not None and self.best_model_score is not None
        return super().check_monitor_top_k(trainer, current) or (
            ties and bool(current == self.best_model_score)
        )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the monitor while nothing is lost yet."""
        _check_monitor("checkpoint", str(self.monitor), trainer)
        super().on_validation_end(trainer, pl_module)


class LastCheckpoint(callbacks.ModelCheckpoint):
    """Keep the newest epoch in ``checkpoints/last.ckpt``, to go on from.

    A callback of its own, since ``save_last`` of the one that keeps the best saves only when that
    one does (Lightning 2.6).
    """

    def __init__(self):
        super().__init__(filename="last", enable_version_counter=False)


class EarlyStopping(callbacks.EarlyStopping):
    """Stop the training when a figure has stopped getting better.

    Args:
        monitor: Logged figure that decides: ``val/loss``, ``val/accuracy`` or one of your own.
        patience: Validations without improvement after which training stops.
        min_delta: Change that counts as an improvement.
        mode: Whether less or more of it is better. By default more of an accuracy, less of
            anything else.
        stopping_threshold: Figure at which training stops at once. By default none.
        divergence_threshold: Figure so bad that training stops at once. By default none.
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
            mode=mode or best_mode(monitor),
            stopping_threshold=stopping_threshold,
            divergence_threshold=divergence_threshold,
        )

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Do without the figure where validation is switched off."""
        self.strict = trainer.limit_val_batches != 0
        super().setup(trainer, pl_module, stage)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the monitor while nothing is lost yet."""
        _check_monitor("early_stopping", self.monitor, trainer)
        super().on_validation_end(trainer, pl_module)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting from a checkpoint, with this training's patience and not its."""
        super().load_state_dict({**state_dict, "patience": self.patience})


class SaveConfig(SaveConfigCallback):
    """Write ``config.yaml`` into the run's folder, when a training starts and at no other time.

    Where a training is resumed in its run's folder, its first ``config.yaml`` becomes
    ``config-1.yaml`` and so on, so that none is lost.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Save at the start of ``fit``."""
        if stage != "fit" or self.already_saved:
            return
        config = os.path.join(str(trainer.log_dir), runs.CONFIG)
        if trainer.is_global_zero and os.path.exists(config):
            number = 1
            while os.path.exists(older := config.replace(".yaml", f"-{number}.yaml")):
                number += 1
            os.rename(config, older)
        super().setup(trainer, pl_module, stage)
