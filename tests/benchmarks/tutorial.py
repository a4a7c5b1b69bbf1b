"""The tutorials' way: one image at a time through PIL, with a default Lightning trainer.

A program of its own, as they are written; what is timed and how is all that was added. Run as

    python tests/benchmarks/tutorial.py OUTPUT SEED BATCH_SIZE EPOCHS [ACCURACY]

it writes the epochs' times to OUTPUT as JSON, in seconds. With an accuracy it stops after the first
epoch that reaches it on the test images. What that look at the test images takes is not counted.
"""

import json
import os
import sys
import time
from pathlib import Path

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, random_split
from torchmetrics.classification import MulticlassAccuracy
from torchvision import transforms
from torchvision.datasets import MNIST

ROOT = os.environ.get("PATH_DATASETS", "data")
TRANSFORM = transforms.Compose(
    [
        transforms.ToTensor(),
        transforms.Resize((32, 32)),
        transforms.Normalize((0.1307,), (0.3081,)),
    ]
)


class MNISTData(pl.LightningDataModule):
    def __init__(self, batch_size: int):
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        full = MNIST(ROOT, train=True, transform=TRANSFORM)
        self.train, self.val = random_split(full, [55_000, 5_000])
        self.test = MNIST(ROOT, train=False, transform=TRANSFORM)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.train, batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.val, batch_size=self.batch_size)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.test, batch_size=self.batch_size)


class LitLeNet(pl.LightningModule):
    def __init__(self, lr: float = 1e-3):
        super().__init__()
        self.lr = lr
        self.network = nn.Sequential(
            *(nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU()),
            nn.Linear(84, 10),
        )
        self.accuracy = MulticlassAccuracy(10, average="micro")

    def forward(self, images):
        return self.network(images)

    def training_step(self, batch, batch_idx):
        images, labels = batch
        loss = F.cross_entropy(self(images), labels)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch, batch_idx):
        images, labels = batch
        logits = self(images)
        self.accuracy(logits, labels)
        self.log("val_loss", F.cross_entropy(logits, labels), prog_bar=True)
        self.log("val_acc", self.accuracy, prog_bar=True)

    def test_step(self, batch, batch_idx):
        images, labels = batch
        self.accuracy(self(images), labels)
        self.log("test_acc", self.accuracy)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class Clock(pl.Callback):
    """Time the epochs, and look at the test images off the clock."""

    def __init__(self, accuracy: float | None):
        self.accuracy = accuracy
        self.starts: list[float] = []
        self.epochs: list[float] = []
        self.accuracies: list[float] = []
        self.not_counted = 0.0

    def _stop(self) -> None:
        if len(self.starts) > len(self.epochs):
            self.epochs.append(time.perf_counter() - self.starts[-1])

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()
        self.starts.append(time.perf_counter())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.accuracy is None:
            return
        start = time.perf_counter()
        test = trainer.datamodule.test.data.unsqueeze(1)  # type: ignore[attr-defined]
        labels = trainer.datamodule.test.targets  # type: ignore[attr-defined]
        images = (transforms.Resize((32, 32))(test.float() / 255) - 0.1307) / 0.3081
        with torch.no_grad():
            logits = torch.cat([pl_module(x.to(pl_module.device)) for x in images.split(500)])
        right = (logits.argmax(dim=1).cpu() == labels).float().mean().item()
        self.accuracies.append(right)
        trainer.should_stop = right >= self.accuracy
        self.not_counted += time.perf_counter() - start
        self.starts[-1] += time.perf_counter() - start

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()


def main(output: str, seed: str, batch_size: str, epochs: str, accuracy: str | None = None) -> None:
    """Train, and test where an accuracy is to be reached."""
    pl.seed_everything(int(seed))
    clock = Clock(float(accuracy) if accuracy else None)
    trainer = pl.Trainer(
        max_epochs=int(epochs), callbacks=[clock], default_root_dir=Path(output).parent
    )
    model, data = LitLeNet(), MNISTData(int(batch_size))
    trainer.fit(model, datamodule=data)
    if accuracy:
        trainer.test(model, datamodule=data)
    found = {name: getattr(clock, name) for name in ("epochs", "accuracies", "not_counted")}
    Path(output).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
