"""The trainer, whose methods are the commands."""

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
    """Lightning's trainer with additional commands and safe loading of checkpoints.

    ``ckpt_path`` accepts the same values in Python as on the command line. Checkpoints are
    inspected and then loaded with ``weights_only=True``, so they cannot run code. Only the command
    line creates run folders and saves the best and the last weights there. In Python the callbacks
    decide what is saved, as with Lightning's trainer.

    Args:
        default_root_dir: Folder in which runs are created and found.
        callbacks: Callbacks to add, in the order in which they are called.
        **kwargs: Passed on to Lightning's trainer.

    Raises:
        UserError: If a callback of Lightning would make the recorded config wrong.
    """

    run_dir: str | None = None  # folder of the run, set by the command line
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
        if type(self.strategy.checkpoint_io) is TorchCheckpointIO:  # not a plugin of the user
            self.strategy.checkpoint_io = WholeCheckpointIO()

    @property
    def best(self) -> BestCheckpoint | None:
        """The callback that keeps the best weights, if one does."""
        return next((c for c in self.callbacks if isinstance(c, BestCheckpoint)), None)

    @property
    def log_dir(self) -> str | None:
        """Folder of the run, the same on all devices. All devices must access it together."""
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
        """Train a model and save the best weights.

        Args:
            model: Model to train.
            train_dataloaders: Training data, if not from a data module.
            val_dataloaders: Validation data, if not from a data module.
            datamodule: Data module to train on.
            ckpt_path: Checkpoint to resume from: {resumed}.
        """
        ckpt_path = self._checked(ckpt_path, in_folder="last")
        # Only one process locks the run. Spawned processes get their ranks later.
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
        """Compute loss and accuracy on the validation set.

        Args:
            model: Model to evaluate.
            dataloaders: Validation data, if not from a data module.
            ckpt_path: Checkpoint to evaluate: {evaluated}.
            verbose: Whether to print the metrics.
            datamodule: Data module to evaluate on.
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
        """Compute loss and accuracy on the test set.

        Args:
            model: Model to evaluate.
            dataloaders: Test data, if not from a data module.
            ckpt_path: Checkpoint to evaluate: {evaluated}.
            verbose: Whether to print the metrics.
            datamodule: Data module to evaluate on.
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
        """Predict the test images or your images, and write a table and pictures.

        Args:
            model: Model to predict with.
            dataloaders: Images, if not from a data module.
            datamodule: Data module to predict on.
            return_predictions: Whether to return the probabilities, for use in Python.
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
        """Train, then validate, test and predict with the best weights.

        Args:
            model: Model to train.
            datamodule: Data module to train and evaluate on.
            ckpt_path: Checkpoint to resume from: {resumed}.
        """
        self.fit(model, datamodule=datamodule, ckpt_path=ckpt_path)
        # The saved weights are already averaged. In Lightning 2.6 this callback would replace them
        # with the weights before averaging.
        self.callbacks = [c for c in self.callbacks if not isinstance(c, WeightAveraging)]
        best = (self.best and self.best.best_model_path) or None  # None: the current weights
        with self._resumable(model, datamodule):
            if getattr(datamodule, "val_size", None) != 0:
                self.validate(model, datamodule=datamodule, ckpt_path=best)
            self.test(model, datamodule=datamodule, ckpt_path=best)
            self.predict(model, datamodule=datamodule, ckpt_path=best, return_predictions=False)

    @contextlib.contextmanager
    def _resumable(self, model: Any, datamodule: Any) -> Iterator[None]:
        """Add the command that resumes the training to an interruption."""
        try:
            yield
        except KeyboardInterrupt as e:
            stop = e if isinstance(e, Interrupted) else Interrupted(signal.SIGINT)
            if self.run_dir and os.path.exists(os.path.join(self.run_dir, "checkpoints/last.ckpt")):
                stop.resume = runs.command_options(self.run_dir, model, datamodule)
            raise stop from e.__cause__

    def _steps_made(self) -> int:
        """Return the number of steps in this process, without those of the checkpoint."""
        for callback in self.callbacks:
            if isinstance(callback, Interruption):
                began = callback.began_at
                return 0 if began is None else self.global_step - began
        return self.global_step

    def _recall_best(self) -> None:
        """Restore path and score of the best weights if spawned processes trained.

        Lightning 2.6 returns only the path of one callback to the main process, not its score.
        """
        best = self.best
        if best is None or best.best_model_score is not None or not os.path.isfile(best.path):
            return
        checkpoint = torch.load(best.path, map_location="cpu", weights_only=True, mmap=True)
        state = checkpoint["callbacks"].get(best.state_key, {})
        best.best_model_path = best.path
        best.best_model_score = state.get("best_model_score")

    def _checked(self, ckpt_path: str | Path | None, in_folder: str = "best") -> str | None:
        """Find a checkpoint, and check that it is safe and that the run is writable."""
        runs.check_writable(self.run_dir)
        path = self.find_checkpoint(ckpt_path, in_folder)
        if path is None:
            return None
        checkpoints.read_safely(path)
        return str(path)

    def find_checkpoint(self, ckpt_path: str | Path | None, in_folder: str = "best") -> Path | None:
        """Find a checkpoint that this trainer saved, or else as the command line does."""
        if not ckpt_path:
            return None
        keepers = (self.best, *self.checkpoint_callbacks)
        kept = [getattr(callback, f"{ckpt_path}_model_path", "") for callback in keepers]
        if ckpt_path in ("best", "last") and any(kept):
            return Path(next(filter(None, kept))).absolute()
        return runs.find_checkpoint(str(ckpt_path), self.default_root_dir, in_folder)


@contextlib.contextmanager
def _as_raised() -> Iterator[None]:
    """Restore the original exception of an interruption or of a user error in a spawned process.

    Lightning turns an interruption into ``SystemExit`` and ignores Ctrl-C from then on. It turns an
    error in a spawned process into the text of a traceback.
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
    """Refuse Lightning's finders, which lose the checkpoint from which a training resumes.

    They also change the optimizer without changing its schedule or the run's config.
    """
    options = {LearningRateFinder: "--model.lr", BatchSizeFinder: "--data.batch_size"}
    methods = {LearningRateFinder: "lr_find", BatchSizeFinder: "scale_batch_size"}
    for cls, option in options.items():
        if isinstance(callback, cls):
            raise UserError(
                f"--trainer.callbacks {type(callback).__name__}: not supported, because the run's "
                f"config would not record the value that it finds. Set {option}. In Python, "
                f"Tuner(trainer).{methods[cls]}(model, datamodule=data) finds a value."
            )
