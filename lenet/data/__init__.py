"""Data modules, chosen with ``--data``. One file per family of data sets."""

from lenet.data.base import ImageDataModule
from lenet.data.sets.cifar import CIFAR10, CIFAR100
from lenet.data.sets.digits import Digits
from lenet.data.sets.emnist import EMNIST
from lenet.data.sets.folder import ImageFolder
from lenet.data.sets.mnist import KMNIST, MNIST, QMNIST, FashionMNIST
from lenet.data.sets.usps import USPS

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "QMNIST",
    "USPS",
    "Digits",
    "FashionMNIST",
    "ImageDataModule",
    "ImageFolder",
]
