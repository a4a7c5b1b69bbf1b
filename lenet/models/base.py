"""What all models share: the four steps, loss and accuracy, optimizer and schedule."""

import contextlib
import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
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
    naming,
    schedule,
)

__all__ = ["ImageClassifier"]

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
PUBLISHED_SIZE = 28  # pixels: MNIST's, for a model that takes images as published


class ImageClassifier(pl.LightningModule, ABC):
    """An image classifier trained with cross-entropy. Every model is a subclass.

    A subclass builds ``self.network``, a plain module that maps normalised images ``(N, C, H, W)``
    to logits ``(N, num_classes)``, and does nothing else. The sizes to build it for are
    ``self.in_channels``, ``self.num_classes`` and ``self.image_size``. One that needs another loss
    overrides :meth:`loss`, whose argument ``label_smoothing`` may be left out. One that needs
    images from one fixed value to another instead of normalised ones says which with
    ``input_range``.

    Args:
        in_channels: Channels of an image. By default the data set's, or 1 without one.
        num_classes: Number of classes. By default the data set's, or 10 without one.
        image_size: Height and width of an image, in pixels. By default the data module's, or
            without one 32, for an MLP 28.
        lr: Learning rate, greater than 0: the optimizer's, and the peak of OneCycleLR. There is no
            other.
        optimizer: Any class of torch.optim, by name. By default Adam.
        scheduler: Any class of torch.optim.lr_scheduler, by name, stepped once an epoch.
            OneCycleLR and CyclicLR are stepped once a batch, OneCycleLR over the whole training,
            with nothing to be told. ReduceLROnPlateau watches its monitor. By default the rate
            stays as it is.
        label_smoothing: Part of each label, from 0 to less than 1, that is shared among all
            classes in training. What is validated and tested is the loss without it. A loss other
            than cross-entropy may refuse it.

    Raises:
        UserError: If a number is out of range.
    """

    input_range: ClassVar[tuple[float, float] | None] = None
    # How images lie in memory. Pixel by pixel (channels-last) most convolutions are faster, but
    # what they give cannot be reshaped by view().
    memory_format: ClassVar[torch.memory_format] = torch.contiguous_format
    # Height and width that images are brought to unless told otherwise. None: as published.
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
        option, name = f"--model.label_smoothing {label_smoothing}", type(self).__name__
        if not 0 <= label_smoothing < 1:
            raise UserError(f"{option}: must be from 0 to less than 1.")
        if label_smoothing and "label_smoothing" not in inspect.signature(self.loss).parameters:
            raise UserError(f"{option}: {name} has a loss of its own, which takes none. Make it 0.")
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
        self._figures = {stage: LossAndAccuracy() for stage in ("train", "val", "test")}
        self._rate = lr

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images ``(N, C, H, W)`` to logits ``(N, num_classes)``."""
        if self.training and len(images) == 1:
            return self._forward_one(images)
        return self.network(images)

    def _forward_one(self, image: Tensor) -> Tensor:
        """Run a training batch of one image.

        A batch normalization of maps of one pixel has no deviation to divide by. It uses its
        running statistics instead. All other layers do as they always do.
        """
        norms = [m for m in self.network.modules() if isinstance(m, NORMS) and m.training]
        hooks = [norm.register_forward_pre_hook(_spare_one_value) for norm in norms]
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
        self._figures[stage].update(loss, logits, labels)
        return loss, logits

    def _start(self, stage: str) -> None:
        self._figures[stage].to(self.device).reset()

    def _log(self, stage: str) -> None:
        figures = self._figures[stage].compute()
        values = {f"{stage}/{name}": value for name, value in figures.items()}
        # The same on every device: torchmetrics has added them up. Saying so to Lightning as well
        # keeps it from warning that they might not be.
        self.log_dict(values, prog_bar=stage == "val", sync_dist=self.trainer.world_size > 1)

    def on_train_epoch_start(self) -> None:
        """Forget the epoch before, and keep the rate of the first step to log it."""
        self._start("train")
        self._rate = self.trainer.optimizers[0].param_groups[0]["lr"]

    def on_validation_epoch_start(self) -> None:
        """Forget the validation before."""
        self._start("val")

    def on_test_epoch_start(self) -> None:
        """Forget the test before."""
        self._start("test")

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training figures and the rate of its first step."""
        self._log("train")
        # By now a schedule that steps once an epoch has gone on to the rate of the next.
        self.log("lr", self._rate, sync_dist=self.trainer.world_size > 1)

    def on_validation_epoch_end(self) -> None:
        """Log ``val/loss`` and ``val/accuracy``."""
        self._log("val")

    def on_test_epoch_end(self) -> None:
        """Log ``test/loss`` and ``test/accuracy``."""
        self._log("test")

    def epoch_so_far(self) -> dict[str, float]:
        """Give the sums of the epoch on all devices, and the learning rate that it began with."""
        return {"lr": self._rate, **self._figures["train"].sums()}

    def resume_epoch(self, so_far: dict[str, float], counts: bool = True) -> None:
        """Take over what :meth:`epoch_so_far` gave in another process.

        Args:
            so_far: Sums of the epoch and its learning rate.
            counts: Whether this device takes the sums. One of several does.
        """
        self._rate = float(so_far.get("lr", self.lr))
        if counts:
            self._figures["train"].to(self.device).restore(so_far)

    def configure_optimizers(self) -> Any:
        """Make the optimizer and the schedule, both of the one learning rate."""
        # One kernel steps all parameters. Lightning clips no gradients that are scaled for it.
        clips = self._trainer is not None and bool(self.trainer.gradient_clip_val)
        fused = None if clips else True
        make = self.make_optimizer or partial(torch.optim.Adam, fused=fused)
        with naming("--model.optimizer", make):
            optimizer = make(self.parameters(), self.lr)
        if self.make_scheduler is None:
            return optimizer
        config = schedule(
            self.make_scheduler,
            optimizer,
            self.lr,
            self._total_steps,
        )
        monitor, data = str(config.get("monitor")), getattr(self._trainer, "datamodule", None)
        if monitor.startswith("val/") and getattr(data, "val_size", None) == 0:
            raise UserError(
                f"--model.scheduler.monitor {monitor}: with --data.val_size 0 there is no such "
                "figure. Watch train/loss, or hold some images out."
            )
        return {"optimizer": optimizer, "lr_scheduler": config}

    def _total_steps(self) -> int:
        steps = self.trainer.estimated_stepping_batches
        if math.isinf(steps):
            raise UserError(
                "--model.scheduler OneCycleLR: needs to know when training ends. Give "
                "--trainer.max_epochs or --trainer.max_steps."
            )
        return int(steps)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Step, and let what PyTorch's optimizer refuses to do be a mistake of its user."""
        failed = None

        def closure() -> Any:
            nonlocal failed
            assert optimizer_closure is not None
            try:
                return optimizer_closure()
            except Exception as e:
                failed = e  # of the model or a callback
                raise

        try:
            super().optimizer_step(epoch, batch_idx, optimizer, closure)
        except Exception as e:
            # What was restored from a checkpoint may be at fault as well.
            if e is failed or self.trainer.ckpt_path is not None:
                raise
            with naming("--model.optimizer", type(self.optimizers(use_pl_optimizer=False))):
                raise

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:
        """Step, and let what PyTorch's schedule refuses to do be a mistake of its user."""
        restored = self.trainer.ckpt_path is not None
        with contextlib.nullcontext() if restored else naming("--model.scheduler", type(scheduler)):
            super().lr_scheduler_step(scheduler, metric)


def _spare_one_value(norm: nn.Module, inputs: tuple[Tensor]) -> None:
    """Let a batch normalization that would see one value per channel predict instead."""
    norm.training = inputs[0].numel() > inputs[0].shape[1]
