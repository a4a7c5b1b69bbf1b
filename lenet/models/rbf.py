"""The output of LeNet-5: distances to ten drawings of digits, and the loss that goes with them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["BITMAPS", "RBF", "map_loss"]

# Ten digits of 7x12 pixels, after Figure 3 of the paper. They are part of an alphabet, in which
# what looks alike (0 and O, 2 and Z, 5 and S) is told apart by the bars.
DRAWINGS = """
.#####. ...##.. .#####. ####### .#####. .#####. ..####. ####### .#####. .#####.
....... ..###.. ....... .....## ....... ....... .##.... .....## ##...## ##..###
..###.. .####.. .#####. ....##. ....... ####### ##..... .....## ##...## ##...##
.##.##. ...##.. ##...## ...##.. .##..## ##..... ##..... ....##. ##...## ##...##
##...## ...##.. #....## ..####. .##..## ##..... ######. ...##.. .#####. ##..###
##...## ...##.. ....##. .....## ###..## .####.. ###..## ...##.. ##...## .######
##...## ...##.. ..###.. .....## ##...## ..####. ##...## ..##... ##...## .....##
##...## ...##.. .##.... .....## ##...## .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ##..### ##...## ###..## ..##... ##...## ....##.
..###.. .###### ####### .#####. .###### .#####. .#####. ..##... .#####. .####..
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
"""
_ROWS = [line.split() for line in DRAWINGS.split("\n") if line]
BITMAPS = torch.tensor(  # (10, 84): ink is +1, paper is -1
    [
        [1.0 if pixel == "#" else -1.0 for row in _ROWS for pixel in row[digit]]
        for digit in range(10)
    ]
)

# The constant j of equation 9, of which the paper only says that it is positive.
J = 0.1


class RBF(nn.Module):
    """Euclidean radial basis functions around fixed codes.

    Takes ``(N, 84)`` and gives logits ``(N, num_classes)``: the squared distances to the codes,
    negated, so that as in any other network the largest is the answer. In the paper's terms a unit
    is the negative logarithm of a Gaussian's density, so a softmax of these is its posterior.

    Args:
        num_classes: How many of the ten codes there are, in order.
    """

    codes: Tensor

    def __init__(self, num_classes: int):
        super().__init__()
        self.register_buffer("codes", BITMAPS[:num_classes].clone())

    def forward(self, features: Tensor) -> Tensor:
        """Map features ``(N, 84)`` to negated squared distances ``(N, num_classes)``."""
        return -(features.unsqueeze(1) - self.codes).square().sum(dim=2)


def map_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Give the paper's maximum a posteriori loss, equation 9, averaged over a batch.

    With distances ``y`` and the right class ``d`` it is ``y_d + log(exp(-j) + sum_i exp(-y_i))``.
    That is cross-entropy with one more class, for rubbish, whose distance is always ``j``: classes
    that are further away than it are not pushed much further.

    Args:
        logits: Negated squared distances ``(N, K)``.
        labels: Classes ``(N,)``.
    """
    return F.cross_entropy(F.pad(logits, (0, 1), value=-J), labels)
