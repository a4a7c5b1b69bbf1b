"""The metrics of an epoch, accumulated on the device."""

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["LossAndAccuracy"]


class LossAndAccuracy(Metric):
    """Mean loss and accuracy over all images of an epoch.

    Keeps sums and counts rather than means of batches, so a smaller last batch is weighted
    correctly, and sums over all devices. Nothing leaves the device before :meth:`compute`.
    """

    full_state_update = False
    loss: Tensor
    correct: Tensor
    count: Tensor

    def __init__(self):
        super().__init__()
        self.add_state("loss", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("correct", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: its mean loss ``()``, logits ``(N, K)`` and labels ``(N,)``."""
        self.loss += loss.detach() * len(labels)
        self.correct += (logits.argmax(dim=1) == labels).sum()
        self.count += len(labels)

    def sums(self) -> dict[str, float]:
        """Return the sums over all devices, from which another process can resume."""
        with self.sync_context():
            return {name: getattr(self, name).item() for name in self.metric_state}

    def restore(self, sums: dict[str, float]) -> None:
        """Restore sums that :meth:`sums` returned."""
        self.reset()
        for name in self.metric_state:
            getattr(self, name).fill_(sums.get(name, 0))

    def compute(self) -> dict[str, Tensor]:
        """Return ``loss`` and ``accuracy``, the latter in [0, 1]."""
        return {"loss": self.loss / self.count, "accuracy": self.correct / self.count}
