"""Where pictures go: into the run's folder, its TensorBoard, and a line on the screen."""

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
    """Give the folder that pictures go to, if any are wanted. Ask on all devices at once."""
    if getattr(trainer, "fast_dev_run", False) or trainer.barebones:
        return None
    return trainer.log_dir


class Album:
    """The pictures of a run, drawn one after the other.

    A picture that cannot be drawn is reported and left out, so that the command goes on.

    Args:
        folder: Folder of the run.
    """

    def __init__(self, folder: str):
        self.folder = Path(folder)
        self.paths: list[Path] = []

    def add(self, name: str, draw: Callable[..., Path | None], *args: Any) -> None:
        """Draw a picture with a function of its path, which gives None where nothing is to see."""
        path = self.folder / name
        try:
            drawn = draw(path, *args)
        except Exception as e:
            rank_zero_warn(f"{name} could not be drawn: {type(e).__name__}: {e}")
            drawn = None
        if drawn is None:
            path.unlink(missing_ok=True)  # an existing picture is of other weights
        else:
            self.paths.append(drawn)

    def close(self, trainer: pl.Trainer) -> None:
        """Show them in TensorBoard, and say where they are."""
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
    """Give the training's writer for TensorBoard, or open one where the run has been logged."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            yield logger.experiment
            logger.experiment.flush()
            return
    if not any(folder.glob("events.out.tfevents.*")):
        yield None  # a run that was not logged, or no run
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as board:
        yield board


@contextlib.contextmanager
def best_weights(
    trainer: pl.Trainer, model: pl.LightningModule
) -> Iterator[tuple[str, int | None]]:
    """Let a model have the best weights that were kept, for as long as it is looked at.

    Gives what they are called, and the epoch that they are of. Where none were kept, they are
    those of the end.
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
