"""``metrics.csv``: the metrics of a training, a row for each epoch."""

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
    """Log to ``metrics.csv``, one row an epoch.

    Lightning's CSVLogger writes a row for every call, so that an epoch's figures lie scattered over
    half-empty rows, and deletes the file when a training is resumed. This goes on where the
    checkpoint was: rows of later epochs, which are trained again, are dropped. The file is
    written aside and renamed, so that it is whole at any moment.

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
        """No name of its own: a run is a folder."""
        return ""

    @property
    def version(self) -> str:
        """No version of its own: a run is a folder."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: they are in ``config.yaml``."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add to the row of the epoch that the figures say they are of."""
        if self.finished or "epoch" not in metrics:
            return
        epoch = int(metrics["epoch"])
        if self.rows is None:
            self.rows = {row: old for row, old in self.before.items() if row < epoch}
        row = self.rows.setdefault(epoch, {})
        # The shortest text that stands for the same single-precision number.
        row.update({name: str(np.float32(value)) for name, value in metrics.items()})
        row.update(epoch=epoch, step=step)

    @rank_zero_only
    def save(self) -> None:
        """Write the file anew: it has a row an epoch."""
        if not self.rows:
            return
        names = {name for row in self.rows.values() for name in row} - {"epoch", "step"}
        with atomic_write(self.path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["epoch", "step", *sorted(names)])
            writer.writeheader()
            writer.writerows(self.rows[epoch] for epoch in sorted(self.rows))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close with the training: what an evaluation finds is not of an epoch."""
        self.save()
        self.finished = True

    def _read(self) -> dict[int, dict[str, Any]]:
        if not self.path.exists():
            return {}
        try:
            if not self.path.is_file():  # a pipe would be waited for
                raise ValueError("not a file")
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file, restkey="", strict=True))
            if any("" in row or None in row.values() for row in rows):
                raise ValueError("a row of another length")
            return {int(row["epoch"]): row for row in rows}
        except (OSError, ValueError, KeyError, csv.Error) as e:
            raise UserError(
                f"{self.path}: no table of epochs ({e}), so training cannot go on with it. Mend "
                "it, or move it away: then it begins anew."
            ) from e


class EpochRow(Checkpoint):
    """Write an epoch's row before its checkpoints are saved, so that neither is ahead of it.

    Lightning logs the training metrics of an epoch only after its callbacks. A Checkpoint, since
    Lightning calls those last, in the order in which they are listed.
    """

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the training metrics to what the validation has logged, and write."""
        metrics = trainer.callback_metrics
        row = {name: float(metrics[name]) for name in metrics if not name.startswith("val")}
        for logger in trainer.loggers:
            if isinstance(logger, MetricsFile):
                # Lightning numbers the steps from 0 here.
                logger.log_metrics({"epoch": trainer.current_epoch, **row}, trainer.global_step - 1)
                logger.save()
