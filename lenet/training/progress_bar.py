"""The progress bar."""

from time import monotonic
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme
from rich import get_console
from rich.progress import TimeRemainingColumn

__all__ = ["ProgressBar"]

INTERVAL = 0.2  # seconds
WIDE = 100  # characters, and there is room for the speed


class ProgressBar(RichProgressBar):
    """Lightning's progress bar, drawn five times a second at most, an epoch to a line.

    Lightning draws it a hundred times a second, which on two cores takes nearly a fifth of an epoch
    of LeNet's on MNIST (docs/benchmarks.md). With a lower ``refresh_rate`` of its own, every epoch
    ends with a wait for the next drawing.
    """

    def __init__(self) -> None:
        # As many digits as the lines below the bar have.
        super().__init__(leave=True, theme=RichProgressBarTheme(metrics_format=".4f"))
        self._drawn = 0.0

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Fit into the 80 characters of a terminal: Lightning's columns take three lines there."""
        description, bar, batches, _, *speed = super().configure_columns(trainer)
        width = get_console().width
        time = TimeRemainingColumn(True, elapsed_when_finished=True)
        if width < WIDE:
            speed = []
        bar.bar_width = max(10, min(40, width - 66 - 12 * len(speed)))  # what the others leave
        return [description, bar, batches, time, *speed]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the figures of this epoch, however short ago the last drawing was."""
        super().on_train_epoch_end(trainer, pl_module)
        self.refresh(hard=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the last line before anything is printed below it."""
        self.teardown(trainer, pl_module, "fit")

    def refresh(self, hard: bool = False) -> None:
        """Draw, unless it was just done."""
        now = monotonic()
        if hard or now - self._drawn >= INTERVAL:
            self._drawn = now
            super().refresh(hard)
