"""Checking that an exported file returns the same probabilities as its model."""

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor

from lenet.data import ImageDataModule
from lenet.data.sets.downloads import FAILURES
from lenet.models import ImageClassifier

__all__ = ["TOLERANCE", "Classify", "batches", "classify", "compare"]

# Maps images (N, C, H, W) in 0..255 to probabilities (N, K).
Classify = Callable[[Tensor], Tensor]

TOLERANCE = 1e-5  # of a probability
# If the model's own rounding error is large, four times that is allowed, up to MAX_TOLERANCE.
# LeNet5 squares and sums its features, so its probabilities in single precision differ by 1e-5
# from those in double precision.
ROUNDING_FACTOR = 4
MAX_TOLERANCE = 1e-4
BATCH_SIZES = (1, 3, 1000)
MAX_VALUES = 8_000_000  # pixel values per check, enough for all test images of MNIST


def classify(model: ImageClassifier, data: ImageDataModule, images: Tensor) -> Tensor:
    """Return the probabilities ``(N, K)`` of images ``(N, C, H, W)`` in 0..255."""
    pixels = data.normalize(data.to_size(images), model.input_range)
    return model.predict_step((pixels.to(model.dtype),), 0)


def batches(data: ImageDataModule, shape: tuple[int, ...]) -> list[Tensor]:
    """Return batches ``uint8`` to compare on: random ones, and test images if they exist."""
    max_images = max(8, MAX_VALUES // (shape[0] * shape[1] * shape[2]))
    generator = torch.Generator().manual_seed(0)
    chosen = [
        torch.randint(256, (min(n, max_images), *shape), dtype=torch.uint8, generator=generator)
        for n in BATCH_SIZES
    ]
    with contextlib.suppress(*FAILURES):  # missing data is not downloaded
        images, _ = data.read(train=False)
        real = images[torch.arange(min(len(images), max_images))]
        chosen += real.split(1000) if len(real) and real.shape[1:] == shape else []
    return chosen


def compare(
    model: ImageClassifier, data: ImageDataModule, images: list[Tensor], run: Classify
) -> tuple[float, float]:
    """Compare the probabilities of a file with those of its model.

    Args:
        model: The model, in evaluation mode.
        data: Its data module.
        images: Batches of images in 0..255.
        run: Runs the file.

    Returns:
        The maximum difference of a probability, and the maximum that is allowed.
    """
    parts = [(classify(model, data, batch) - run(batch)).abs().max() for batch in images]
    difference = float(torch.stack(parts).max())
    allowed = TOLERANCE
    if difference > TOLERANCE:
        allowed = min(
            MAX_TOLERANCE, max(TOLERANCE, ROUNDING_FACTOR * _rounding(model, data, images))
        )
    return difference, allowed


def _rounding(model: ImageClassifier, data: ImageDataModule, images: list[Tensor]) -> float:
    """Return the maximum difference of a model's probabilities in single and double precision."""
    single = [classify(model, data, batch) for batch in images]
    try:
        double = [classify(model.double(), data, batch) for batch in images]
    except RuntimeError:
        return 0.0  # the model supports only single precision
    finally:
        model.float()
    return max(float((a - b).abs().max()) for a, b in zip(single, double, strict=True))
