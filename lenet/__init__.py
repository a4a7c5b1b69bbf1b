"""Train, evaluate, explain and ship small image classifiers.

``from lenet import LeNet, MNIST, load`` imports only what is named: a name is looked up when it is
first used, so that ``lenet --version`` does not wait for PyTorch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lenet.checkpoints import load
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
    from lenet.trainer import Trainer

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


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in __all__:
        raise AttributeError(f"module 'lenet' has no attribute {name!r}")
    if name == "load":
        from lenet.checkpoints import load

        return load
    from lenet import data, models, trainer

    return next(getattr(room, name) for room in (models, data, trainer) if hasattr(room, name))


def __dir__() -> list[str]:
    """The public names, for ``dir(lenet)`` and completion."""
    return [*__all__, "__version__"]
