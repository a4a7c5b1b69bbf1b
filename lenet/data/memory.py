"""Images as a data set of PyTorch's: a batch is one index operation."""

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

# An evaluation keeps nothing for a backward pass: more images fit, and fewer steps are faster.
EVALUATION_FACTOR = 4
# Both give images (N, C, H, W) as bytes for indices (N,).
Images = Tensor | ImageFiles


class TensorImages(Dataset):
    """Some of the images, a whole batch of them at a time.

    Args:
        images: All of them, ``(N, C, H, W)``, ``uint8``: a tensor, or files that are decoded when
            they are asked for.
        labels: Their classes, ``(N,)``, where they are known.
        indices: Which of them these are, in order. By default all.
    """

    def __init__(self, images: Images, labels: Tensor | None, indices: Tensor | None = None):
        self.images, self.labels = images, labels
        self.indices = torch.arange(len(images)) if indices is None else indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, positions: list[int]) -> tuple[Tensor, ...]:
        """Give images ``(N, C, H, W)``, labels ``(N,)`` if they are known, and indices ``(N,)``.

        DataLoader reads a batch at once. The indices are those among all images.
        """
        indices = self.indices[torch.tensor(positions)]
        images = self.images[indices]
        if self.labels is None:
            return images, indices
        return images, self.labels[indices], indices


class EpochSampler(DistributedSampler):
    """The order of an epoch, which depends on the seed and the epoch alone.

    So a resumed training goes on as it would have, also within an epoch: with the first image that
    has not been served.
    """

    trainer: pl.Trainer | None = None
    batch_size = 1

    def __iter__(self) -> Iterator[int]:
        served = 0
        if self.trainer is not None:
            # Lightning sets the epoch as well, but in a resumed training that of the checkpoint.
            self.set_epoch(self.trainer.current_epoch)
            served = batches_served(self.trainer)
        return islice(super().__iter__(), served * self.batch_size, None)


class LazyLoader(DataLoader):
    """A loader whose workers begin with the first batch that is asked for.

    Lightning asks for an iterator before it has restored a checkpoint, and the workers would begin
    with images that a resumed training has had.
    """

    def __iter__(self) -> Iterator[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        yield from super().__iter__()


def identity(batch: Any) -> Any:
    """Collate nothing: a batch is fetched as one."""
    return batch


def start_worker(worker: int) -> None:
    """Begin a worker: with random numbers of its own, and deaf to Ctrl-C.

    A terminal sends that to all processes. The first one decides, and needs batches until it has.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pl_worker_init_function(worker)


def per_channel(values: Sequence[float], device: torch.device) -> Tensor:
    """Give one value a channel as ``(C, 1, 1)``. They are made there: a copy would wait for it."""
    return torch.stack([torch.full((1, 1), value, device=device) for value in values])
