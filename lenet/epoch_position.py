"""The position of a training within its epoch.

Lightning 2.6 has no public API for it: its loops count the batches and save their counts in a
checkpoint. This is the only file that reads or writes them, and ``tests/test_epoch_position.py``
fails when Lightning changes them. Revisit when Lightning itself resumes within an epoch.
"""

from typing import Any

import lightning.pytorch as pl

__all__ = ["SavedPosition", "batches_served", "batches_trained", "validation_follows"]


def batches_trained(trainer: pl.Trainer) -> int:
    """Count the batches of the whole training, on each device."""
    return trainer.fit_loop.total_batch_idx


def batches_served(trainer: pl.Trainer) -> int:
    """Count the batches of this epoch that were trained before it was resumed."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    return 0 if progress.is_last_batch else progress.current.ready


def validation_follows(trainer: pl.Trainer) -> bool:
    """Return whether validation or the end of the epoch follows the current training batch."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    if progress.is_last_batch:
        return True
    every = trainer.val_check_batch
    return bool(every) and progress.current.ready % every == 0


class SavedPosition:
    """The position that a checkpoint was saved at. Changing it changes the loaded checkpoint.

    Args:
        checkpoint: Loaded checkpoint, before it is restored.
    """

    def __init__(self, checkpoint: dict[str, Any]):
        self._loops = checkpoint["loops"]["fit_loop"]

    @property
    def epochs(self) -> int:
        """Number of epochs that are trained."""
        return self._loops["epoch_progress"]["current"]["processed"]

    @property
    def is_within_epoch(self) -> bool:
        """Whether an epoch was begun and its end not saved."""
        return self.epochs < self._loops["epoch_progress"]["current"]["started"]

    def batches_done(self, in_epoch: int) -> int:
        """Count the trained batches of an unfinished epoch that has ``in_epoch`` batches."""
        if not self.is_within_epoch:
            return 0
        progress = self._loops["epoch_loop.batch_progress"]
        return in_epoch if progress["is_last_batch"] else progress["current"]["processed"]

    def rescale(self, before: int, now: int, multiple: int) -> None:
        """Keep the part of an epoch that is done where epochs have another number of batches.

        Args:
            before: Batches of an epoch when it was saved.
            now: Batches of an epoch.
            multiple: Batches of an optimizer step. Gradients between two steps are not saved.
        """
        progress = self._loops["epoch_loop.batch_progress"]
        current = progress["current"]
        part = min(current["processed"] / before, 1.0)
        done = now if progress["is_last_batch"] else int(part * now)
        if done < now:
            done -= done % multiple
        ahead = current["processed"] - current["completed"]  # of what was saved during a batch
        progress["current"] = dict.fromkeys(("ready", "started", "processed"), done)
        progress["current"]["completed"] = done - ahead

    def end_epoch(self) -> None:
        """Let an epoch that was trained be over.

        With ``max_steps``, Lightning would resume it and end it a second time.
        """
        if self.is_within_epoch:
            return
        for progress in self._loops["epoch_progress"].values():
            progress["completed"] = progress["processed"]
        batches = self._loops["epoch_loop.batch_progress"]
        batches["current"] = dict.fromkeys(batches["current"], 0)
        batches["is_last_batch"] = False
        self._loops["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1  # Lightning adds one
