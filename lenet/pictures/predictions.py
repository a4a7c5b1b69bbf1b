"""What ``predict`` leaves: a table of all predictions, and ten images to look at."""

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
from lenet.pictures.pairs import say_left_out, say_predictions, write_pairs
from lenet.training.results import describe_results, write_json
from lenet.writing import atomic_write

__all__ = ["PredictionWriter"]

SEEN_SIZE = 280  # pixels: the least height of a saved image, so that a person can see it


class PredictionWriter(pl.Callback):
    """Write predictions into the run's folder: a table, some random images, a contact sheet.

    ``predictions.csv`` has a row an image: its index, its file where it has one, its label, the
    prediction, the confidence, and the probability of every class, in [0, 1]. The images are
    ``predictions/<index>_predicted_<class>.png``, and together, with the wrong ones marked, they
    are the contact sheet ``predictions.png``. ``predictions.json`` says which checkpoint and data
    they are of.

    Of images of one's own the same goes into the folder ``own``, with each image's path and
    without a label. The sheet has what was given beside what the network saw.

    Args:
        num_images: Number of images to save: of the test images random ones, by the seed of the
            run; of one's own the first. By default 10 of the test images, and of one's own all up
            to 100.
    """

    def __init__(self, num_images: int | None = None):
        if num_images is not None and num_images < 0:
            raise UserError(f"--predictions.num_images {num_images}: must be at least 0.")
        self.num_images = num_images
        self._parts: list[tuple[Tensor, Tensor]] = []

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
        """Keep a batch's indices and probabilities."""
        self._parts.append((batch[-1], outputs))

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
            if data.user_images is not None:
                say_left_out(data.user_images)
            return
        indices, probabilities = parts
        order = indices.argsort()
        indices, probabilities = indices[order], probabilities[order]
        run, images = Path(folder), data.sets["predict"]
        if images.labels is None and data.user_images is not None:
            run = run / "own"
            self._write_own(run, data, data.user_images, probabilities)
        elif images.labels is not None:
            self._write(run, data, images.labels[indices], indices, probabilities)
        about = describe_results(trainer, len(indices))
        if images.labels is None:
            about["data"] = str(data.predict_path)
        write_json(run / "predictions.json", about)
        print("See")
        for name in ("predictions.csv", "predictions.png", "predictions"):
            print(f"  {runs.short_path(run / name)}")

    def _write(
        self, run: Path, data: ImageDataModule, labels: Tensor, indices: Tensor, found: Tensor
    ) -> None:
        write_table(run / "predictions.csv", data.classes, indices, labels, found, data.names)
        count = 10 if self.num_images is None else self.num_images
        chosen = torch.randperm(len(indices))[:count].sort().values
        predicted, images = found[chosen].argmax(dim=1), data.sets["predict"].images
        images, names = images[indices[chosen]], [data.classes[i] for i in predicted]
        write_images(run / "predictions", images, indices[chosen].tolist(), names)
        wrong = (predicted != labels[chosen]).tolist()
        classes = _drawn(data.classes)
        titles = [
            f"{title}\nis {classes[label]}" if bad else title
            for title, label, bad in zip(
                _titles(classes, found[chosen]), labels[chosen], wrong, strict=True
            )
        ]
        write_sheet(run / "predictions.png", images, titles, wrong)
        right = int((found.argmax(dim=1) == labels).sum())
        print(f"Predicted {len(indices):,} images, {right:,} of them right.")

    def _write_own(self, run: Path, data: ImageDataModule, own: UserImages, found: Tensor) -> None:
        paths, every = own.paths, torch.arange(len(own))
        write_table(run / "predictions.csv", data.classes, every, None, found, paths)
        first = slice(100 if self.num_images is None else self.num_images)
        names = [data.classes[i] for i in found[first].argmax(dim=1)]
        seen = data.to_size(own.images[first]).round().byte()
        write_images(run / "predictions", seen, every[first].tolist(), names)
        titles = _titles(_drawn(data.classes), found[first])
        write_pairs(run / "predictions.png", own.paths[first], seen, titles)
        say_predictions(own, _titles(data.classes, found))


def _drawn(classes: Sequence[str]) -> list[str]:
    """Spell classes so that they can be drawn above an image."""
    from lenet.pictures.drawing import drawable_names, shortened

    return [shortened(name, 16) for name in drawable_names(classes)]


def _titles(classes: Sequence[str], probabilities: Tensor) -> list[str]:
    """Say what was predicted, and how confidently."""
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
    """Write a row an image, with its name and label if it has them; put it in place when whole."""
    confidence, predicted = (column.tolist() for column in probabilities.max(dim=1))
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        header = ["index"]
        if names:
            header.append("image" if labels is not None else "path")
        if labels is not None:
            header.append("label")
        every = (f"probability of {name}" for name in classes)
        writer.writerow([*header, "prediction", "confidence", *every])
        for i, index in enumerate(indices.tolist()):
            row = [index]
            if names:
                row.append(spreadsheet_safe(names[int(index)], is_path=True))
            if labels is not None:
                row.append(spreadsheet_safe(classes[int(labels[i])]))
            row += [spreadsheet_safe(classes[predicted[i]]), f"{confidence[i]:.6f}"]
            writer.writerow([*row, *(f"{p:.6f}" for p in probabilities[i].tolist())])


def write_images(folder: Path, images: Tensor, indices: list[int], names: list[str]) -> None:
    """Save images ``(N, C, H, W)`` in 0..255 as PNG, enlarged, in place of an earlier choice."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*_predicted_*.png"):
        old.unlink()
    factor = max(1, -(-SEEN_SIZE // images.shape[-2])) if len(images) else 1
    for image, index, name in zip(images, indices, names, strict=True):
        large = image.repeat_interleave(factor, dim=1).repeat_interleave(factor, dim=2)
        # A file's name has no more than 255 bytes.
        spelt = re.sub(r"[^\w.+-]+", "-", name).encode()[:150].decode(errors="ignore")
        save_image(large.float() / 255, folder / f"{index}_predicted_{spelt}.png")


def write_sheet(path: Path, images: Tensor, titles: list[str], wrong: list[bool]) -> None:
    """Draw images ``(N, C, H, W)`` in 0..255 with their titles, the wrong ones in red."""
    if not len(images):
        return
    from lenet.pictures.drawing import INK, RED, draw

    columns = min(5, len(images))
    rows = -(-len(images) // columns)

    def picture(figure: Any) -> None:
        figure.set_layout_engine("none")  # placed by hand: of many images it would take minutes
        for i, (image, title, bad) in enumerate(zip(images, titles, wrong, strict=True)):
            row, column = divmod(i, columns)
            place = ((column + 0.05) / columns, (rows - 1 - row + 0.03) / rows)
            axis = figure.add_axes((*place, 0.9 / columns, 0.78 / rows))
            axis.imshow(image.permute(1, 2, 0).squeeze(-1).numpy(), cmap="gray", vmin=0, vmax=255)
            # "$" is a character.
            axis.set_title(title, fontsize=9, color=RED if bad else INK, parse_math=False)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set(visible=bad, color=RED, linewidth=3)

    draw(path, (1.9 * columns, 2.2 * rows), picture)
