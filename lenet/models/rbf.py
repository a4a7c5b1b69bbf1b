"""The RBF output layer of LeNet-5 and its loss."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["BITMAPS", "RBF", "map_loss"]

# Ten digits of 7x12 pixels, after Figure 3 of the paper. They belong to a full alphabet, in which
# the bars distinguish look-alikes such as 0 and O, 2 and Z, 5 and S.
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

# The constant j of equation 9. The paper requires only that it is positive.
J = 0.1


class RBF(nn.Module):
    """Euclidean radial basis functions around fixed codes.

    Takes features ``(N, 84)`` and returns logits ``(N, num_classes)``: the negated squared
    distances to the codes, so that the largest logit is the prediction. In the paper a unit is the
    negative log-density of a Gaussian, so the softmax of these logits is its posterior.

    Args:
        num_classes: Number of codes to use: the first ones of the ten.
    """

    codes: Tensor

    def __init__(self, num_classes: int):
        super().__init__()
        self.register_buffer("codes", BITMAPS[:num_classes].clone())

    def forward(self, features: Tensor) -> Tensor:
        """Map features ``(N, 84)`` to negated squared distances ``(N, num_classes)``."""
        return -(features.unsqueeze(1) - self.codes).square().sum(dim=2)


def map_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the paper's maximum a posteriori loss (equation 9), averaged over a batch.

    For distances ``y`` and the true class ``d`` it is ``y_d + log(exp(-j) + sum_i exp(-y_i))``.
    This is cross-entropy with an additional rubbish class at the constant distance ``j``: wrong
    classes that are already further away than ``j`` are hardly pushed further.

    Args:
        logits: Negated squared distances ``(N, K)``.
        labels: Classes ``(N,)``.
    """
    return F.cross_entropy(F.pad(logits, (0, 1), value=-J), labels)
