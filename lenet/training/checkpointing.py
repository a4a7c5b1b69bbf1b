"""The checkpoints that a training keeps: its best and its last weights."""

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
    """A checkpoint of a run, which stays one file and moves with the run.

    Args:
        name: Name of the file, without ``.ckpt``.
        **kwargs: Passed on to Lightning's ModelCheckpoint.
    """

    def __init__(self, name: str, **kwargs: Any):
        super().__init__(filename=name, enable_version_counter=False, **kwargs)
        self._resumes_in_place = False

    @property
    def path(self) -> str:
        """Where it is."""
        return os.path.join(str(self.dirpath), f"{self.filename}.ckpt")

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """See whether training is resumed from a checkpoint of the same run."""
        folder = os.path.dirname(str(trainer.ckpt_path))
        self._resumes_in_place = os.path.realpath(folder) == os.path.realpath(str(self.dirpath))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what is known of the run's checkpoints, wherever the run has been moved to."""
        if not self._resumes_in_place or self.dirpath is None:
            return  # a new run has no best yet
        state = {
            name: self._here(value) if name.endswith("_path") and value else value
            for name, value in state_dict.items()
        }
        best = {self._here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state, "dirpath": self.dirpath, "best_k_models": best})

    def _here(self, path: str) -> str:
        # Lightning deletes what it takes for older weights: it may not be "..", a folder.
        name = os.path.basename(path)
        if not name.endswith(".ckpt"):
            raise ValueError(f"{path!r} is not a checkpoint")
        return os.path.join(str(self.dirpath), name)


class LastCheckpoint(_RunCheckpoint):
    """Keep the newest epoch in ``checkpoints/last.ckpt``, to resume from.

    A callback of its own, since ``save_last`` of the one that keeps the best saves only when that
    one does (Lightning 2.6). The state of PyTorch's random numbers is kept with it, so that
    dropout continues as it would have.
    """

    def __init__(self) -> None:
        super().__init__("last", save_on_train_epoch_end=True)  # whether validated or not
        self._random: Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        """Give what is known of the run's checkpoints, and the state of the random numbers."""
        return {**super().state_dict(), "random": torch.get_rng_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what is known of the run's checkpoints, and the state of the random numbers."""
        super().load_state_dict(state_dict)
        if self._resumes_in_place and (random := state_dict.get("random")) is not None:
            torch.Generator().set_state(random)  # which refuses what is not a state
            self._random = random

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Continue with the random numbers, once all is set up."""
        if self._random is not None:
            torch.set_rng_state(self._random)
            self._random = None

    def save(self, trainer: pl.Trainer) -> None:
        """Save within an epoch."""
        trainer.save_checkpoint(self.path, weights_only=False)

    def saved_step(self) -> int | None:
        """Tell after which step it was saved last, if it was."""
        if not os.path.exists(self.path):
            return None
        checkpoint = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        return checkpoint["global_step"]


class BestCheckpoint(_RunCheckpoint):
    """Keep the weights of the best epoch in the run's ``checkpoints/best.ckpt``.

    Of epochs that are equally good, which is common on small validation sets, the latest is kept:
    it has learned the longest. So is the latest where no images are held out to tell.

    Args:
        monitor: Logged figure that decides: ``val/loss``, ``val/accuracy`` or one of your own.
        mode: Whether less or more of it is better. By default less of a loss or an error, more of
            an accuracy, F1, AUROC and the like. Needed for a metric of any other name.

    Raises:
        UserError: If the mode is needed and not given.
    """

    def __init__(self, monitor: str = "val/loss", mode: Literal["min", "max"] | None = None):
        super().__init__("best", monitor=monitor, mode=mode or best_mode(monitor, "checkpoint"))
        self._validated: int | None = None  # the epoch of the last validation

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Watch no validation figure where there will be none."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if getattr(data, "val_size", None) == 0 and str(self.monitor).startswith("val/"):
            self.monitor = None
        super().setup(trainer, pl_module, stage)

    @property
    def verdict(self) -> str:
        """What makes the weights that are kept the best."""
        if self.monitor is None or self.best_model_score is None:
            return "The last epoch, as no images were held out to tell a best one"
        return f"Best {self.monitor}: {float(self.best_model_score):.4f}"

    def check_monitor_top_k(self, trainer: pl.Trainer, current: Tensor | None = None) -> bool:
        """Tell whether an epoch is as good as the best so far."""
        ties = current is not None and self.best_model_score is not None
        return super().check_monitor_top_k(trainer, current) or (
            ties and bool(current == self.best_model_score)
        )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the monitor while nothing is lost yet."""
        if not trainer.sanity_checking:
            self._validated = trainer.current_epoch
        check_monitor("checkpoint", str(self.monitor), trainer)
        super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the monitor, now that all figures are there, and save."""
        check_monitor("checkpoint", str(self.monitor), trainer)
        # Lightning keeps the metrics of the last validation, also if it was of an earlier epoch.
        if self._validated == trainer.current_epoch or not str(self.monitor).startswith("val"):
            super().on_train_epoch_end(trainer, pl_module)
