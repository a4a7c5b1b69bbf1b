"""Train, evaluate, explain and ship small image classifiers.

``from lenet import LeNet, MNIST, load`` imports only what is named: a name is looked up when it is
first used, so that ``lenet --version`` does not wait for PyTorch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lenet.commands import Trainer
    from lenet.data import (
        CIFAR10,
        CIFAR100,
        EMNIST,
        KMNIST,
        MNIST,
        QMNIST,
        USPS,
        Digits,
        FashionMNIST,
        ImageDataModule,
        ImageFolder,
    )
    from lenet.models import MLP, ConvNet, ImageClassifier, LeNet, LeNet5, TorchvisionModel
    from lenet.training import load

__version__ = "0.1.0"

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MLP",
    "MNIST",
    "QMNIST",
    "USPS",
    "ConvNet",
    "Digits",
    "FashionMNIST",
    "ImageClassifier",
    "ImageDataModule",
    "ImageFolder",
    "LeNet",
    "LeNet5",
    "TorchvisionModel",
    "Trainer",
    "load",
]

# Where a public name comes from. All others are data sets.
_ROOMS = {
    "lenet.models": ("MLP", "ConvNet", "ImageClassifier", "LeNet", "LeNet5", "TorchvisionModel"),
    "lenet.training": ("load",),
    "lenet.commands": ("Trainer",),
    "lenet.data": __all__,
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in __all__:
        raise AttributeError(f"module 'lenet' has no attribute {name!r}")
    room = next(room for room, names in _ROOMS.items() if name in names)
    return getattr(importlib.import_module(room), name)


def __dir__() -> list[str]:
    """The public names, for ``dir(lenet)`` and completion."""
    return [*__all__, "__version__"]
