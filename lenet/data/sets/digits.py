"""The handwritten digits that ship with scikit-learn, a data set without a download."""

import torch
from torch import Tensor

from lenet.data.base import ImageDataModule
from lenet.data.images.handwriting import Handwriting

__all__ = ["Digits"]


class Digits(ImageDataModule):
    """1,797 real handwritten digits, gray, 8x8, that ship with scikit-learn.

    They have no published split. Here the test set is a fixed random fifth of each digit, 360
    images. 180 of the other 1,437 images are used for validation. All 13 writers appear in both
    sets, so the test measures new digits, not new writers.

    Images are resized to ``image_size``, since padding would leave them mostly black.

    Reference:
        Alpaydin and Kaynak. Optical Recognition of Handwritten Digits. UCI Machine Learning
        Repository, 1998 (its test part, as shipped by scikit-learn).
    """

    classes = tuple("0123456789")
    mean = (0.3054,)
    std = (0.3760,)
    native_size = 8
    handwriting = Handwriting(size=8, box=8, by_mass=False)
    usual_val_size = 180
    usually_resized = True
    selecting = ()

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Read the images from scikit-learn."""
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        pixels, targets = load_digits(return_X_y=True)  # (1797, 64) in 0..16
        images = torch.tensor(pixels * (255 / 16)).round().to(torch.uint8).view(-1, 1, 8, 8)
        labels = torch.tensor(targets, dtype=torch.int64)
        parts = train_test_split(
            torch.arange(len(labels)).numpy(),
            test_size=360,
            random_state=0,
            stratify=targets,
        )
        chosen = torch.as_tensor(sorted(parts[0] if train else parts[1]))
        return images[chosen], labels[chosen]
