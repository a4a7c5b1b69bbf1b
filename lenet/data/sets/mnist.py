"""MNIST and its like, in the IDX files that torchvision keeps. All are gray and 28x28."""

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

# Bytes and CRC-32 of the files as published, where they are known: what the .gz files end with.
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

    5,000 of the training images are held out for validation. The mean and deviation are those of
    the training images before padding, 0.1307 and 0.3081.

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
        """Where torchvision keeps the files."""
        return self.root / self.dataset.__name__ / "raw"

    def files(self, train: bool) -> tuple[Path, Path]:
        """Name the files of one half: images and labels."""
        part = self.folder / ("train" if train else "t10k")
        return Path(f"{part}-images-idx3-ubyte"), Path(f"{part}-labels-idx1-ubyte")

    def download(self, train: bool, root: str) -> None:
        """Let torchvision download the files of one half to a folder of data sets."""
        self.dataset(root, train=train, download=True)

    def fetch(self) -> None:
        """Download the files, each checked by its MD5 sum, unless they are there."""
        for train in (False, True):
            files = self.files(train)
            for file in files:
                if file.is_file():
                    check_idx(file)
            missing = [
                x.name for half in (False, True) for x in self.files(half) if not x.is_file()
            ]
            names = ", ".join(missing)  # of both halves: the other is fetched next
            fetch(partial(self.download, train), type(self).__name__, self.root, files, names)
        self.read(train=False)  # also before a training: it is too late to refuse them after it

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Read the files of one half from the root."""
        files = self.files(train)
        published = PUBLISHED.get(self.dataset.__name__, {})
        images, targets = (read_idx(file, published.get(file.name)) for file in files)
        labels = self.labels(targets) if targets.shape[1:].numel() else targets[:0]
        if len(images) != len(labels) or not len(images) or images.shape[1:] != (28, 28):
            raise UserError(
                f"{files[0]} and {files[1].name}: have {len(images)} images of "
                f"{'x'.join(map(str, images.shape[1:]))} and {len(labels)} labels, where as many "
                "28x28 images as labels belong. Delete them to have them downloaded again."
            )
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= self.num_classes:
            raise UserError(
                f"{files[1]}: the labels go from {low + self.first_label} to "
                f"{high + self.first_label}, where {type(self).__name__} has {self.num_classes} "
                f"classes from {self.first_label} on."
            )
        return self.upright(images).unsqueeze(1), labels

    def labels(self, targets: Tensor) -> Tensor:
        """Give the classes ``(N,)``, from 0 on, out of what the file has for labels."""
        return targets.to(torch.int64) - self.first_label

    def upright(self, images: Tensor) -> Tensor:
        """Turn images ``(N, 28, 28)`` the right way up where the file has them otherwise."""
        return images


class FashionMNIST(MNIST):
    """Fashion-MNIST: 60,000 training and 10,000 test images of clothes, gray, 28x28, ten classes.

    5,000 of the training images are held out for validation. The mean and deviation are those of
    the training images, 0.2860 and 0.3530.

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

    Ten characters of the cursive script, one out of each row of the hiragana, named by how they are
    read. 5,000 of the training images are held out for validation. The mean and deviation are
    those of the training images, 0.1918 and 0.3483.

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
    """QMNIST: MNIST made again, with all of its 60,000 test images, of digits, gray, 28x28.

    The 60,000 training images are MNIST's, of which 5,000 are held out for validation. Of the test
    images the first 10,000 are MNIST's, and the further 50,000 are those that had been lost. The
    mean and deviation are MNIST's, 0.1307 and 0.3081.

    Reference:
        Yadav and Bottou. Cold case: the lost MNIST digits. NeurIPS, 2019.

    Args:
        what: Which test images: ``"test"`` all 60,000, ``"test10k"`` those of MNIST,
            ``"test50k"`` the further ones.
        **kwargs: Passed on to :class:`ImageDataModule`.
    """

    dataset = datasets.QMNIST

    def __init__(self, what: Literal["test", "test10k", "test50k"] = "test", **kwargs: Any):
        super().__init__(**kwargs)
        self.what = what

    def files(self, train: bool) -> tuple[Path, Path]:
        """Name the files of one half: images and labels."""
        part = self.folder / f"qmnist-{'train' if train else 'test'}"
        return Path(f"{part}-images-idx3-ubyte"), Path(f"{part}-labels-idx2-int")

    def download(self, train: bool, root: str) -> None:
        """Let torchvision download the files of one half to a folder of data sets."""
        datasets.QMNIST(root, what="train" if train else self.what, download=True)

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Read the files of one half from the root, of the test images those that are wanted."""
        images, labels = super().read(train)
        if train or self.what == "test":
            return images, labels
        part = PARTS[self.what]
        if not len(labels[part]):
            raise UserError(
                f"{self.files(train)[0]}: has {len(images)} images, and so none for "
                f"--data.what {self.what}. Delete it to have it downloaded again."
            )
        return images[part].clone(), labels[part].clone()  # without the rest of the file

    def labels(self, targets: Tensor) -> Tensor:
        """Give the classes, the first of eight columns: the others say who wrote it, and where."""
        return targets[:, 0].to(torch.int64)
