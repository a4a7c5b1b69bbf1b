"""What all models share: the four steps, loss and accuracy, optimizer and schedule."""

import inspect
import math
from abc import ABC, abstractmethod
from functools import partial
from typing import Any, ClassVar

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lenet.errors import UserError
from lenet.hyperparameters import keep_plain
from lenet.models.epoch_metrics import LossAndAccuracy
from lenet.models.optimization import (
    OptimizerFactory,
    SchedulerFactory,
    check_schedule,
    refusals_of,
    schedule,
    try_step,
)

__all__ = ["ImageClassifier"]

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
PUBLISHED_SIZE = 28  # pixels: MNIST's, for a model that takes images as published


class ImageClassifier(pl.LightningModule, ABC):
    """An image classifier trained with cross-entropy. Every model is a subclass.

    A subclass builds ``self.network``, a plain module that maps normalized images ``(N, C, H, W)``
    to logits ``(N, num_classes)``, and does nothing else. The sizes to build it for are
    ``self.in_channels``, ``self.num_classes`` and ``self.image_size``. One that needs another loss
    overrides :meth:`loss`, whose argument ``label_smoothing`` may be left out. One that needs
    images from one fixed value to another instead of normalized ones says which with
    ``input_range``.

    Args:
        in_channels: Channels of an image. By default the data set's, or 1 without one.
        num_classes: Number of classes. By default the data set's, or 10 without one.
        image_size: Height and width of an image, in pixels. By default the data module's, or
            without one 32, for an MLP 28.
        lr: Learning rate, greater than 0: the optimizer's, and the peak of OneCycleLR.
        optimizer: Any class of torch.optim, by name. By default Adam.
        scheduler: Any class of torch.optim.lr_scheduler, by name, stepped once an epoch.
            OneCycleLR and CyclicLR are stepped once a batch. The length of OneCycleLR is the
            training's. ReduceLROnPlateau watches its monitor. By default the learning rate is
            constant.
        label_smoothing: Fraction of each label, in [0, 1), that is shared among all classes in
            training. Validation and test use the loss without it. A loss other than cross-entropy
            may refuse it.

    Raises:
        UserError: If a number is out of range.
    """

    input_range: ClassVar[tuple[float, float] | None] = None
    # Layout of images in memory. Channels-last makes most convolutions faster, but view() cannot
    # reshape their outputs.
    memory_format: ClassVar[torch.memory_format] = torch.contiguous_format
    # Default height and width of images, in pixels. None: as published.
    usual_image_size: ClassVar[int | None] = 32
    network: nn.Module

    @abstractmethod  # what it lacks is a network
    def __init__(
        self,
        in_channels: int | None = None,
        num_classes: int | None = None,
        image_size: int | None = None,
        lr: float = 1e-3,
        optimizer: OptimizerFactory | None = None,
        scheduler: SchedulerFactory | None = None,
        label_smoothing: float = 0.0,
    ):
        super().__init__()
        sizes = {"in_channels": in_channels, "num_classes": num_classes, "image_size": image_size}
        check_schedule(scheduler)
        for name, value in {**sizes, "lr": lr}.items():
            if value is not None and value <= 0:
                raise UserError(f"--model.{name} {value}: must be greater than 0.")
        option = f"--model.label_smoothing {label_smoothing}"
        if not 0 <= label_smoothing < 1:
            raise UserError(f"{option}: must be from 0 to less than 1.")
        if label_smoothing and "label_smoothing" not in inspect.signature(self.loss).parameters:
            raise UserError(
                f"{option}: {type(self).__name__} has a loss of its own, which takes no smoothing. "
                "Make it 0."
            )
        self.save_hyperparameters()
        keep_plain(self)
        self.in_channels = in_channels or 1
        self.num_classes = num_classes or 10
        self.image_size = image_size or self.usual_image_size or PUBLISHED_SIZE
        self.lr = lr
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.label_smoothing = label_smoothing
        # Lets the model summary print the sizes that go into and come out of every layer.
        self.example_input_array = torch.zeros(
            1, self.in_channels, self.image_size, self.image_size
        )
        # Not submodules: they are no part of the network, its summary or its weights.
        self._epoch_metrics = {stage: LossAndAccuracy() for stage in ("train", "val", "test")}
        self._epoch_lr = lr

    def forward(self, images: Tensor) -> Tensor:
        """Map normalized images ``(N, C, H, W)`` to logits ``(N, num_classes)``."""
        if self.training and len(images) == 1:
            return self._forward_one(images)
        return self.network(images)

    def _forward_one(self, image: Tensor) -> Tensor:
        """Run a training batch of one image.

        A batch normalization of maps of one pixel has no standard deviation to divide by. It uses
        its running statistics instead. All other layers are as always.
        """
        norms = [m for m in self.network.modules() if isinstance(m, NORMS) and m.training]
        hooks = [norm.register_forward_pre_hook(_skip_single_value) for norm in norms]
        try:
            return self.network(image)
        finally:
            for norm, hook in zip(norms, hooks, strict=True):
                hook.remove()
                norm.training = True

    def loss(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Give the mean loss ``()`` of logits ``(N, num_classes)`` and labels ``(N,)``."""
        return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """Give the loss of a batch to the optimizer."""
        return self._step("train", batch)[0]

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """Count a batch of the validation set, and give its logits to callbacks."""
        return self._step("val", batch)[1]

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """Count a batch of the test set, and give its logits to callbacks."""
        return self._step("test", batch)[1]

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """Give probabilities ``(N, num_classes)``: the one place with a softmax."""
        return self(batch[0]).softmax(dim=1)

    def _step(self, stage: str, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        images, labels = batch[:2]  # and indices, from ImageDataModule
        logits = self(images)
        smoothing = self.label_smoothing if stage == "train" else 0.0
        smoothed = {"label_smoothing": smoothing} if smoothing else {}
        loss = self.loss(logits, labels, **smoothed)
        self._epoch_metrics[stage].update(loss, logits, labels)
        return loss, logits

    def _reset_metrics(self, stage: str) -> None:
        self._epoch_metrics[stage].to(self.device).reset()

    def _log_metrics(self, stage: str) -> None:
        metrics = self._epoch_metrics[stage].compute()
        values = {f"{stage}/{name}": value for name, value in metrics.items()}
        # The same on every device: torchmetrics has added them up. Saying so to Lightning as well
        # keeps it from warning that they might not be.
        self.log_dict(values, prog_bar=stage == "val", sync_dist=self.trainer.world_size > 1)

    def on_train_epoch_start(self) -> None:
        """Reset the metrics, and keep the learning rate of the first step to log it."""
        self._reset_metrics("train")
        self._epoch_lr = self.trainer.optimizers[0].param_groups[0]["lr"]

    def on_validation_epoch_start(self) -> None:
        """Reset the metrics."""
        self._reset_metrics("val")

    def on_test_epoch_start(self) -> None:
        """Reset the metrics."""
        self._reset_metrics("test")

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training metrics and the learning rate of its first step."""
        self._log_metrics("train")
        # A schedule that steps once an epoch has set the learning rate of the next one by now.
        self.log("lr", self._epoch_lr, sync_dist=self.trainer.world_size > 1)

    def on_validation_epoch_end(self) -> None:
        """Log ``val/loss`` and ``val/accuracy``."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Log ``test/loss`` and ``test/accuracy``."""
        self._log_metrics("test")

    def epoch_so_far(self) -> dict[str, float]:
        """Give the sums of the epoch on all devices, and the learning rate that it began with."""
        return {"lr": self._epoch_lr, **self._epoch_metrics["train"].sums()}

    def resume_epoch(self, so_far: dict[str, float], counts: bool = True) -> None:
        """Continue from what :meth:`epoch_so_far` gave in another process.

        Args:
            so_far: Sums of the epoch and its learning rate.
            counts: Whether this device takes the sums. One of several does.
        """
        self._epoch_lr = float(so_far.get("lr", self.lr))
        if counts:
            self._epoch_metrics["train"].to(self.device).restore(so_far)

    def configure_optimizers(self) -> Any:
        """Make the optimizer and the schedule, both with the one learning rate."""
        # One kernel steps all parameters. Lightning clips no gradients that are scaled for it.
        trainer = self._find_trainer()
        clips = trainer is not None and bool(trainer.gradient_clip_val)
        fused = None if clips else True
        make = self.make_optimizer or partial(torch.optim.Adam, fused=fused)
        with refusals_of("--model.optimizer", make):
            optimizer = make(self.parameters(), self.lr)
        parameter = next(self.parameters())
        try_step(make, self.make_scheduler, parameter, self.lr, self._total_steps)
        if self.make_scheduler is None:
            return optimizer
        config = schedule(self.make_scheduler, optimizer, self.lr, self._total_steps)
        return {"optimizer": optimizer, "lr_scheduler": config}

    def _find_trainer(self) -> pl.Trainer | None:
        try:
            return self.trainer
        except RuntimeError:  # the model is used without one
            return None

    def _total_steps(self) -> int:
        steps = self.trainer.estimated_stepping_batches
        if math.isinf(steps):
            raise UserError(
                "--model.scheduler OneCycleLR: needs the length of the training. Give "
                "--trainer.max_epochs or --trainer.max_steps."
            )
        return int(steps)


def _skip_single_value(norm: nn.Module, inputs: tuple[Tensor]) -> None:
    """Let a batch normalization that would see one value per channel use running statistics."""
    norm.training = inputs[0].numel() > inputs[0].shape[1]
