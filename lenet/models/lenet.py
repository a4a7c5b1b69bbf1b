"""LeNet as it is taught today. For the network exactly as published in 1998, see ``lenet5``."""

from collections import OrderedDict
from typing import Literal

import torch
from torch import nn

from lenet.errors import UserError
from lenet.models.base import ImageClassifier

__all__ = ["ACTIVATIONS", "POOLINGS", "Activation", "LeNet", "Pooling"]

Activation = Literal["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "tanh", "sigmoid"]
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
Pooling = Literal["max", "avg"]
POOLINGS: dict[str, type[nn.Module]] = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}


class LeNet(ImageClassifier):
    """LeNet as it is taught today: 61,706 parameters for one channel and ten classes.

    Takes images ``(N, C, 32, 32)`` and returns logits ``(N, num_classes)``. The layers and their
    names are those of LeNet-5. It departs from the paper as textbooks do: every map of C3 is
    connected to every map of S2, pooling has no parameters, the activation is ReLU instead of a
    scaled tanh, and the output layer is linear.

    Reference:
        LeCun, Bottou, Bengio and Haffner. Gradient-based learning applied to document
        recognition. Proceedings of the IEEE 86(11), 1998.

    Args:
        activation: Activation function after every layer with weights except the last.
        pooling: Whether 2x2 pixels become their maximum or their average.
        **kwargs: Passed on to :class:`ImageClassifier`.

    Raises:
        UserError: If the images are smaller than 16x16.
    """

    memory_format = torch.channels_last

    def __init__(
        self,
        activation: Activation = "relu",
        pooling: Pooling = "max",
        **kwargs,
    ):
        super().__init__(**kwargs)
        act = ACTIVATIONS[activation]
        pool = POOLINGS[pooling]
        size = ((self.image_size - 4) // 2 - 4) // 2  # side of S4's maps: 5 for 32x32
        if size < 1:
            raise UserError(
                f"{self.image_size}x{self.image_size} images are too small for LeNet. Set "
                "--data.image_size 16 or more."
            )
        self.network = nn.Sequential(
            OrderedDict(
                c1=nn.Conv2d(self.in_channels, 6, kernel_size=5),  # (N, 6, 28, 28)
                act1=act(),
                s2=pool(kernel_size=2),  # (N, 6, 14, 14)
                c3=nn.Conv2d(6, 16, kernel_size=5),  # (N, 16, 10, 10)
                act3=act(),
                s4=pool(kernel_size=2),  # (N, 16, 5, 5)
                flatten=nn.Flatten(),  # (N, 400)
                c5=nn.Linear(16 * size * size, 120),
                act5=act(),
                f6=nn.Linear(120, 84),
                act6=act(),
                output=nn.Linear(84, self.num_classes),
            )
        )
