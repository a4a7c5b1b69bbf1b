"""The progress bar."""

from time import monotonic

from lightning.pytorch.callbacks import RichProgressBar

__all__ = ["ProgressBar"]

INTERVAL = 0.2  # seconds


class ProgressBar(RichProgressBar):
    """Lightning's progress bar, drawn five times a second at most.

    Lightning draws it a hundred times a second, which on two cores takes nearly a fifth of an epoch
    of LeNet's on MNIST (docs/benchmarks.md). With a lower ``refresh_rate`` of its own, every epoch
    ends with a wait for the next drawing.
    """

    def __init__(self) -> None:
        super().__init__(leave=True)
        self._drawn = 0.0

    def refresh(self, hard: bool = False) -> None:
        """Draw, unless it was just done."""
        now = monotonic()
        if hard or now - self._drawn >= INTERVAL:
            self._drawn = now
            super().refresh(hard)
