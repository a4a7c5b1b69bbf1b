"""The trainer: its methods are the commands."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    LearningRateFinder,
    WeightAveraging,
)
from torch.multiprocessing.spawn import ProcessRaisedException

from lenet import runs
from lenet.errors import Interrupted, UserError
from lenet.runs import checkpoints, explains_ckpt_path
from lenet.training.checkpoint_io import WholeCheckpointIO
from lenet.training.checkpointing import BestCheckpoint
from lenet.training.interruption import Interruption
from lenet.training.monitors import ScheduleMonitor
from lenet.training.results import print_metrics
from lenet.training.resuming import Resuming

__all__ = ["Trainer"]


class Trainer(pl.Trainer):
    """Lightning's trainer, with commands of our own and only safe checkpoints.

    A checkpoint is found by the same words in Python as on the command line, and inspected before
    it is read with ``weights_only=True``: it runs no code. Run folders, and the callbacks that
    keep the best and the last weights there, are made by the command line. From Python what is
    kept is up to the callbacks, as with Lightning's own trainer.

    Args:
        default_root_dir: Folder that runs are made in and looked for.
        callbacks: Callbacks to add, in the order of their calls.
        **kwargs: Passed on to Lightning's trainer.

    Raises:
        UserError: If a callback of Lightning's changes what a run has recorded.
    """

    run_dir: str | None = None  # where a run's files go, if the command line knows
    callbacks: list[pl.Callback]

    def __init__(
        self,
        *,
        default_root_dir: str | Path | None = None,
        callbacks: list[pl.Callback] | pl.Callback | None = None,
        **kwargs,
    ):
        chosen = callbacks if isinstance(callbacks, list) else [callbacks] if callbacks else []
        for callback in chosen:
            _check_callback(callback)
        callbacks = [*chosen, Resuming(), ScheduleMonitor()]
        super().__init__(default_root_dir=default_root_dir, callbacks=callbacks, **kwargs)
        if type(self.strategy.checkpoint_io) is TorchCheckpointIO:  # no plugin of the user's
            self.strategy.checkpoint_io = WholeCheckpointIO()

    @property
    def best(self) -> BestCheckpoint | None:
        """The callback that keeps the best weights, if one does."""
        return next((c for c in self.callbacks if isinstance(c, BestCheckpoint)), None)

    @property
    def log_dir(self) -> str | None:
        """The run's folder, the same on all devices. Ask on all of them at once."""
        return self.strategy.broadcast(self.run_dir) or super().log_dir

    @explains_ckpt_path
    def fit(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        model: pl.LightningModule,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        datamodule: pl.LightningDataModule | None = None,
        ckpt_path: str | None = None,
    ) -> None:
        """Train, and keep the best weights.

        Args:
            model: Model to train.
            train_dataloaders: Training data, if not from a data module.
            val_dataloaders: Validation data, if not from a data module.
            datamodule: Data module to train on.
            ckpt_path: Checkpoint to resume from: {resumed}.
        """
        ckpt_path = self._checked(ckpt_path, in_folder="last")
        # Of several processes one holds the run. One that was spawned learns its rank later.
        held = self.run_dir if self.local_rank == 0 and self.node_rank == 0 else None
        try:
            with self._resumable(model, datamodule), _as_raised(), runs.locked(held):
                super().fit(
                    model,
                    train_dataloaders,
                    val_dataloaders,
                    datamodule,
                    ckpt_path,
                    weights_only=True,
                )
            self._recall_best()
        except BaseException:
            runs.discard_empty(self.run_dir, self._steps_made())
            raise

    @explains_ckpt_path
    def validate(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        model: pl.LightningModule | None = None,
        dataloaders: Any = None,
        ckpt_path: str | None = None,
        verbose: bool = True,
        datamodule: pl.LightningDataModule | None = None,
    ) -> Any:
        """Measure loss and accuracy on the validation set.

        Args:
            model: Model to measure.
            dataloaders: Data, if not from a data module.
            ckpt_path: Checkpoint to measure: {evaluated}.
            verbose: Whether to print the figures.
            datamodule: Data module to measure on.
        """
        ckpt_path = self._checked(ckpt_path)
        with _as_raised():
            rows = super().validate(
                model, dataloaders, ckpt_path, False, datamodule, weights_only=True
            )
        return print_metrics(rows, verbose)

    @explains_ckpt_path
    def test(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        model: pl.LightningModule | None = None,
        dataloaders: Any = None,
        ckpt_path: str | None = None,
        verbose: bool = True,
        datamodule: pl.LightningDataModule | None = None,
    ) -> Any:
        """Measure loss and accuracy on the test set.

        Args:
            model: Model to measure.
            dataloaders: Data, if not from a data module.
            ckpt_path: Checkpoint to measure: {evaluated}.
            verbose: Whether to print the figures.
            datamodule: Data module to measure on.
        """
        ckpt_path = self._checked(ckpt_path)
        with _as_raised():
            rows = super().test(model, dataloaders, ckpt_path, False, datamodule, weights_only=True)
        return print_metrics(rows, verbose)

    @explains_ckpt_path
    def predict(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        model: pl.LightningModule | None = None,
        dataloaders: Any = None,
        datamodule: pl.LightningDataModule | None = None,
        return_predictions: bool | None = None,
        ckpt_path: str | None = None,
    ) -> Any:
        """Predict the test images, or one's own: a table of all, pictures, a contact sheet.

        Args:
            model: Model to predict with.
            dataloaders: Images, if not from a data module.
            datamodule: Data module to predict on.
            return_predictions: Whether to return the probabilities, for Python.
            ckpt_path: Checkpoint to predict with: {evaluated}.
        """
        ckpt_path = self._checked(ckpt_path)
        with _as_raised():
            return super().predict(
                model, dataloaders, datamodule, return_predictions, ckpt_path, weights_only=True
            )

    @explains_ckpt_path
    def run(
        self,
        model: pl.LightningModule,
        datamodule: pl.LightningDataModule,
        ckpt_path: str | None = None,
    ) -> None:
        """Train, then validate, test and predict with the best weights, in one command.

        Args:
            model: Model to train.
            datamodule: Data module to train and measure on.
            ckpt_path: Checkpoint to resume from: {resumed}.
        """
        self.fit(model, datamodule=datamodule, ckpt_path=ckpt_path)
        # It has averaged. From now on it would take the weights before the average out of a
        # checkpoint (Lightning 2.6), where those that are kept are the averaged ones.
        self.callbacks = [c for c in self.callbacks if not isinstance(c, WeightAveraging)]
        best = (self.best and self.best.best_model_path) or None  # None: the weights as they are
        with self._resumable(model, datamodule):
            if getattr(datamodule, "val_size", None) != 0:
                self.validate(model, datamodule=datamodule, ckpt_path=best)
            self.test(model, datamodule=datamodule, ckpt_path=best)
            self.predict(model, datamodule=datamodule, ckpt_path=best, return_predictions=False)

    @contextlib.contextmanager
    def _resumable(self, model: Any, datamodule: Any) -> Iterator[None]:
        """Let an interruption say what resumes the training."""
        try:
            yield
        except KeyboardInterrupt as e:
            stop = e if isinstance(e, Interrupted) else Interrupted(signal.SIGINT)
            if self.run_dir and os.path.exists(os.path.join(self.run_dir, "checkpoints/last.ckpt")):
                stop.resume = runs.command_options(self.run_dir, model, datamodule)
            raise stop from e.__cause__

    def _steps_made(self) -> int:
        """Count the steps of this training, without those of the checkpoint it began with."""
        for callback in self.callbacks:
            if isinstance(callback, Interruption):
                began = callback.began_at
                return 0 if began is None else self.global_step - began
        return self.global_step

    def _recall_best(self) -> None:
        """Learn what the best weights are where processes were spawned to train.

        Lightning hands the path of one callback back to the first process, and no score (2.6).
        """
        best = self.best
        if best is None or best.best_model_score is not None or not os.path.isfile(best.path):
            return
        checkpoint = torch.load(best.path, map_location="cpu", weights_only=True, mmap=True)
        state = checkpoint["callbacks"].get(best.state_key, {})
        best.best_model_path = best.path
        best.best_model_score = state.get("best_model_score")

    def _checked(self, ckpt_path: str | Path | None, in_folder: str = "best") -> str | None:
        """Find a checkpoint that is safe to read, for a run that can be written to."""
        runs.check_writable(self.run_dir)
        path = self.find_checkpoint(ckpt_path, in_folder)
        if path is None:
            return None
        checkpoints.read_safely(path)
        return str(path)

    def find_checkpoint(self, ckpt_path: str | Path | None, in_folder: str = "best") -> Path | None:
        """Find a checkpoint: one that this trainer has kept, or as the command line does."""
        if not ckpt_path:
            return None
        keepers = (self.best, *self.checkpoint_callbacks)
        kept = [getattr(callback, f"{ckpt_path}_model_path", "") for callback in keepers]
        if ckpt_path in ("best", "last") and any(kept):
            return Path(next(filter(None, kept))).absolute()
        return runs.find_checkpoint(str(ckpt_path), self.default_root_dir, in_folder)


