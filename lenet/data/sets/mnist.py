"""MNIST and data sets in the same format, stored as torchvision stores them. Gray, 28x28."""

from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torchvision import datasets

from lenet.data.base import ImageDataModule
from lenet.data.images.handwriting import Handwriting
from lenet.data.sets.downloads import fetch
from lenet.data.sets.idx import check_idx, read_idx
from lenet.errors import UserError

__all__ = ["KMNIST", "MNIST", "QMNIST", "FashionMNIST"]

# Size in bytes and CRC-32 of the published files, from the end of their .gz files.
PUBLISHED = {
    "MNIST": {
        "train-images-idx3-ubyte": (47_040_016, 0xE9F4D8B3),
        "train-labels-idx1-ubyte": (60_008, 0xE0CB4AD2),
        "t10k-images-idx3-ubyte": (7_840_016, 0x91373BDF),
        "t10k-labels-idx1-ubyte": (10_008, 0x4AB9EFF9),
    }
}


class MNIST(ImageDataModule):
    """MNIST: 60,000 training and 10,000 test images of handwritten digits, gray, 28x28.

    5,000 training images are used for validation. The training images, before padding, have mean
    0.1307 and standard deviation 0.3081.

    Reference:
        LeCun, Cortes and Burges. The MNIST database of handwritten digits, 1998.
    """

    dataset: ClassVar[type[datasets.MNIST]] = datasets.MNIST
    classes = tuple("0123456789")
    mean = (0.1307,)
    std = (0.3081,)
    native_size = 28
    handwriting = Handwriting(size=28, box=20)
    usual_val_size = 5000
    first_label = 0

    @property
    def folder(self) -> Path:
        """Folder in which torchvision stores the files."""
        return self.root / self.dataset.__name__ / "raw"

    def files(self, train: bool) -> tuple[Path, Path]:
        """Return the image and label files of the training or test set."""
        part = self.folder / ("train" if train else "t10k")
        return Path(f"{part}-images-idx3-ubyte"), Path(f"{part}-labels-idx1-ubyte")

    def download(self, train: bool, root: str) -> None:
        """Download the training or test files to a folder of data sets."""
        self.dataset(root, train=train, download=True)

    def fetch(self) -> None:
        """Download the files and verify their MD5 checksums, unless they exist."""
        for train in (False, True):
            files = self.files(train)
            for file in files:
                if file.is_file():
                    check_idx(file)
            missing = [
                x.name for half in (False, True) for x in self.files(half) if not x.is_file()
            ]
            names = ", ".join(missing)  # of both sets: the other is downloaded next
            fetch(partial(self.download, train), type(self).__name__, self.root, files, names)
        self.read(train=False)  # also before training, since an error after it would be too late

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Read the training or test images."""
        files = self.files(train)
        published = PUBLISHED.get(self.dataset.__name__, {})
        images, targets = (read_idx(file, published.get(file.name)) for file in files)
        labels = self.labels(targets) if targets.shape[1:].numel() else targets[:0]
        if len(images) != len(labels) or not len(images) or images.shape[1:] != (28, 28):
            raise UserError(
                f"{files[0]} and {files[1].name}: have {len(images)} images of "
                f"{'x'.join(map(str, images.shape[1:]))} and {len(labels)} labels. There must be "
                "as many 28x28 images as labels. Delete both files to download them again."
            )
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= self.num_classes:
            raise UserError(
                f"{files[1]}: has labels from {low + self.first_label} to "
                f"{high + self.first_label}, but those of {type(self).__name__} are from "
                f"{self.first_label} to {self.num_classes - 1 + self.first_label}."
            )
        return self.upright(images).unsqueeze(1), labels

    def labels(self, targets: Tensor) -> Tensor:
        """Return the classes ``(N,)``, starting at 0, for the labels in the file."""
        return targets.to(torch.int64) - self.first_label

    def upright(self, images: Tensor) -> Tensor:
        """Transpose images ``(N, 28, 28)`` if the file stores them transposed."""
        return images


class FashionMNIST(MNIST):
    """Fashion-MNIST: 60,000 training and 10,000 test images of clothes, gray, 28x28, ten classes.

    5,000 training images are used for validation. The training images have mean 0.2860 and
    standard deviation 0.3530.

    Reference:
        Xiao, Rasul and Vollgraf. Fashion-MNIST: a novel image dataset for benchmarking machine
        learning algorithms. arXiv:1708.07747, 2017.
    """

    dataset = datasets.FashionMNIST
    classes = (
        *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    )
    handwriting = None
    mean = (0.2860,)
    std = (0.3530,)


class KMNIST(MNIST):
    """Kuzushiji-MNIST: 60,000 training and 10,000 test images of old Japanese, gray, 28x28.

    Ten characters in cursive script, one from each row of the hiragana. The classes are named by
    their readings. 5,000 training images are used for validation. The training images have mean
    0.1918 and standard deviation 0.3483.

    Reference:
        Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto and Ha. Deep learning for classical
        Japanese literature. arXiv:1812.01718, 2018.
    """

    dataset = datasets.KMNIST
    classes = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    handwriting = Handwriting(size=28, box=28, by_mass=False)
    mean = (0.1918,)
    std = (0.3483,)


PARTS = {"test10k": slice(10_000), "test50k": slice(10_000, None)}


class QMNIST(MNIST):
    """QMNIST: MNIST reconstructed, with all of its 60,000 test images of digits, gray, 28x28.

    The 60,000 training images are those of MNIST. 5,000 of them are used for validation. The first
    10,000 test images are those of MNIST; the other 50,000 had been lost. The mean and standard
    deviation are those of MNIST, 0.1307 and 0.3081.

    Reference:
        Yadav and Bottou. Cold case: the lost MNIST digits. NeurIPS, 2019.

    Args:
        what: Which test images to use. ``"test"``: all 60,000. ``"test10k"``: the 10,000 of MNIST.
            ``"test50k"``: the 50,000 others.
        **kwargs: Passed on to :class:`ImageDataModule`.
    """

    dataset = datasets.QMNIST

    def __init__(self, what: Literal["test", "test10k", "test50k"] = "test", **kwargs: Any):
        super().__init__(**kwargs)
        self.what = what

    def files(self, train: bool) -> tuple[Path, Path]:
        """Return the image and label files of the training or test set."""
        part = self.folder / f"qmnist-{'train' if train else 'test'}"
        return Path(f"{part}-images-idx3-ubyte"), Path(f"{part}-labels-idx2-int")

    def download(self, train: bool, root: str) -> None:
        """Download the training or test files to a folder of data sets."""
        datasets.QMNIST(root, what="train" if train else self.what, download=True)

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Read the training images, or the test images that ``what`` selects."""
        images, labels = super().read(train)
        if train or self.what == "test":
            return images, labels
        part = PARTS[self.what]
        if not len(labels[part]):
            raise UserError(
                f"{self.files(train)[0]}: has only {len(images)} images, too few for "
                f"--data.what {self.what}. Delete it to download it again."
            )
        return images[part].clone(), labels[part].clone()  # a copy, to free the rest

    def labels(self, targets: Tensor) -> Tensor:
        """Return the classes, the first of eight columns. The others describe the writers."""
        return targets[:, 0].to(torch.int64)
