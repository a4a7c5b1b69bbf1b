"""The metrics of an epoch, counted on the device."""

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["LossAndAccuracy"]


class LossAndAccuracy(Metric):
    """Mean loss and accuracy over all images seen, in one pass and on their device.

    Sums and counts are kept, so that a small last batch weighs what it should, and are added up
    over devices. Nothing is read back before :meth:`compute`.
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
        """Count a batch: its mean loss ``()``, logits ``(N, K)`` and labels ``(N,)``."""
        self.loss += loss.detach() * len(labels)
        self.correct += (logits.argmax(dim=1) == labels).sum()
        self.count += len(labels)

    def sums(self) -> dict[str, float]:
        """Give the sums of all devices, to resume from in another process."""
        with self.sync_context():
            return {name: getattr(self, name).item() for name in self.metric_state}

    def restore(self, sums: dict[str, float]) -> None:
        """Take over sums."""
        self.reset()
        for name in self.metric_state:
            getattr(self, name).fill_(sums.get(name, 0))

    def compute(self) -> dict[str, Tensor]:
        """Give ``loss`` and ``accuracy`` (in [0, 1]) over what was counted."""
        return {"loss": self.loss / self.count, "accuracy": self.correct / self.count}
