"""CIFAR-10 and CIFAR-100, stored as torchvision stores them."""

from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torchvision import datasets
from torchvision.datasets.utils import check_integrity

from lenet.data.base import ImageDataModule
from lenet.data.sets.downloads import FAILURES, fetch
from lenet.errors import UserError

__all__ = ["CIFAR10", "CIFAR100"]

# In the order of their labels, which is alphabetical.
CIFAR100_CLASSES = """\
apple, aquarium fish, baby, bear, beaver, bed, bee, beetle, bicycle, bottle, bowl, boy, bridge,
bus, butterfly, camel, can, castle, caterpillar, cattle, chair, chimpanzee, clock, cloud,
cockroach, couch, crab, crocodile, cup, dinosaur, dolphin, elephant, flatfish, forest, fox, girl,
hamster, house, kangaroo, keyboard, lamp, lawn mower, leopard, lion, lizard, lobster, man, maple
tree, motorcycle, mountain, mouse, mushroom, oak tree, orange, orchid, otter, palm tree, pear,
pickup truck, pine tree, plain, plate, poppy, porcupine, possum, rabbit, raccoon, ray, road,
rocket, rose, sea, seal, shark, shrew, skunk, skyscraper, snail, snake, spider, squirrel,
streetcar, sunflower, sweet pepper, table, tank, telephone, television, tiger, tractor, train,
trout, tulip, turtle, wardrobe, whale, willow tree, wolf, woman, worm"""


class CIFAR10(ImageDataModule):
    """CIFAR-10: 50,000 training and 10,000 test photographs, color, 32x32, in ten classes.

    5,000 training images are used for validation. The training images have mean
    (0.4914, 0.4822, 0.4465) and standard deviation (0.2470, 0.2435, 0.2616).

    Reference:
        Krizhevsky. Learning multiple layers of features from tiny images. University of Toronto,
        2009.
    """

    dataset: ClassVar[type[datasets.CIFAR10]] = datasets.CIFAR10
    classes = (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )
    in_channels = 3
    mean = (0.4914, 0.4822, 0.4465)
    std = (0.2470, 0.2435, 0.2616)
    native_size = 32
    usual_val_size = 5000

    @property
    def sums(self) -> dict[Path, str]:
        """The MD5 checksum of each published file."""
        meta = (self.dataset.meta["filename"], self.dataset.meta["md5"])
        folder = self.root / self.dataset.base_folder
        return {
            folder / file: sum_
            for file, sum_ in (*self.dataset.train_list, *self.dataset.test_list, meta)
        }

    def fetch(self) -> None:
        """Download the archive and verify its MD5 checksum, unless its files exist."""
        fetch(
            partial(self.dataset, train=False, download=True),
            *(type(self).__name__, self.root, list(self.sums)),
            f"the extracted files of {self.dataset.filename}",
        )

    def read(self, train: bool) -> tuple[Tensor, Tensor]:
        """Read the training or test images. The files are pickles, so MD5 checksums must match."""
        try:
            dataset = self.dataset(str(self.root), train=train)  # checks the files of both sets
        except FAILURES as e:
            wrong = (str(file) for file, sum_ in self.sums.items() if not _is(file, sum_))
            raise UserError(
                f"{next(wrong, self.root / self.dataset.base_folder)}: missing or damaged (wrong "
                "MD5 checksum). Delete it to download it again."
            ) from e
        images = torch.from_numpy(dataset.data).permute(0, 3, 1, 2).contiguous()  # (N, 3, 32, 32)
        return images, torch.tensor(dataset.targets)


class CIFAR100(CIFAR10):
    """CIFAR-100: 50,000 training and 10,000 test photographs, color, 32x32, in a hundred classes.

    5,000 training images are used for validation. The training images have mean
    (0.5071, 0.4865, 0.4409) and standard deviation (0.2673, 0.2564, 0.2762).

    Reference:
        Krizhevsky. Learning multiple layers of features from tiny images. University of Toronto,
        2009.
    """

    dataset = datasets.CIFAR100
    classes = tuple(CIFAR100_CLASSES.replace("\n", " ").split(", "))
    mean = (0.5071, 0.4865, 0.4409)
    std = (0.2673, 0.2564, 0.2762)


def _is(file: Path, sum_: str) -> bool:
    try:
        return check_integrity(file, sum_)
    except OSError:  # it cannot be opened
        return False
