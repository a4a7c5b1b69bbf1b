"""What ``predict`` leaves: a table of all predictions, and ten images to look at."""

import csv
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torchvision.utils import save_image

from lenet import runs
from lenet.data import ImageDataModule
from lenet.errors import UserError

__all__ = ["PredictionWriter"]

SEEN_SIZE = 280  # pixels: the least height of a saved image, so that a person can see it


class PredictionWriter(pl.Callback):
    """Write predictions into the run's folder: a table, some random images, a contact sheet.

    ``predictions.csv`` has a row an image: its index, its file where it has one, its label, the
    prediction, the confidence, and the probability of every class, in [0, 1]. The images are
    ``predictions/<index>_predicted_<class>.png``, and together, with the wrong ones marked, they
    are the contact sheet ``predictions.png``.

    Args:
        num_images: Number of random images to save. The seed of the run decides which.
    """

    def __init__(self, num_images: int = 10):
        if num_images < 0:
            raise UserError(f"--predictions.num_images {num_images}: must be at least 0.")
        self.num_images = num_images
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget what was predicted before."""
        self._parts.clear()

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep a batch's indices, labels and probabilities."""
        _, labels, indices = batch
        self._parts.append((indices, labels, outputs))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Bring the devices' parts together and write."""
        folder, data = trainer.log_dir or "", getattr(trainer, "datamodule", None)
        parts = [torch.cat(column).cpu() for column in zip(*self._parts, strict=True)]
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, parts)
            parts = [torch.cat(column) for column in zip(*gathered, strict=True)]
        if not (trainer.is_global_zero and folder and isinstance(data, ImageDataModule)):
            return
        if getattr(trainer, "fast_dev_run", False):
            return
        indices, labels, probabilities = parts
        order = indices.argsort()
        indices, labels, probabilities = indices[order], labels[order], probabilities[order]
        run = Path(folder)
        table = (data.classes, indices, labels, probabilities, data.names)
        write_table(run / "predictions.csv", *table)
        chosen = torch.randperm(len(indices))[: self.num_images].sort().values
        confidence, predicted = probabilities[chosen].max(dim=1)
        images = data.sets["predict"].images[indices[chosen]]
        names = [data.classes[i] for i in predicted]
        write_images(run / "predictions", images, indices[chosen].tolist(), names)
        titles = [
            f"{name} ({p:.1%})" if label == i else f"{name} ({p:.1%}), is {data.classes[label]}"
            for name, p, i, label in zip(
                names, confidence.tolist(), predicted, labels[chosen].tolist(), strict=True
            )
        ]
        wrong = (predicted != labels[chosen]).tolist()
        write_sheet(run / "predictions.png", images, titles, wrong)
        right = int((probabilities.argmax(dim=1) == labels).sum())
        print(f"Predicted {len(indices):,} images, {right:,} of them right. See")
        for name in ("predictions.csv", "predictions.png", "predictions"):
            print(f"  {runs.short(run / name)}")


def write_table(
    path: Path,
    classes: tuple[str, ...],
    indices: Tensor,
    labels: Tensor,
    probabilities: Tensor,
    names: Sequence[str] | None = None,
) -> None:
    """Write a row an image, with its name if it has one, and put the file in place when whole."""
    confidence, predicted = (column.tolist() for column in probabilities.max(dim=1))
    columns = (indices.tolist(), labels.tolist(), predicted, confidence, probabilities.tolist())
    aside = path.with_suffix(".csv.part")
    with aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        header = ["index", *(["image"] if names else []), "label", "prediction", "confidence"]
        writer.writerow([*header, *(f"probability of {name}" for name in classes)])
        for index, label, guess, p, every in zip(*columns, strict=True):
            image = [index, names[index]] if names else [index]
            said = [classes[label], classes[guess], f"{p:.6f}", *(f"{q:.6f}" for q in every)]
            writer.writerow([*image, *said])
    os.replace(aside, path)


def write_images(folder: Path, images: Tensor, indices: list[int], names: list[str]) -> None:
    """Save images ``(N, C, H, W)`` in 0..255 as PNG, enlarged, in place of an earlier choice."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*_predicted_*.png"):
        old.unlink()
    factor = max(1, -(-SEEN_SIZE // images.shape[-2])) if len(images) else 1
    for image, index, name in zip(images, indices, names, strict=True):
        large = image.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)
        spelt = re.sub(r"[^\w.+-]+", "-", name)
        save_image(large.float() / 255, folder / f"{index}_predicted_{spelt}.png")


def write_sheet(path: Path, images: Tensor, titles: list[str], wrong: list[bool]) -> None:
    """Draw images ``(N, C, H, W)`` in 0..255 with their titles, the wrong ones in red."""
    if not len(images):
        return
    from matplotlib.figure import Figure

    columns = min(5, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(2.2 * columns, 2.5 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis in axes:
        axis.set_axis_off()
    for axis, image, title, bad in zip(axes, images, titles, wrong, strict=False):
        axis.imshow(image.permute(1, 2, 0).squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=255)
        colour = "crimson" if bad else "black"
        axis.set_title(title, fontsize=11, color=colour, parse_math=False)  # "$" is a character
        if bad:
            axis.set_axis_on()
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(color="crimson", linewidth=3)
    figure.savefig(path, dpi=120)
