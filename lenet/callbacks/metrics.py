"""The figures of a run: ``metrics.csv`` of a training, a JSON file and lines of an evaluation."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger
from lightning.pytorch.trainer.states import TrainerFn

from lenet.data import ImageDataModule
from lenet.data.selection import describe
from lenet.errors import UserError
from lenet.writing import aside

__all__ = ["MetricsFile", "ResultFile", "about_results", "show", "write_json"]


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
        with aside(self.path) as part, part.open("w", newline="", encoding="utf-8") as file:
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


def show(results: list[Mapping[str, float]], verbose: bool = True) -> list[Mapping[str, float]]:
    """Print the figures that an evaluation found, and hand them on.

    Lightning's own table has sixteen digits of each. ``test.json`` has as many as there are.
    """
    if verbose and getattr(rank_zero_only, "rank", 0) == 0:
        for name, value in (pair for figures in results for pair in figures.items()):
            print(f"{name}: {value:.4f}", flush=True)
    return results


class ResultFile(pl.Callback):
    """Write what ``validate`` or ``test`` found into the run's folder, as JSON.

    ``test.json`` has ``test/loss``, ``test/accuracy``, and what they are of: the checkpoint, the
    data and the number of images.
    """

    def __init__(self) -> None:
        self._images: int = 0

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count from 0."""
        self._images = 0

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count from 0."""
        self._images = 0

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Count the images of a batch."""
        self._images += len(batch[0])

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Count the images of a batch."""
        self._images += len(batch[0])

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write ``validate.json``, if this is not the validation of a training."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._write(trainer, pl_module, "validate.json")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write ``test.json``."""
        self._write(trainer, pl_module, "test.json")

    def _write(self, trainer: pl.Trainer, model: pl.LightningModule, name: str) -> None:
        counted = torch.tensor(self._images, device=model.device)
        images = trainer.strategy.reduce(counted, reduce_op="sum")  # of all devices
        folder = trainer.log_dir
        if not trainer.is_global_zero or folder is None or getattr(trainer, "fast_dev_run", False):
            return
        about = about_results(trainer, int(images), validates=name == "validate.json")
        figures = {key: float(value) for key, value in trainer.callback_metrics.items()}
        write_json(Path(folder) / name, {**about, **figures})


def about_results(trainer: pl.Trainer, images: int, validates: bool = False) -> dict[str, Any]:
    """Say which checkpoint, data and number of images results are of."""
    data = getattr(trainer, "datamodule", None)
    said = describe(data, validates) if isinstance(data, ImageDataModule) else None
    return {"checkpoint": str(trainer.ckpt_path), "data": said, "images": images}


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as JSON, and put the file in place when it is whole."""
    with aside(path) as part:
        part.write_text(json.dumps(values, indent=2), encoding="utf-8")
