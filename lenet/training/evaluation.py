"""The base class of callbacks for ``validate`` and ``test``."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn

__all__ = ["EvaluationCallback"]


class EvaluationCallback(pl.Callback):
    """Merges Lightning's hooks for validation and testing into one set of hooks.

    They are not called for the validation within a training.
    """

    def on_evaluation_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, dataloader: Any
    ) -> None:
        """Called when ``validate`` or ``test`` starts on a data loader."""

    def on_evaluation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any
    ) -> None:
        """Called after a batch, with the output of its step."""

    def on_evaluation_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, command: str
    ) -> None:
        """Called when the command, ``validate`` or ``test``, ends."""

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start ``validate``."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self.on_evaluation_start(trainer, pl_module, trainer.val_dataloaders)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start ``test``."""
        self.on_evaluation_start(trainer, pl_module, trainer.test_dataloaders)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Handle a batch of ``validate``."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self.on_evaluation_batch_end(trainer, pl_module, outputs, batch)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Handle a batch of ``test``."""
        self.on_evaluation_batch_end(trainer, pl_module, outputs, batch)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End ``validate``."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self.on_evaluation_end(trainer, pl_module, "validate")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End ``test``."""
        self.on_evaluation_end(trainer, pl_module, "test")
