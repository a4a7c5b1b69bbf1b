"""LeNet-5 exactly as in the paper of 1998, including the connection table of C3."""

from collections import OrderedDict
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lenet.errors import UserError
from lenet.models.base import ImageClassifier
from lenet.models.rbf import BITMAPS, RBF, map_loss

__all__ = ["TABLE", "LeNet5"]

# Table I of the paper: which maps of S2 (rows) each map of C3 (columns) is connected to.
_DRAWN = """
X . . . X X X . . X X X X . X X
X X . . . X X X . . X X X X . X
X X X . . . X X X . . X . X X X
. X X X . . X X X X . . X . X X
. . X X X . . X X X X . X X . X
. . . X X X . . X X X X . X X X
"""
_ROWS = [line.split() for line in _DRAWN.split("\n") if line]
TABLE = [[i for i in range(6) if _ROWS[i][column] == "X"] for column in range(16)]


class Squash(nn.Module):
    """The paper's squashing function, ``1.7159 tanh(2x / 3)``, which maps 1 to 1 and -1 to -1."""

    def forward(self, x: Tensor) -> Tensor:
        """Map every value into (-1.7159, 1.7159)."""
        return 1.7159 * torch.tanh(2 / 3 * x)


class Subsampling(nn.Module):
    """Sums of 2x2 pixels, scaled and shifted by one trained coefficient and bias per map.

    Args:
        channels: Number of maps.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))
        _draw(self, fan_in=4)

    def forward(self, maps: Tensor) -> Tensor:
        """Halve maps ``(N, C, H, W)`` in height and width."""
        sums = 4 * F.avg_pool2d(maps, 2)  # torch.onnx ignores divisor_override
        return sums * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


class TableConvolution(nn.Module):
    """A 5x5 convolution in which each output map is connected to selected input maps.

    Only the kernels in the table are parameters. The forward pass fills a full kernel tensor with
    them and zeros elsewhere, and runs a single convolution.

    Args:
        table: For each output map, the indices of its input maps.
        in_channels: Number of input maps.
    """

    outputs: Tensor
    inputs: Tensor

    def __init__(self, table: list[list[int]], in_channels: int):
        super().__init__()
        pairs = torch.tensor([(i, j) for i, inputs in enumerate(table) for j in inputs])
        self.register_buffer("outputs", pairs[:, 0], persistent=False)
        self.register_buffer("inputs", pairs[:, 1], persistent=False)
        self.bank = (len(table), in_channels, 5, 5)
        self.weight = nn.Parameter(torch.empty(len(pairs), 5, 5))
        self.bias = nn.Parameter(torch.empty(len(table)))
        with torch.no_grad():
            for i, inputs in enumerate(table):
                limit = 2.4 / (25 * len(inputs))
                self.weight[self.outputs == i] = torch.empty(len(inputs), 5, 5).uniform_(
                    -limit, limit
                )
                self.bias[i].uniform_(-limit, limit)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to ``(N, C', H - 4, W - 4)``."""
        kernels = self.weight.new_zeros(self.bank)
        kernels[self.outputs, self.inputs] = self.weight
        return F.conv2d(maps, kernels, self.bias)


class LeNet5(ImageClassifier):
    """LeNet-5 as published in 1998: 60,000 trained parameters, 340,908 connections.

    Takes images ``(N, 1, 32, 32)`` with values from -0.1 (paper) to 1.175 (ink) and returns logits
    ``(N, num_classes)``. C3 is connected to S2 as in Table I. S2 and S4 have one trained
    coefficient and bias per map. The activation is 1.7159 tanh(2x / 3). Initial weights are uniform
    within 2.4 / fan-in. The output compares with ten fixed 7x12 drawings of digits: logits are the
    negated squared distances to these codes. The loss is the paper's maximum a posteriori loss with
    j = 0.1, a constant that the paper does not specify. It is not cross-entropy and cannot be
    compared with the loss of other models.

    Departs from the paper in three places: the optimizer is any of PyTorch's; with fewer than ten
    classes, only the first codes are used; for color images, C1 has one input map per channel.

    Reference:
        LeCun, Bottou, Bengio and Haffner. Gradient-based learning applied to document
        recognition. Proceedings of the IEEE 86(11), 1998.

    Args:
        output: Last layer: rbf as in the paper, or linear with cross-entropy as is usual today.
        **kwargs: Passed on to :class:`ImageClassifier`.

    Raises:
        UserError: If the images are not 32x32, or the output is rbf and there are more than ten
            classes or label smoothing is used.
    """

    input_range = (-0.1, 1.175)

    def __init__(self, output: Literal["rbf", "linear"] = "rbf", **kwargs):
        super().__init__(**kwargs)
        if self.image_size != 32:
            raise UserError(
                f"{self.image_size}x{self.image_size} images do not fit LeNet5. Set "
                "--data.image_size 32, or use --model LeNet."
            )
        if output == "rbf" and self.num_classes > len(BITMAPS):
            raise UserError(
                f"--model.output rbf: supports up to {len(BITMAPS)} classes, not "
                f"{self.num_classes}. Use --model.output linear."
            )
        if output == "rbf" and self.label_smoothing:
            raise UserError(
                f"--model.label_smoothing {self.label_smoothing}: the loss of LeNet5 does not "
                "support label smoothing. Set it to 0, or use --model.output linear."
            )
        self.output = output
        last = RBF(self.num_classes) if output == "rbf" else nn.Linear(84, self.num_classes)
        self.network = nn.Sequential(
            OrderedDict(
                c1=nn.Conv2d(self.in_channels, 6, kernel_size=5),  # (N, 6, 28, 28)
                squash1=Squash(),
                s2=Subsampling(6),  # (N, 6, 14, 14)
                squash2=Squash(),
                c3=TableConvolution(TABLE, in_channels=6),  # (N, 16, 10, 10)
                squash3=Squash(),
                s4=Subsampling(16),  # (N, 16, 5, 5)
                squash4=Squash(),
                c5=nn.Conv2d(16, 120, kernel_size=5),  # (N, 120, 1, 1)
                squash5=Squash(),
                flatten=nn.Flatten(),  # (N, 120)
                f6=nn.Linear(120, 84),
                squash6=Squash(),
                output=last,
            )
        )
        for layer in self.network:
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                _draw(layer, fan_in=layer.weight[0].numel())

    def loss(self, logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Return the paper's loss for a batch, or cross-entropy if the output is linear."""
        if self.output == "rbf":
            return map_loss(logits, labels)
        return super().loss(logits, labels, label_smoothing)


def _draw(layer: nn.Module, fan_in: int) -> None:
    """Draw a layer's weights and biases uniformly within 2.4 / fan-in, as in the paper."""
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -2.4 / fan_in, 2.4 / fan_in)
