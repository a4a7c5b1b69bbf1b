"""The output of ``predict``: a table of all predictions and a few images."""

import csv
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
from lenet.data.images.user_images import UserImages, spreadsheet_safe
from lenet.errors import UserError
from lenet.pictures.drawing import RED, drawable_names, shortened
from lenet.pictures.pairs import draw_pairs, print_left_out, print_predictions
from lenet.pictures.sheet import Tile, draw_sheet
from lenet.training.results import describe_results, write_json
from lenet.writing import atomic_write

__all__ = ["PredictionWriter"]

MIN_SIZE = 280  # pixels: saved images are enlarged to at least this height
COLUMNS = 5
SIDE = 1.7  # inches


class PredictionWriter(pl.Callback):
    """Write predictions to the run's folder: a table, some images and a contact sheet.

    ``predictions.csv`` has one row per image: its index, file, label, prediction, confidence, and
    the probability of every class, in [0, 1]. The images are
    ``predictions/<index>_predicted_<class>.png``. The contact sheet ``predictions.png`` shows them
    together and marks mistakes. ``predictions.json`` has the checkpoint and the data.

    For your images, the same files go to the subfolder ``own``, with the path of each image and
    without labels. The contact sheet shows each image next to what the network saw.

    Args:
        num_images: Number of images to save: random ones of the test images, or the first of your
            images. By default 10 test images, or up to 100 of your images.
    """

    def __init__(self, num_images: int | None = None):
        if num_images is not None and num_images < 0:
            raise UserError(f"--predictions.num_images {num_images}: must be at least 0.")
        self.num_images = num_images
        self._batches: list[tuple[Tensor, Tensor]] = []  # indices and probabilities

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Clear earlier predictions."""
        self._batches.clear()

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Store the indices and probabilities of a batch."""
        self._batches.append((batch[-1], outputs))

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gather the batches of all devices and write the results."""
        folder = trainer.log_dir
        data = getattr(trainer, "datamodule", None)
        columns = [torch.cat(column).cpu() for column in zip(*self._batches, strict=True)]
        if trainer.world_size > 1:
            of_devices: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(of_devices, columns)
            columns = [torch.cat(column) for column in zip(*of_devices, strict=True)]
        if not (trainer.is_global_zero and folder and isinstance(data, ImageDataModule)):
            return
        user_images = data.user_images
        if getattr(trainer, "fast_dev_run", False):
            if user_images is not None:
                print_left_out(user_images)
            return
        indices, probabilities = columns
        order = indices.argsort()
        indices = indices[order]
        probabilities = probabilities[order]
        run = Path(folder)
        origin = describe_results(trainer, len(indices))
        labels = data.sets["predict"].labels
        if labels is not None:
            self._write_test_images(run, data, labels[indices], indices, probabilities)
        elif user_images is not None:
            run = run / "own"
            origin["data"] = str(data.predict_path)
            self._write_user_images(run, data, user_images, probabilities)
        write_json(run / "predictions.json", origin)
        print("Results in")
        for name in ("predictions.csv", "predictions.png", "predictions"):
            print(f"  {runs.short_path(run / name)}")

    def _write_test_images(
        self,
        run: Path,
        data: ImageDataModule,
        labels: Tensor,
        indices: Tensor,
        probabilities: Tensor,
    ) -> None:
        table = run / "predictions.csv"
        write_table(table, data.classes, indices, labels, probabilities, data.names)
        count = 10 if self.num_images is None else self.num_images
        chosen = torch.randperm(len(indices))[:count].sort().values
        images = data.sets["predict"].images[indices[chosen]]
        predicted = probabilities.argmax(dim=1)
        names = [data.classes[i] for i in predicted[chosen]]
        write_images(run / "predictions", images, indices[chosen].tolist(), names)
        classes = [shortened(name, 16) for name in drawable_names(data.classes)]
        titles = prediction_titles(classes, probabilities[chosen])
        right = predicted == labels
        truths = [classes[label] for label in labels[chosen]]
        draw_predictions(run / "predictions.png", images, titles, truths, right[chosen].tolist())
        print(f"Predicted {len(indices):,} images, {int(right.sum()):,} of them correctly.")

    def _write_user_images(
        self, run: Path, data: ImageDataModule, user_images: UserImages, probabilities: Tensor
    ) -> None:
        indices = torch.arange(len(user_images))
        table = run / "predictions.csv"
        write_table(table, data.classes, indices, None, probabilities, user_images.paths)
        count = 100 if self.num_images is None else self.num_images
        seen = data.to_size(user_images.images[:count]).round().byte()
        names = [data.classes[i] for i in probabilities[:count].argmax(dim=1)]
        write_images(run / "predictions", seen, indices[:count].tolist(), names)
        classes = [shortened(name, 16) for name in drawable_names(data.classes)]
        titles = prediction_titles(classes, probabilities[:count])
        draw_pairs(run / "predictions.png", user_images.paths[:count], seen, titles)
        print_predictions(user_images, prediction_titles(data.classes, probabilities))


def prediction_titles(classes: Sequence[str], probabilities: Tensor) -> list[str]:
    """Return the predicted class of each image with its confidence, such as ``7 (99.1%)``."""
    confidence, predicted = (column.tolist() for column in probabilities.max(dim=1))
    return [f"{classes[i]} ({p:.1%})" for i, p in zip(predicted, confidence, strict=True)]


def write_table(
    path: Path,
    classes: tuple[str, ...],
    indices: Tensor,
    labels: Tensor | None,
    probabilities: Tensor,
    names: Sequence[str] | None = None,
) -> None:
    """Write one row per image atomically, with its name and label if it has them."""
    confidence, predicted = (column.tolist() for column in probabilities.max(dim=1))
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        header = ["index"]
        if names:
            header.append("image" if labels is not None else "path")
        if labels is not None:
            header.append("label")
        columns = (f"probability of {name}" for name in classes)
        writer.writerow([*header, "prediction", "confidence", *columns])
        for i, index in enumerate(indices.tolist()):
            row = [index]
            if names:
                row.append(spreadsheet_safe(names[int(index)], is_path=True))
            if labels is not None:
                row.append(spreadsheet_safe(classes[int(labels[i])]))
            row += [spreadsheet_safe(classes[predicted[i]]), f"{confidence[i]:.6f}"]
            writer.writerow([*row, *(f"{p:.6f}" for p in probabilities[i].tolist())])


def write_images(folder: Path, images: Tensor, indices: list[int], names: list[str]) -> None:
    """Save images ``(N, C, H, W)`` in 0..255 as enlarged PNG files, replacing earlier ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*_predicted_*.png"):
        old.unlink()
    factor = max(1, -(-MIN_SIZE // images.shape[-2])) if len(images) else 1
    for image, index, name in zip(images, indices, names, strict=True):
        large = image.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)
        # Most file systems limit names to 255 bytes.
        class_name = re.sub(r"[^\w.+-]+", "-", name).encode()[:150].decode(errors="ignore")
        save_image(large.float() / 255, folder / f"{index}_predicted_{class_name}.png")


def draw_predictions(
    path: Path,
    images: Tensor,
    titles: Sequence[str],
    truths: Sequence[str],
    right: Sequence[bool],
) -> Path | None:
    """Draw images ``(N, C, H, W)`` in 0..255 with their predictions, mistakes in red.

    Args:
        path: PNG file to write. Without images, nothing is written.
        images: The images.
        titles: The prediction for each image.
        truths: The class of each image.
        right: Whether each prediction is correct.
    """
    tiles = [
        Tile(image, title)
        if is_right
        else Tile(image, title, color=RED, mistake=f"is {truth}", framed=True)
        for image, title, truth, is_right in zip(images, titles, truths, right, strict=True)
    ]
    return draw_sheet(path, tiles, COLUMNS, SIDE)
