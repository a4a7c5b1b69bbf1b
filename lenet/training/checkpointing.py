"""The checkpoints of a training: the best weights and the last state."""

import os
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch import callbacks
from torch import Tensor

from lenet.models.optimization import best_mode
from lenet.training.monitors import check_monitor

__all__ = ["BestCheckpoint", "LastCheckpoint"]


class _RunCheckpoint(callbacks.ModelCheckpoint):
    """A checkpoint of a run that is always a single file and can be moved with the run.

    Args:
        name: Name of the file, without ``.ckpt``.
        **kwargs: Passed on to Lightning's ModelCheckpoint.
    """

    def __init__(self, name: str, **kwargs: Any):
        super().__init__(filename=name, enable_version_counter=False, **kwargs)
        self._resumes_in_place = False

    @property
    def path(self) -> str:
        """Path of the file."""
        return os.path.join(str(self.dirpath), f"{self.filename}.ckpt")

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check whether training resumes from a checkpoint of the same run."""
        folder = os.path.dirname(str(trainer.ckpt_path))
        self._resumes_in_place = os.path.realpath(folder) == os.path.realpath(str(self.dirpath))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state, with paths in the run's current folder."""
        if not self._resumes_in_place or self.dirpath is None:
            return  # a new run has no checkpoints yet
        state = {
            name: self._here(value) if name.endswith("_path") and value else value
            for name, value in state_dict.items()
        }
        best = {self._here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state, "dirpath": self.dirpath, "best_k_models": best})

    def _here(self, path: str) -> str:
        # Lightning deletes old checkpoints, so a path must not lead to anything else.
        name = os.path.basename(path)
        if not name.endswith(".ckpt"):
            raise ValueError(f"{path!r} is not a checkpoint")
        return os.path.join(str(self.dirpath), name)


class LastCheckpoint(_RunCheckpoint):
    """Save the newest epoch to ``checkpoints/last.ckpt``, to resume from.

    It is a separate callback, since ``save_last`` of the callback for the best weights saves only
    when there are new best weights (Lightning 2.6). It also saves the state of PyTorch's random
    number generator, so that a resumed training uses the same dropout masks.
    """

    def __init__(self) -> None:
        super().__init__("last", save_on_train_epoch_end=True)  # also in epochs without validation
        self._random: Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state, including that of the random number generator."""
        return {**super().state_dict(), "random": torch.get_rng_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state, including that of the random number generator."""
        super().load_state_dict(state_dict)
        if self._resumes_in_place and (random := state_dict.get("random")) is not None:
            torch.Generator().set_state(random)  # raises an error if it is not a valid state
            self._random = random

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Restore the random number generator, after everything else is set up."""
        if self._random is not None:
            torch.set_rng_state(self._random)
            self._random = None

    def save(self, trainer: pl.Trainer) -> None:
        """Save within an epoch."""
        trainer.save_checkpoint(self.path, weights_only=False)

    def saved_step(self) -> int | None:
        """Return the step after which it was saved last, or None if it was not saved."""
        if not os.path.exists(self.path):
            return None
        checkpoint = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        return checkpoint["global_step"]


class BestCheckpoint(_RunCheckpoint):
    """Save the weights of the best epoch to ``checkpoints/best.ckpt`` in the run's folder.

    If several epochs are equally good, which is common with small validation sets, the latest is
    kept, since it was trained the longest. Without a validation set, the last epoch is kept.

    Args:
        monitor: Logged metric to monitor: ``val/loss``, ``val/accuracy`` or a custom metric.
        mode: Whether lower (min) or higher (max) is better. By default min for a loss or an error,
            max for an accuracy, F1, AUROC and similar. Required for metrics with other names.

    Raises:
        UserError: If the mode is required and missing.
    """

    def __init__(self, monitor: str = "val/loss", mode: Literal["min", "max"] | None = None):
        super().__init__("best", monitor=monitor, mode=mode or best_mode(monitor, "checkpoint"))
        self._validated: int | None = None  # the epoch of the last validation

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Stop monitoring a validation metric if there is no validation set."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if getattr(data, "val_size", None) == 0 and str(self.monitor).startswith("val/"):
            self.monitor = None
        super().setup(trainer, pl_module, stage)

    @property
    def verdict(self) -> str:
        """Why the saved weights are the best."""
        if self.monitor is None or self.best_model_score is None:
            return "Last epoch, since there is no validation set"
        return f"Best {self.monitor}: {float(self.best_model_score):.4f}"

    def check_monitor_top_k(self, trainer: pl.Trainer, current: Tensor | None = None) -> bool:
        """Return whether an epoch is at least as good as the best so far."""
        ties = current is not None and self.best_model_score is not None
        return super().check_monitor_top_k(trainer, current) or (
            ties and bool(current == self.best_model_score)
        )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check early that the monitored metric is logged."""
        if not trainer.sanity_checking:
            self._validated = trainer.current_epoch
        check_monitor("checkpoint", str(self.monitor), trainer)
        super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check that the monitored metric is logged, and save."""
        check_monitor("checkpoint", str(self.monitor), trainer)
        # Lightning keeps the metrics of the last validation, even if it was in an earlier epoch.
        if self._validated == trainer.current_epoch or not str(self.monitor).startswith("val"):
            super().on_train_epoch_end(trainer, pl_module)
