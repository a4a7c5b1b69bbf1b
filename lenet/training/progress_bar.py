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
WIDE = 100  # characters: wider terminals have room for the speed


class ProgressBar(RichProgressBar):
    """Lightning's progress bar, one line per epoch, redrawn at most five times per second.

    Lightning redraws it a hundred times per second, which on two cores takes nearly a fifth of an
    epoch of LeNet on MNIST (docs/benchmarks.md). With a lower ``refresh_rate``, each epoch would
    end with a wait for the next refresh.
    """

    def __init__(self) -> None:
        # As many digits as in the results below the bar.
        super().__init__(leave=True, theme=RichProgressBarTheme(metrics_format=".4f"))
        self._drawn = 0.0

    def configure_columns(self, trainer: pl.Trainer) -> list[Any]:
        """Fit into a terminal of 80 characters, where Lightning's columns take three lines."""
        description, bar, batches, _, *speed = super().configure_columns(trainer)
        width = get_console().width
        time = TimeRemainingColumn(True, elapsed_when_finished=True)
        if width < WIDE:
            speed = []
        bar.bar_width = max(10, min(40, width - 66 - 12 * len(speed)))  # the rest of the line
        return [description, bar, batches, time, *speed]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the metrics of this epoch, even if the bar was just drawn."""
        super().on_train_epoch_end(trainer, pl_module)
        self.refresh(hard=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Finish the last line before anything is printed below it."""
        self.teardown(trainer, pl_module, "fit")

    def refresh(self, hard: bool = False) -> None:
        """Redraw the bar, unless it was just drawn."""
        now = monotonic()
        if hard or now - self._drawn >= INTERVAL:
            self._drawn = now
            super().refresh(hard)
