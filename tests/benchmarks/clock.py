"""Callbacks that time the program from within, beside the bare loop.

Machines are noisy: a turn of ours and one of the bare loop follow each other in one process.
"""

import copy
import json
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from lenet.data.augmentation import Distortions
from tests.benchmarks import bare

__all__ = ["EpochClock", "EvaluationClock", "ThreadsClock", "TrainingClock"]


def ready(data: Any, name: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Give one set's images as the network takes them, and their labels, all on the device."""
    chosen = data.sets[name]
    parts = chosen.indices.split(10_000)
    images = torch.cat([data.normalize(data.to_size(chosen.images[part])) for part in parts])
    return images.to(device), chosen.labels[chosen.indices].to(device)


class Clock(pl.Callback):
    """What the clocks share.

    Args:
        output: JSON file to write: times in seconds in ``ours`` and ``base``.
    """

    def __init__(self, output: str):
        self.output = output
        self.ours: list[float] = []
        self.base: list[float] = []
        self._start: float | None = None

    def start(self) -> None:
        """Start a turn."""
        self._start = time.perf_counter()

    def stop(self, turns: list[float]) -> None:
        """End the turn under way, if one is."""
        if self._start is not None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            turns.append(time.perf_counter() - self._start)
        self._start = None

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        found = {"ours": self.ours, "base": self.base}
        Path(self.output).write_text(json.dumps(found))


class EpochClock(Clock):
    """Time whole epochs with all that belongs to them.

    Args:
        output: JSON file to write. The first epoch of both is left out, unless ours are alone.
        against: What comes before each epoch: one of the bare loop, or of the bare loop with our
            layout of images and our optimizer, or an epoch of ours without distortions, or nothing.
    """

    def __init__(self, output: str, against: str = "bare"):
        super().__init__(output)
        self.against = against
        self.ready: tuple[Tensor, Tensor] | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        if self.against == "plain":
            plain = trainer.current_epoch % 2 == 0
            self.stop(self.ours if plain else self.base)
            if trainer.current_epoch == 0:
                self.distortions = data.distortions
            data.distortions = Distortions() if plain else self.distortions
        elif self.against == "nothing":
            self.stop(self.ours)
        else:
            self.stop(self.ours)
            if self.ready is None:
                self.ready = ready(data, "train", pl_module.device)
                self.network = copy.deepcopy(pl_module.network)
            tuned = self.against == "tuned"
            with torch.random.fork_rng():
                turn = bare.train(self.network, *self.ready, data.batch_size, tuned=tuned)
            self.base.append(turn)
        self.start()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.stop(self.ours)
        if self.against != "nothing":
            self.ours, self.base = self.ours[1:], self.base[1:]


class TrainingClock(Clock):
    """Time a whole training, and before it an epoch of the bare loop at batch 64."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        images, labels = ready(data, "train", pl_module.device)
        network = copy.deepcopy(pl_module.network)
        with torch.random.fork_rng():
            bare.train(network, images[:6400], labels[:6400], 64)
            self.base = [bare.train(network, images, labels, 64)]
        del images, labels
        self.start()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.stop(self.ours)


class EvaluationClock(Clock):
    """Time the loop of ``test`` or ``predict``, and before it the bare one in the same batches."""

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        images, labels = ready(trainer.datamodule, "test", pl_module.device)  # type: ignore[attr-defined]
        loader = trainer.test_dataloaders or trainer.predict_dataloaders
        size = loader.batch_sampler.batch_size  # of predict, Lightning keeps it there alone
        self.base = [bare.infer(pl_module.network, images, labels, size) for _ in range(6)][1:]
        self.start()

    on_predict_epoch_start = on_test_epoch_start

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.stop(self.ours)

    on_predict_epoch_end = on_test_epoch_end


class ThreadsClock(Clock):
    """Time steps with the number of threads that was chosen, and with one and two.

    The two take turns of some steps each, since other programs come and go.
    """

    STEPS, TURNS = 25, 8

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.chosen = torch.get_num_threads()
        self.times: dict[int, list[float]] = {1: [], 2: []}

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        turn, step = divmod(batch_idx, self.STEPS)
        if step == 0:
            self.stop(self.times[torch.get_num_threads()])
            if turn == self.TURNS:
                trainer.should_stop = True
            torch.set_num_threads(1 + turn % 2)
        elif step == 1:  # the first with another number of threads starts or ends some
            self.start()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        means = {
            number: sum(turns) / len(turns) / (self.STEPS - 1)
            for number, turns in self.times.items()
        }
        self.ours, self.base = [means[min(self.chosen, 2)]], [min(means.values())]
