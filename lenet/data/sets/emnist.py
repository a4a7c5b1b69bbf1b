"""EMNIST: NIST's digits and letters, prepared like MNIST, in six splits."""

import string
from pathlib import Path
from typing import Any, Literal

from torch import Tensor
from torchvision import datasets

from lenet.data.images.handwriting import Handwriting
from lenet.data.sets.mnist import MNIST

__all__ = ["EMNIST"]

DIGITS = tuple(string.digits)
SMALL = tuple(string.ascii_lowercase)
ALL = (*DIGITS, *string.ascii_uppercase, *SMALL)
# Without the 15 lowercase letters that look like their capitals.
MERGED = (*DIGITS, *string.ascii_uppercase, *"abdefghnqrt")
# Classes, mean and standard deviation of the training images in [0, 1], number of test images.
SPLITS: dict[str, tuple[tuple[str, ...], float, float, int]] = {
    "byclass": (ALL, 0.1736, 0.3317, 116_323),
    "bymerge": (MERGED, 0.1736, 0.3317, 116_323),
    "balanced": (MERGED, 0.1751, 0.3332, 18_800),
    "letters": (SMALL, 0.1722, 0.3309, 20_800),
    "digits": (DIGITS, 0.1733, 0.3317, 40_000),
    "mnist": (DIGITS, 0.1733, 0.3317, 10_000),
}


class EMNIST(MNIST):
    """EMNIST: up to 697,932 training images of handwritten digits and letters, gray, 28x28.

    As many training images are used for validation as there are test images. The files store the
    images transposed; here they are upright. The labels of letters start at 0 instead of 1. The
    mean and standard deviation are those of the split's training images, about 0.17 and 0.33.

    Reference:
        Cohen, Afshar, Tapson and van Schaik. EMNIST: an extension of MNIST to handwritten letters.
        arXiv:1702.05373, 2017.

    Args:
        split: Which images. ``"byclass"``: digits, uppercase and lowercase letters, 62 classes,
            697,932 training and 116,323 test images. ``"bymerge"``: the same images in 47 classes,
            with 15 lowercase letters merged into similar capitals. ``"balanced"``: these 47
            classes equally often, 112,800 and 18,800 images. ``"letters"``: 26 classes, uppercase
            and lowercase merged, 124,800 and 20,800 images. ``"digits"``: 240,000 and 40,000
            digits. ``"mnist"``: 60,000 and 10,000 digits.
        **kwargs: Passed on to :class:`ImageDataModule`.
    """

    dataset = datasets.EMNIST
    handwriting = Handwriting(size=28, box=24, by_mass=False)

    def __init__(
        self,
        split: Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"] = "balanced",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.part = split
        self.classes, mean, std, self.usual_val_size = SPLITS[split]
        self.mean, self.std = (mean,), (std,)
        self.first_label = 1 if split == "letters" else 0

    def files(self, train: bool) -> tuple[Path, Path]:
        """Return the image and label files of the training or test set."""
        part = self.folder / f"emnist-{self.part}-{'train' if train else 'test'}"
        return Path(f"{part}-images-idx3-ubyte"), Path(f"{part}-labels-idx1-ubyte")

    def download(self, train: bool, root: str) -> None:
        """Download all files to a folder of data sets."""
        datasets.EMNIST(root, split=self.part, train=train, download=True)

    def upright(self, images: Tensor) -> Tensor:
        """Transpose images ``(N, 28, 28)`` in place."""
        for part in images.split(10_000):  # in parts, to save memory
            part.copy_(part.transpose(1, 2).clone())
        return images
