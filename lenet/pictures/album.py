"""Saving pictures to the run's folder and to TensorBoard, and listing them on the screen."""

import contextlib
import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_warn
from PIL import Image

from lenet import runs

__all__ = ["Album", "best_weights", "pictures_folder"]


def pictures_folder(trainer: pl.Trainer) -> str | None:
    """Return the folder for pictures, or None. All devices must call this together."""
    if getattr(trainer, "fast_dev_run", False) or trainer.barebones:
        return None
    return trainer.log_dir


class Album:
    """The pictures of a run.

    A picture that cannot be drawn causes a warning, not an error.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: str):
        self.folder = Path(folder)
        self.paths: list[Path] = []

    def add(self, name: str, draw: Callable[..., Path | None], *args: Any) -> None:
        """Draw a picture with a function that takes its path. It returns None to skip it."""
        path = self.folder / name
        try:
            drawn = draw(path, *args)
        except Exception as e:
            rank_zero_warn(f"{name} could not be drawn: {type(e).__name__}: {e}")
            drawn = None
        if drawn is None:
            path.unlink(missing_ok=True)  # an older picture would show different weights
        else:
            self.paths.append(drawn)

    def close(self, trainer: pl.Trainer) -> None:
        """Add the pictures to TensorBoard, and print where they are."""
        if not self.paths:
            return
        with _board(trainer, self.folder) as board:
            for path in self.paths:
                if board is not None and path.suffix == ".png":
                    with Image.open(path) as image:
                        pixels = np.asarray(image.convert("RGB"))
                    tag = f"pictures/{path.stem}"
                    board.add_image(tag, pixels, trainer.global_step, dataformats="HWC")
        names = ", ".join(path.name for path in self.paths)
        print(
            f"Pictures in {runs.short_path(self.folder)}:\n{textwrap.indent(names, '  ')}",
            flush=True,
        )


@contextlib.contextmanager
def _board(trainer: pl.Trainer, folder: Path) -> Iterator[Any]:
    """Yield the training's TensorBoard writer, or open one if the run was logged."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            yield logger.experiment
            logger.experiment.flush()
            return
    if not any(folder.glob("events.out.tfevents.*")):
        yield None  # not a run, or not logged
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as board:
        yield board


@contextlib.contextmanager
def best_weights(
    trainer: pl.Trainer, model: pl.LightningModule
) -> Iterator[tuple[str, int | None]]:
    """Load the best weights into a model within the ``with`` block.

    Yields a description of the weights, and their epoch. If no best weights were saved, the
    current weights are used and the epoch is None.
    """
    best = getattr(trainer, "best", None)
    if best is None or not os.path.isfile(best.best_model_path):
        yield "weights of the last epoch", None
        return
    path = best.best_model_path
    checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    now = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(checkpoint["state_dict"])
    try:
        yield f"best weights (epoch {checkpoint['epoch']})", checkpoint["epoch"]
    finally:
        model.load_state_dict(now)
