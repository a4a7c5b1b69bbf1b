"""Images as a PyTorch data set in which a batch is a single index operation."""

import signal
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.seed import pl_worker_init_function
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from lenet.data.images.files import ImageFiles
from lenet.epoch_position import batches_served

__all__ = [
    "EVALUATION_FACTOR",
    "EpochSampler",
    "Images",
    "LazyLoader",
    "TensorImages",
    "identity",
    "per_channel",
    "start_worker",
]

# Evaluation keeps no activations for a backward pass, so more images fit, and fewer steps are
# faster.
EVALUATION_FACTOR = 4
# Indexed with (N,), both return images (N, C, H, W) as uint8.
Images = Tensor | ImageFiles


class TensorImages(Dataset):
    """A subset of images, served in whole batches.

    Args:
        images: All images ``(N, C, H, W)``, ``uint8``: a tensor, or files that are decoded when
            indexed.
        labels: Their classes ``(N,)``, or None if unknown.
        indices: Indices of the subset, in order. By default all images.
    """

    def __init__(self, images: Images, labels: Tensor | None, indices: Tensor | None = None):
        self.images, self.labels = images, labels
        self.indices = torch.arange(len(images)) if indices is None else indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, positions: list[int]) -> tuple[Tensor, ...]:
        """Return images ``(N, C, H, W)``, labels ``(N,)`` if they are known, and indices ``(N,)``.

        DataLoader calls this once per batch. The indices refer to all images, not to the subset.
        """
        indices = self.indices[torch.tensor(positions)]
        images = self.images[indices]
        if self.labels is None:
            return images, indices
        return images, self.labels[indices], indices


class EpochSampler(DistributedSampler):
    """Shuffles the images by the seed and the epoch alone.

    A resumed training therefore sees the same order. Within an epoch, it continues with the first
    image that has not been served.
    """

    trainer: pl.Trainer | None = None
    batch_size = 1

    def __iter__(self) -> Iterator[int]:
        served = 0
        if self.trainer is not None:
            # When training is resumed, Lightning sets the epoch of the checkpoint instead.
            self.set_epoch(self.trainer.current_epoch)
            served = batches_served(self.trainer)
        return islice(super().__iter__(), served * self.batch_size, None)


class LazyLoader(DataLoader):
    """A loader whose workers start when the first batch is requested.

    Lightning creates the iterator before it restores a checkpoint. Workers that start then would
    load images that a resumed training has already seen.
    """

    def __iter__(self) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        yield from super().__iter__()


def identity(batch: Any) -> Any:
    """Return the batch unchanged: the data set already collates it."""
    return batch


def start_worker(worker: int) -> None:
    """Seed a worker, and let it ignore Ctrl-C.

    A terminal sends Ctrl-C to all processes. The main process needs batches until it stops.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pl_worker_init_function(worker)


def per_channel(values: Sequence[float], device: torch.device) -> Tensor:
    """Return one value per channel ``(C, 1, 1)``, created on the device since copies are slower."""
    return torch.stack([torch.full((1, 1), value, device=device) for value in values])
