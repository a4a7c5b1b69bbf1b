"""The results of an evaluation, printed and written to a JSON file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only

from lenet.data import ImageDataModule
from lenet.data.selection import describe
from lenet.training.evaluation import EvaluationCallback
from lenet.writing import atomic_write

__all__ = ["ResultFile", "describe_results", "print_metrics", "write_json"]


def print_metrics(
    results: list[Mapping[str, float]], verbose: bool = True
) -> list[Mapping[str, float]]:
    """Print the metrics of an evaluation with four decimals, and return them.

    Lightning's table shows sixteen digits. ``test.json`` has the exact values.
    """
    if verbose and getattr(rank_zero_only, "rank", 0) == 0:
        for metrics in results:
            for name, value in metrics.items():
                print(f"{name}: {value:.4f}", flush=True)
    return results


class ResultFile(EvaluationCallback):
    """Write the metrics of ``validate`` or ``test`` to the run's folder, as JSON.

    ``test.json`` contains ``test/loss``, ``test/accuracy``, the checkpoint, the data and the number
    of images.
    """

    def __init__(self) -> None:
        self._num_images = 0

    def on_evaluation_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, dataloader: Any
    ) -> None:
        """Reset the number of images."""
        self._num_images = 0

    def on_evaluation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any
    ) -> None:
        """Count the images of a batch."""
        self._num_images += len(batch[0])

    def on_evaluation_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, command: str
    ) -> None:
        """Write ``validate.json`` or ``test.json``, only on the first device."""
        counted = torch.tensor(self._num_images, device=pl_module.device)
        num_images = int(trainer.strategy.reduce(counted, reduce_op="sum"))  # of all devices
        folder = trainer.log_dir
        if not trainer.is_global_zero or folder is None or getattr(trainer, "fast_dev_run", False):
            return
        origin = describe_results(trainer, num_images, validates=command == "validate")
        metrics = {key: float(value) for key, value in trainer.callback_metrics.items()}
        write_json(Path(folder) / f"{command}.json", {**origin, **metrics})


def describe_results(
    trainer: pl.Trainer, num_images: int, validates: bool = False
) -> dict[str, Any]:
    """Return the checkpoint, the data and the number of images of a result."""
    data = getattr(trainer, "datamodule", None)
    return {
        "checkpoint": str(trainer.ckpt_path) if trainer.ckpt_path else None,  # else as trained
        "data": describe(data, validates) if isinstance(data, ImageDataModule) else None,
        "images": num_images,
    }


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values to a JSON file atomically."""
    with atomic_write(path) as part:
        part.write_text(json.dumps(values, indent=2), encoding="utf-8")
