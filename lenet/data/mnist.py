"""MNIST, in the files that torchvision keeps."""

import contextlib
import io
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torchvision import datasets

from lenet.data.base import ImageDataModule
from lenet.errors import UserError

__all__ = ["MNIST"]


class MNIST(ImageDataModule):
    """MNIST: 60,000 training and 10,000 test images of handwritten digits, grey, 28x28.

    5,000 of the training images are held out for validation. The mean and deviation are those of
    the training images before padding, 0.1307 and 0.3081.

    Reference:
        LeCun, Cortes and Burges. The MNIST database of handwritten digits, 1998.
    """

    dataset: ClassVar[type[datasets.MNIST]] = datasets.MNIST
    classes = tuple("0123456789")
    mean = (0.1307,)
    std = (0.3081,)
    usual_val_size = 5000

    def fetch(self) -> None:
        """Download the four files, each checked by its MD5 sum, unless they are there."""
        name, folder = self.dataset.__name__, self.root / self.dataset.__name__ / "raw"
        self.check_files(folder)
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints every mirror that fails
                self.dataset(str(self.root), train=False, download=True)
        except (OSError, RuntimeError, EOFError, ValueError, AssertionError) as e:
            self.check_files(folder)
            reason = str(e).strip().splitlines()[0].rstrip(".:") if str(e).strip() else "no answer"
            raise UserError(
                f"{name} is not in {folder} and could not be downloaded ({reason}). Put its four "
                "files there, or name the folder that has them with --data.root or PATH_DATASETS, "
                "or train on digits that need no download: --config configs/digits.yaml."
            ) from e

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Read the files of one half from the root."""
        folder = self.root / self.dataset.__name__ / "raw"
        self.check_files(folder)
        dataset = self.dataset(str(self.root), train=train)
        images, labels = dataset.data, dataset.targets
        part = "train" if train else "t10k"
        if len(images) != len(labels) or not len(images) or images.shape[1:] != (28, 28):
            raise UserError(
                f"{folder}: the {part} files have {len(images)} images of "
                f"{'x'.join(map(str, images.shape[1:]))} and {len(labels)} labels, where as many "
                "28x28 images as labels belong. Delete them to have them downloaded again."
            )
        if int(labels.max()) >= self.num_classes:
            raise UserError(
                f"{folder}: the {part} labels go up to {int(labels.max())}, where "
                f"{type(self).__name__} has {self.num_classes} classes."
            )
        return images.unsqueeze(1), labels.to(torch.int64)

    @staticmethod
    def check_files(folder: Path) -> None:
        """Refuse a file whose length is not what its own header says.

        Raises:
            UserError: With the file's name and both lengths.
        """
        for file in sorted(folder.glob("*-ubyte")):
            with file.open("rb") as stream:
                header = stream.read(16)
            dimensions = header[3] if len(header) > 3 and header[:3] == b"\x00\x00\x08" else 0
            start = 4 + 4 * dimensions
            if dimensions not in (1, 3) or len(header) < start:
                raise UserError(
                    f"{file}: not an IDX file of bytes, by its first {min(len(header), 4)} bytes. "
                    "Delete it to have it downloaded again."
                )
            expected = start
            length = 1
            for i in range(dimensions):
                length *= int.from_bytes(header[4 + 4 * i : 8 + 4 * i], "big")
            expected += length
            if (size := file.stat().st_size) != expected:
                raise UserError(
                    f"{file}: has {size:,} bytes where its header says {expected:,}. It is cut off "
                    "or damaged: delete it to have it downloaded again."
                )
