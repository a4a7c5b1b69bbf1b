"""Data modules: what ``--data`` chooses, one family of data sets a file."""

from lenet.data.base import ImageDataModule
from lenet.data.cifar import CIFAR10, CIFAR100
from lenet.data.digits import Digits
from lenet.data.emnist import EMNIST
from lenet.data.folder import ImageFolder
from lenet.data.mnist import KMNIST, MNIST, QMNIST, FashionMNIST
from lenet.data.usps import USPS

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
