"""Whether an exported file gives what its model gives, to the fifth decimal."""

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor

from lenet.data import ImageDataModule
from lenet.data.sets.downloads import FAILURES
from lenet.models import ImageClassifier

__all__ = ["TOLERANCE", "Classify", "batches", "classify", "compare"]

# Bytes (N, C, H, W) of images to probabilities (N, K).
Classify = Callable[[Tensor], Tensor]

TOLERANCE = 1e-5  # of a probability
# A model may differ by four times its own rounding where that is worse, but by no more than the
# second: the features of LeNet5 are squared and summed, and its probabilities in single precision
# are 1e-5 from those in double.
ROUNDING_FACTOR = 4
MAX_TOLERANCE = 1e-4
BATCH_SIZES = (1, 3, 1000)
MAX_VALUES = 8_000_000  # of pixels in the check, all test images of MNIST's


def classify(model: ImageClassifier, data: ImageDataModule, images: Tensor) -> Tensor:
    """Give the probabilities ``(N, K)`` of images ``(N, C, H, W)`` in 0..255."""
    pixels = data.normalize(data.to_size(images), model.input_range)
    return model.predict_step((pixels.to(model.dtype),), 0)


def batches(data: ImageDataModule, shape: tuple[int, ...]) -> list[Tensor]:
    """Give batches of bytes to compare on: random ones, and test images if there are some."""
    max_images = max(8, MAX_VALUES // (shape[0] * shape[1] * shape[2]))
    generator = torch.Generator().manual_seed(0)
    chosen = [
        torch.randint(256, (min(n, max_images), *shape), dtype=torch.uint8, generator=generator)
        for n in BATCH_SIZES
    ]
    with contextlib.suppress(*FAILURES):  # they are not here, and are not fetched
        images, _ = data.read(train=False)
        real = images[torch.arange(min(len(images), max_images))]
        chosen += real.split(1000) if len(real) and real.shape[1:] == shape else []
    return chosen


def compare(
    model: ImageClassifier, data: ImageDataModule, images: list[Tensor], run: Classify
) -> tuple[float, float]:
    """Run a file beside its model.

    Args:
        model: The model, in evaluation mode.
        data: Its data module.
        images: Batches of bytes.
        run: Runs the file.

    Returns:
        The greatest difference of a probability, and the greatest that is allowed.
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
    """Give how far a model in single precision is from itself in double precision."""
    single = [classify(model, data, batch) for batch in images]
    try:
        double = [classify(model.double(), data, batch) for batch in images]
    except RuntimeError:
        return 0.0  # it is written for single precision
    finally:
        model.float()
    return max(float((a - b).abs().max()) for a, b in zip(single, double, strict=True))
