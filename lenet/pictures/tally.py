"""The confusion matrix and the most confident mistakes of an evaluation."""

import warnings
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix

__all__ = ["Mistake", "Tally", "WorstMistakes"]


class Mistake(NamedTuple):
    """A wrong prediction.

    Args:
        confidence: Probability of the predicted class, in [0, 1].
        image_index: Index of the image.
        label: Class of the image.
        prediction: The predicted class.
    """

    confidence: float
    image_index: int
    label: int
    prediction: int


def _concatenate(states: Tensor) -> Tensor:
    """Concatenate the states of all devices ``(D, N, ...)``."""
    return states.flatten(0, 1)


class WorstMistakes(Metric):
    """The most confident wrong predictions, collected in one pass on the device.

    Args:
        number: Maximum number of mistakes to keep.
    """

    full_state_update = False
    confidence: Tensor
    index_label_prediction: Tensor

    def __init__(self, number: int):
        super().__init__()
        self.number = number
        # -1 means no mistake. The size is fixed, so that devices can exchange the states.
        self.add_state("confidence", torch.full((number,), -1.0), _concatenate)
        empty = torch.zeros(number, 3, dtype=torch.long)
        self.add_state("index_label_prediction", empty, _concatenate)

    def update(self, logits: Tensor, labels: Tensor, indices: Tensor) -> None:
        """Add a batch: logits ``(N, K)``, labels ``(N,)`` and indices of the images ``(N,)``."""
        confidence, predicted = logits.float().softmax(dim=1).max(dim=1)
        confidence = confidence.where(predicted != labels, -1.0)
        confidence = torch.cat([self.confidence, confidence])
        rows = torch.stack([indices, labels, predicted], dim=1)
        rows = torch.cat([self.index_label_prediction, rows])
        order = confidence.argsort(descending=True, stable=True)[: self.number]
        self.confidence = confidence[order]
        self.index_label_prediction = rows[order]

    def compute(self) -> list[Mistake]:
        """Return the mistakes, most confident first."""
        rows = zip(self.confidence.tolist(), self.index_label_prediction.tolist(), strict=True)
        mistakes = [Mistake(confidence, *row) for confidence, row in rows if confidence >= 0]
        return sorted(mistakes, key=lambda m: (-m.confidence, m.image_index))[: self.number]


class Tally:
    """The counts of an evaluation, on its device.

    Args:
        num_classes: Number of classes.
        num_mistakes: Maximum number of mistakes to keep. 0 keeps none.
        device: Device of the logits.
    """

    def __init__(self, num_classes: int, num_mistakes: int, device: torch.device):
        self._counts = MulticlassConfusionMatrix(num_classes, validate_args=False).to(device)
        self._mistakes = WorstMistakes(num_mistakes).to(device) if num_mistakes else None

    def update(self, logits: Tensor, labels: Tensor, indices: Tensor) -> None:
        """Add a batch: logits ``(N, K)``, labels ``(N,)`` and indices of the images ``(N,)``."""
        self._counts.update(logits, labels)
        if self._mistakes is not None:
            self._mistakes.update(logits, labels, indices)

    def compute(self) -> tuple[Tensor, list[Mistake]]:
        """Return the number of images ``(K, K)`` by class and prediction, and the mistakes.

        All devices must call this together, since it sums their counts.
        """
        with warnings.catch_warnings():
            # torchmetrics warns if a device had no images.
            warnings.filterwarnings("ignore", message="The ``compute`` method")
            mistakes = self._mistakes.compute() if self._mistakes is not None else []
            return self._counts.compute().cpu(), mistakes
