"""The results of an evaluation: lines on the screen and a JSON file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.trainer.states import TrainerFn

from lenet.data import ImageDataModule
from lenet.data.selection import describe
from lenet.writing import atomic_write

__all__ = ["ResultFile", "about_results", "print_metrics", "write_json"]


def print_metrics(
    results: list[Mapping[str, float]], verbose: bool = True
) -> list[Mapping[str, float]]:
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
    checkpoint = str(trainer.ckpt_path) if trainer.ckpt_path else None  # None: as trained
    return {"checkpoint": checkpoint, "data": said, "images": images}


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as JSON, and put the file in place when it is whole."""
    with atomic_write(path) as part:
        part.write_text(json.dumps(values, indent=2), encoding="utf-8")
