"""The pictures of a run, drawn at the end of a training or an evaluation."""

import signal
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lenet.data import ImageDataModule
from lenet.data.memory import Images, TensorImages
from lenet.errors import UserError
from lenet.pictures.album import Album, best_weights, pictures_folder
from lenet.pictures.confusion import draw_confusion, write_classes
from lenet.pictures.curves import draw_curves, read_curves
from lenet.pictures.drawing import drawable_names
from lenet.pictures.features import draw_features, layer_outputs
from lenet.pictures.filters import draw_filters, first_filters
from lenet.pictures.mistakes import draw_mistakes
from lenet.pictures.tally import Tally
from lenet.training.evaluation import EvaluationCallback
from lenet.training.metrics_file import MetricsFile

__all__ = ["Pictures"]


class Pictures(EvaluationCallback):
    """Save pictures to the run's folder and to TensorBoard.

    ``fit`` saves ``curves.png``, ``filters.png`` and ``features.png``. ``test`` saves
    ``test_confusion.png``, ``test_mistakes.png`` and ``test_classes.csv``. ``validate`` saves the
    same files for the validation set.

    Args:
        curves: Whether to draw loss and accuracy by epoch, read from ``metrics.csv``.
        filters: Whether to draw the weights of the first layer.
        features: Whether to draw the outputs of all layers for the first validation image.
        confusion: Whether to draw the confusion matrix.
        classes: Whether to write a table with the precision and recall of each class.
        num_mistakes: Number of the most confident mistakes to draw. 0 draws none.
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
        self.curves = curves
        self.filters = filters
        self.features = features
        self.confusion = confusion
        self.classes = classes
        self.num_mistakes = num_mistakes
        self._folder: str | None = None
        self._tally: Tally | None = None
        self._images: Images | None = None  # those of the evaluation

    # Training

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Get the folder while all devices can agree on it."""
        self._folder = pictures_folder(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the results of a training, only on the first device."""
        if not trainer.is_global_zero or self._folder is None or trainer.global_step == 0:
            return
        album = Album(self._folder)
        data = getattr(trainer, "datamodule", None)
        with best_weights(trainer, pl_module) as (weights, epoch):
            run = f"{type(pl_module).__name__} on {type(data).__name__}"
            if self.curves:
                album.add("curves.png", _curves, trainer, f"{run}: training", epoch)
            if isinstance(data, ImageDataModule):
                if self.filters:
                    title = f"{run}: the first layer, {weights}"
                    album.add("filters.png", _filters, pl_module, data, title)
                if self.features:
                    title = f"{run}: one image in each layer, {weights}"
                    album.add("features.png", _features, pl_module, data, title)
        album.close(trainer)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Draw the results after Ctrl-C, but not after SIGTERM, which leaves no time."""
        by_user = isinstance(exception, KeyboardInterrupt) and (
            getattr(exception, "signum", signal.SIGINT) == signal.SIGINT
        )
        if by_user and trainer.state.fn == TrainerFn.FITTING:
            self.on_fit_end(trainer, pl_module)

    # Evaluation

    def on_evaluation_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, dataloader: Any
    ) -> None:
        """Reset the counts."""
        self._folder = pictures_folder(trainer)
        self._tally = None
        self._images = None
        data = getattr(trainer, "datamodule", None)
        if not (self._folder and isinstance(data, ImageDataModule)):
            return
        if isinstance(dataloader, DataLoader):
            num_mistakes = 0
            if isinstance(dataloader.dataset, TensorImages):
                self._images = dataloader.dataset.images
                num_mistakes = self.num_mistakes
            self._tally = Tally(data.num_classes, num_mistakes, pl_module.device)

    def on_evaluation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any
    ) -> None:
        """Count a batch."""
        # A custom step may return something other than logits, or nothing.
        if self._tally is not None and isinstance(outputs, Tensor) and outputs.ndim == 2:
            labels = batch[1]
            indices = batch[-1]  # ignored if there are no images to draw
            self._tally.update(outputs, labels, indices)

    def on_evaluation_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, command: str
    ) -> None:
        """Draw the results, only on the first device."""
        tally = self._tally
        images = self._images
        folder = self._folder
        if tally is None or folder is None:
            return
        self._tally = self._images = None
        counts, mistakes = tally.compute()
        total = int(counts.sum())
        if not trainer.is_global_zero or not total:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        album = Album(folder)
        classes = data.classes
        part = "validation" if command == "validate" else command
        run = f"{type(pl_module).__name__} on {type(data).__name__}, {total:,} {part} images"
        if self.confusion:
            album.add(f"{command}_confusion.png", draw_confusion, counts, classes, run)
        if self.num_mistakes and images is not None:
            title = f"{run}: the most confident mistakes"
            album.add(f"{command}_mistakes.png", draw_mistakes, images, mistakes, classes, title)
        if self.classes:
            album.add(f"{command}_classes.csv", write_classes, counts, classes)
        album.close(trainer)


def _curves(path: Path, trainer: pl.Trainer, title: str, best: int | None) -> Path | None:
    logger = next((each for each in trainer.loggers if isinstance(each, MetricsFile)), None)
    if logger is None:
        return None
    logger.save()
    curves = read_curves(logger.path) if logger.path.is_file() else {}
    return draw_curves(path, curves, title, best) if curves else None


def _filters(path: Path, model: nn.Module, data: ImageDataModule, title: str) -> Path | None:
    filters = first_filters(_network(model), data.in_channels, data.image_size)
    return draw_filters(path, *filters, title) if filters else None


def _features(path: Path, model: Any, data: ImageDataModule, title: str) -> Path | None:
    part = data.sets["val"] if len(data.sets["val"]) else data.sets["train"]
    images, labels, _ = part.__getitems__([0])
    image = data.to_size(images)
    normal = data.normalize(image, getattr(model, "input_range", None))
    layers, logits = layer_outputs(model, _network(model), normal.to(model.device, model.dtype))
    truth = drawable_names(data.classes)[int(labels)]
    return draw_features(path, image, layers, logits, data.classes, truth, title)


def _network(model: nn.Module) -> nn.Module:
    """Return the layers of a model: its ``network`` if it has one, else the model itself."""
    network = getattr(model, "network", None)
    return network if isinstance(network, nn.Module) else model