@contextlib.contextmanager
def _as_raised() -> Iterator[None]:
    """Raise an interruption, or a user's mistake in a spawned process, as it was raised there.

    Lightning makes an exit code of the one, with Ctrl-C ignored from then on, and the text of a
    traceback of the other.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as e:
        if not isinstance(e.__context__, KeyboardInterrupt):
            raise
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        raise e.__context__ from None
    except ProcessRaisedException as e:
        name = f"{UserError.__module__}.{UserError.__name__}"
        _, found, said = str(e).rpartition(f"\n{name}: ")
        if not found:
            raise
        message, _, table = said.strip().partition("\n")
        raise UserError(message, table) from e


def _check_callback(callback: pl.Callback) -> None:
    """Refuse Lightning's finders, which forget the checkpoint that a training is resumed from.

    They also change the optimizer, but not its schedule or the run's config.
    """
    options = {LearningRateFinder: "--model.lr", BatchSizeFinder: "--data.batch_size"}
    methods = {LearningRateFinder: "lr_find", BatchSizeFinder: "scale_batch_size"}
    for cls, option in options.items():
        if isinstance(callback, cls):
            raise UserError(
                f"--trainer.callbacks {type(callback).__name__}: not supported, since a run would "
                f"train with another value than the one it records. Set {option}. From Python, "
                f"Tuner(trainer).{methods[cls]}(model, datamodule=data) finds a value."
            )
