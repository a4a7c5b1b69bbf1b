"""``metrics.csv``: the metrics of a training, one row per epoch."""

import csv
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import Logger

from lenet.errors import UserError
from lenet.writing import atomic_write

__all__ = ["EpochRow", "MetricsFile"]


class MetricsFile(Logger):
    """Log to ``metrics.csv``, one row per epoch.

    Lightning's CSVLogger writes a row per call, which scatters the metrics of an epoch over
    half-empty rows, and deletes the file when a training is resumed. This logger continues after
    the epoch of the checkpoint and drops the rows of later epochs, which are trained again. The
    file is replaced atomically, so it is always complete.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: str | Path):
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self.before = self._read()
        self.rows: dict[int, dict[str, Any]] | None = None
        self.finished = False

    @property
    def name(self) -> str:
        """Empty, since a run is identified by its folder."""
        return ""

    @property
    def version(self) -> str:
        """Empty, since a run is identified by its folder."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: ``config.yaml`` has the hyperparameters."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add metrics to the row of their epoch."""
        if self.finished or "epoch" not in metrics:
            return
        epoch = int(metrics["epoch"])
        if self.rows is None:
            self.rows = {row: old for row, old in self.before.items() if row < epoch}
        row = self.rows.setdefault(epoch, {})
        # The shortest text that represents the same single-precision number.
        row.update({name: str(np.float32(value)) for name, value in metrics.items()})
        row.update(epoch=epoch, step=step)

    @rank_zero_only
    def save(self) -> None:
        """Rewrite the file. It is small, with one row per epoch."""
        if not self.rows:
            return
        names = {name for row in self.rows.values() for name in row} - {"epoch", "step"}
        with atomic_write(self.path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["epoch", "step", *sorted(names)])
            writer.writeheader()
            writer.writerows(self.rows[epoch] for epoch in sorted(self.rows))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Stop logging after the training: results of evaluations do not belong to an epoch."""
        self.save()
        self.finished = True

    def _read(self) -> dict[int, dict[str, Any]]:
        if not self.path.exists():
            return {}
        try:
            if not self.path.is_file():  # reading a pipe could block forever
                raise ValueError("not a regular file")
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file, restkey="", strict=True))
            if any("" in row or None in row.values() for row in rows):
                raise ValueError("rows differ in length")
            return {int(row["epoch"]): row for row in rows}
        except (OSError, ValueError, KeyError, csv.Error) as e:
            raise UserError(
                f"{self.path}: not a valid table of epochs ({e}), so training cannot continue it. "
                "Repair this file, or move it away to start a new one."
            ) from e


class EpochRow(Checkpoint):
    """Write the row of an epoch before its checkpoints are saved.

    Otherwise a checkpoint could be ahead of ``metrics.csv``, since Lightning logs the training
    metrics of an epoch only after its callbacks. It is a Checkpoint because Lightning calls those
    last, in the order in which they are listed.
    """

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the training metrics to the row and write the file."""
        metrics = trainer.callback_metrics
        row = {name: float(metrics[name]) for name in metrics if not name.startswith("val")}
        for logger in trainer.loggers:
            if isinstance(logger, MetricsFile):
                # Lightning counts steps from 0 here.
                logger.log_metrics({"epoch": trainer.current_epoch, **row}, trainer.global_step - 1)
                logger.save()
