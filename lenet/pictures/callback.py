"""The pictures of a run: made when a training or an evaluation is over."""

import signal
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lenet.data import ImageDataModule
from lenet.errors import UserError
from lenet.pictures.album import Album, best_weights, folder_of
from lenet.pictures.confusion import draw_confusion, write_classes
from lenet.pictures.curves import draw_curves, read_curves
from lenet.pictures.drawing import drawable_names
from lenet.pictures.features import draw_features, stages
from lenet.pictures.filters import draw_filters, first_filters
from lenet.pictures.mistakes import draw_mistakes
from lenet.pictures.tally import Tally
from lenet.training.metrics_file import MetricsFile

__all__ = ["Pictures"]


class Pictures(pl.Callback):
    """Leave pictures in the run's folder and in its TensorBoard.

    ``fit`` leaves ``curves.png``, ``filters.png`` and ``features.png``. ``test`` leaves
    ``test_confusion.png``, ``test_mistakes.png`` and ``test_classes.csv``, and ``validate`` the
    same of the validation set. All are made when the training or the evaluation is over.

    Args:
        curves: Whether to draw loss and accuracy by epoch, which are read from ``metrics.csv``.
        filters: Whether to draw the weights of the first layer.
        features: Whether to draw what each layer makes of the first validation image.
        confusion: Whether to draw how often each class was taken for each.
        classes: Whether to write a table of each class's precision and recall.
        num_mistakes: Number of the most confidently wrong images to draw. With 0 none is drawn.
    """

    def __init__(
        self,
        curves: bool = True,
        filters: bool = True,
        features: bool = True,
        confusion: bool = True,
        classes: bool = True,
        num_mistakes: int = 25,
    ):
        if num_mistakes < 0:
            raise UserError(f"--pictures.num_mistakes {num_mistakes}: must be at least 0.")
        self.curves, self.filters, self.features = curves, filters, features
        self.confusion, self.classes, self.num_mistakes = confusion, classes, num_mistakes
        self._folder: str | None = None
        self._tally: Tally | None = None

    # Training

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ask for the folder while all devices are here to agree on it."""
        self._folder = folder_of(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw what the training came to, on the first device alone."""
        if not trainer.is_global_zero or self._folder is None or trainer.global_step == 0:
            return
        album, data = Album(self._folder), getattr(trainer, "datamodule", None)
        with best_weights(trainer, pl_module) as (weights, epoch):
            about = f"{type(pl_module).__name__} on {type(data).__name__}"
            if self.curves:
                album.add("curves.png", _curves, trainer, f"{about}: training", epoch)
            if isinstance(data, ImageDataModule):
                if self.filters:
                    title = f"{about}: the first layer, {weights}"
                    album.add("filters.png", _filters, pl_module, data, title)
                if self.features:
                    title = f"{about}: one image in each layer, {weights}"
                    album.add("features.png", _features, pl_module, data, title)
        album.close(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Draw what a training came to that its user stopped; the system would not wait for it."""
        by_user = isinstance(exception, KeyboardInterrupt) and (
            getattr(exception, "signum", signal.SIGINT) == signal.SIGINT
        )
        if by_user and trainer.state.fn == TrainerFn.FITTING:
            self.on_fit_end(trainer, pl_module)

    # Evaluation

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start counting, if this is not the validation of a training."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._start(trainer, pl_module, trainer.val_dataloaders)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start counting."""
        self._start(trainer, pl_module, trainer.test_dataloaders)

    def _start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loader: Any) -> None:
        self._folder, self._tally = folder_of(trainer), None
        data = getattr(trainer, "datamodule", None)
        if self._folder and isinstance(data, ImageDataModule) and isinstance(loader, DataLoader):
            numbers = (data.num_classes, self.num_mistakes)
            self._tally = Tally(*numbers, loader=loader, device=pl_module.device)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch, if this is not the validation of a training."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._count(outputs, batch)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch."""
        self._count(outputs, batch)

    def _count(self, outputs: Any, batch: Any) -> None:
        # A step of one's own may give something else than logits, or nothing.
        if self._tally is not None and isinstance(outputs, Tensor) and outputs.ndim == 2:
            self._tally.update(outputs, batch[1])

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw what the validation came to."""
        if trainer.state.fn == TrainerFn.VALIDATING:
            self._finish(trainer, pl_module, "validate", "validation")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw what the test came to."""
        self._finish(trainer, pl_module, "test", "test")

    def _finish(self, trainer: pl.Trainer, model: pl.LightningModule, verb: str, part: str) -> None:
        if self._tally is None or self._folder is None:
            return
        (counts, mistakes), images = self._tally.compute(), self._tally.images
        self._tally = None
        total = int(counts.sum())
        if not trainer.is_global_zero or not total:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        album, classes = Album(self._folder), data.classes
        about = f"{type(model).__name__} on {type(data).__name__}, {total:,} {part} images"
        if self.confusion:
            album.add(f"{verb}_confusion.png", draw_confusion, counts, classes, about)
        if self.num_mistakes and images is not None:
            title = f"{about}: the most confidently wrong"
            album.add(f"{verb}_mistakes.png", draw_mistakes, images, mistakes, classes, title)
        if self.classes:
            album.add(f"{verb}_classes.csv", write_classes, counts, classes)
        album.close(trainer)


def _curves(path: Path, trainer: pl.Trainer, title: str, best: int | None) -> Path | None:
    logger = next((each for each in trainer.loggers if isinstance(each, MetricsFile)), None)
    if logger is None:
        return None
    logger.save()
    curves = read_curves(logger.path) if logger.path.is_file() else {}
    return draw_curves(path, curves, title, best) if curves else None


def _filters(path: Path, model: nn.Module, data: ImageDataModule, title: str) -> Path | None:
    found = first_filters(_network(model), data.in_channels, data.image_size)
    return draw_filters(path, *found, title) if found else None


def _features(path: Path, model: Any, data: ImageDataModule, title: str) -> Path | None:
    shown = data.sets["val"] if len(data.sets["val"]) else data.sets["train"]
    assert shown.labels is not None
    first = shown.indices[:1]
    image = data.to_size(shown.images[first])
    ready = data.normalize(image, getattr(model, "input_range", None))
    found, logits = stages(model, _network(model), ready.to(model.device, model.dtype))
    truth = drawable_names(data.classes)[int(shown.labels[first])]
    return draw_features(path, image, found, logits, data.classes, truth, title)


def _network(model: nn.Module) -> nn.Module:
    """Give the layers of a model, of whatever class: ours keep them in ``network``."""
    network = getattr(model, "network", None)
    return network if isinstance(network, nn.Module) else model
