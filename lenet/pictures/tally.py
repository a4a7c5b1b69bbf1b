"""The counting of an evaluation: a confusion matrix, and the worst mistakes."""

import warnings

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix

from lenet.data.memory import Images, TensorImages

__all__ = ["Mistake", "Tally", "WorstMistakes"]

Mistake = tuple[float, int, int, int]  # confidence, index, label, prediction


def _together(states: Tensor) -> Tensor:
    return states.flatten(0, 1)  # of all devices, one after the other


class WorstMistakes(Metric):
    """The wrong predictions of the highest confidence, in one pass and on their device.

    No more than so many are held at any time.

    Args:
        number: How many.
    """

    full_state_update = False
    confidence: Tensor
    which: Tensor

    def __init__(self, number: int):
        super().__init__()
        self.number = number
        # -1 is no mistake. Of one size, so that devices can exchange them.
        self.add_state("confidence", torch.full((number,), -1.0), dist_reduce_fx=_together)
        self.add_state("which", torch.zeros(number, 3, dtype=torch.long), dist_reduce_fx=_together)

    def update(self, logits: Tensor, labels: Tensor, indices: Tensor) -> None:
        """See a batch: logits ``(N, K)``, labels ``(N,)`` and the images' indices ``(N,)``."""
        confidence, predicted = logits.float().softmax(dim=1).max(dim=1)
        confidence = confidence.where(predicted != labels, -1.0)
        confidence = torch.cat([self.confidence, confidence])
        which = torch.cat([self.which, torch.stack([indices, labels, predicted], dim=1)])
        order = confidence.argsort(descending=True, stable=True)[: self.number]
        self.confidence, self.which = confidence[order], which[order]

    def compute(self) -> list[Mistake]:
        """Give them, the most confident first."""
        found = zip(self.confidence.tolist(), self.which.tolist(), strict=True)
        rows = [(p, *which) for p, which in found if p >= 0]
        return sorted(rows, key=lambda row: (-row[0], row[1]))[: self.number]


class Tally:
    """What an evaluation counts as it goes, on its device.

    Args:
        num_classes: Number of classes.
        num_mistakes: Number of mistakes to remember. With 0 none is.
        loader: What is evaluated. The images of a mistake are known if it serves
            :class:`TensorImages`.
        device: Where the logits are.
    """

    def __init__(
        self, num_classes: int, num_mistakes: int, loader: DataLoader, device: torch.device
    ):
        counts = MulticlassConfusionMatrix(num_classes, validate_args=False)
        self._counts = counts.to(device)
        self._worst = None
        self.images: Images | None = None
        if num_mistakes and isinstance(served := loader.dataset, TensorImages):
            self._worst = WorstMistakes(num_mistakes).to(device)
            self.images = served.images
            # This device's share of the images, in the order in which they come.
            positions = torch.tensor(list(loader.sampler), dtype=torch.long)
            self._indices, self._seen = served.indices[positions].to(device), 0

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: logits ``(N, K)`` and labels ``(N,)``."""
        self._counts.update(logits, labels)
        if self._worst is not None:
            indices = self._indices[self._seen : self._seen + len(labels)]
            self._worst.update(logits, labels, indices)
            self._seen += len(labels)

    def compute(self) -> tuple[Tensor, list[Mistake]]:
        """Give the images ``(K, K)`` by class and prediction, and the worst mistakes.

        To be called on all devices at once, which bring their counts together.
        """
        with warnings.catch_warnings():
            # Said of a device that had no image to count.
            warnings.filterwarnings("ignore", message="The ``compute`` method")
            worst = self._worst.compute() if self._worst is not None else []
            return self._counts.compute().cpu(), worst
