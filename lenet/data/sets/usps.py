"""USPS, stored as torchvision stores it."""

from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torchvision import datasets
from torchvision.datasets.utils import check_integrity

from lenet.data.base import ImageDataModule
from lenet.data.images.handwriting import Handwriting
from lenet.data.sets.downloads import FAILURES, fetch
from lenet.errors import UserError

__all__ = ["USPS"]


class USPS(ImageDataModule):
    """USPS: 7,291 training and 2,007 test images of digits from zip codes, gray, 16x16.

    729 training images are used for validation. The training images have mean 0.2469 and standard
    deviation 0.2989. Images are resized to ``image_size``, since padding would leave them mostly
    black.

    Reference:
        Hull. A database for handwritten text recognition research. IEEE Transactions on Pattern
        Analysis and Machine Intelligence 16(5), 1994.
    """

    classes = tuple("0123456789")
    mean = (0.2469,)
    std = (0.2989,)
    native_size = 16
    handwriting = Handwriting(size=16, box=16, by_mass=False)
    usual_val_size = 729
    usually_resized = True

    def fetch(self) -> None:
        """Download the files and verify their MD5 checksums, unless they exist."""
        for train in (True, False):
            download_to = partial(datasets.USPS, train=train, download=True)
            fetch(download_to, "USPS", self.root, [self._file(train)])
        self.read(train=False)  # also before training, since an error after it would be too late

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Read the training or test images. bzip2 verifies the checksum of each block."""
        file = self._file(train)
        try:
            dataset = datasets.USPS(str(self.root), train=train)
        except FAILURES as e:
            raise UserError(f"{file}: cannot be read ({e}). Delete it to download it again.") from e
        # Only the checksum shows if the training and test files were swapped.
        other = datasets.USPS.split_list["test" if train else "train"][2]
        if check_integrity(file, other):
            raise UserError(
                f"{file}: contains the {'test' if train else 'training'} images. Delete it to "
                "download it again."
            )
        images, labels = torch.from_numpy(dataset.data), torch.tensor(dataset.targets)
        if not len(labels) or labels.min() < 0 or labels.max() > 9:
            raise UserError(
                f"{file}: has no images, or labels other than 1 to 10. Delete it to download it "
                "again."
            )
        return images.unsqueeze(1), labels

    def _file(self, train: bool) -> Path:
        return self.root / ("usps.bz2" if train else "usps.t.bz2")
