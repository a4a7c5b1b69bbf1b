"""Images as a data set of PyTorch's: a batch is one index operation."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lenet.data.files import ImageFiles

__all__ = ["Images", "TensorImages", "as_it_is"]

# Both give images (N, C, H, W) as bytes for indices (N,).
Images = Tensor | ImageFiles


class TensorImages(Dataset):
    """Some of the images, a whole batch of them at a time.

    Args:
        images: All of them, ``(N, C, H, W)``, ``uint8``: a tensor, or files that are decoded when
            they are asked for.
        labels: Their classes, ``(N,)``.
        indices: Which of them these are, in order. By default all.
        with_index: Whether a batch ends with the images' indices.
    """

    def __init__(
        self,
        images: Images,
        labels: Tensor,
        indices: Tensor | None = None,
        with_index: bool = False,
    ):
        self.images, self.labels = images, labels
        self.indices = torch.arange(len(images)) if indices is None else indices
        self.with_index = with_index

    def __len__(self) -> int:
        return len(self.indices)

    def __getitems__(self, positions: list[int]) -> tuple[Tensor, ...]:
        """Give images ``(N, C, H, W)`` and labels ``(N,)``. DataLoader asks for a batch at once."""
        chosen = self.indices[torch.tensor(positions)]
        batch = (self.images[chosen], self.labels[chosen])
        return (*batch, chosen) if self.with_index else batch


def as_it_is(batch: Any) -> Any:
    """Collate nothing: a batch is fetched as one."""
    return batch
