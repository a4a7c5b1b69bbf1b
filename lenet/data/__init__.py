"""Data modules: what ``--data`` chooses, one family of data sets a file."""

from lenet.data.base import ImageDataModule
from lenet.data.digits import Digits
from lenet.data.mnist import MNIST

__all__ = ["MNIST", "Digits", "ImageDataModule"]
