"""The multi-layer perceptron, a network without convolutions."""

from torch import nn

from lenet.errors import UserError
from lenet.models.base import ImageClassifier
from lenet.models.lenet import ACTIVATIONS, Activation

__all__ = ["MLP", "perceptron"]


class MLP(ImageClassifier):
    """A multi-layer perceptron: every unit is connected to all units of the previous layer.

    Takes images ``(N, C, H, W)``, flattens them to ``C * H * W`` values and returns logits
    ``(N, num_classes)``. Unless ``--data.image_size`` is given, images keep their published size:
    on MNIST the network is 784 > 128 > 256 > 10, with 136,074 parameters.

    Args:
        hidden_sizes: Number of units in each hidden layer, in order. By default 128 and 256. An
            empty list makes a linear classifier.
        activation: Activation function after every layer with weights except the last.
        dropout: Dropout probability after each hidden layer, in [0, 1).
        **kwargs: Passed on to :class:`ImageClassifier`.

    Raises:
        UserError: If a number is out of range.
    """

    usual_image_size = None

    def __init__(
        self,
        hidden_sizes: list[int] | int | None = None,
        activation: Activation = "relu",
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        pixels = self.in_channels * self.image_size**2
        self.network = nn.Sequential(
            nn.Flatten(),  # (N, C * H * W)
            *perceptron(
                pixels, hidden_sizes, self.num_classes, activation, dropout, default=[128, 256]
            ),
        )


def perceptron(
    in_features: int,
    hidden_sizes: list[int] | int | None,
    num_classes: int,
    activation: Activation,
    dropout: float,
    default: list[int],
) -> list[nn.Module]:
    """Build the fully connected layers ``[fc > act > dropout] * K > fc``.

    Args:
        in_features: Number of inputs.
        hidden_sizes: Number of units in each hidden layer. A number means one hidden layer.
        num_classes: Number of outputs.
        activation: Activation function after each hidden layer.
        dropout: Dropout probability after each hidden layer, in [0, 1).
        default: Hidden sizes to use if ``hidden_sizes`` is None.

    Raises:
        UserError: If a number is out of range.
    """
    if not 0 <= dropout < 1:
        raise UserError(f"--model.dropout {dropout}: must be at least 0 and less than 1.")
    sizes = [hidden_sizes] if isinstance(hidden_sizes, int) else hidden_sizes
    sizes = default if sizes is None else sizes
    if any(size < 1 for size in sizes):
        raise UserError(f"--model.hidden_sizes {hidden_sizes}: each must be at least 1.")
    layers: list[nn.Module] = []
    for size in sizes:
        layers += [nn.Linear(in_features, size), ACTIVATIONS[activation]()]
        layers += [nn.Dropout(dropout)] if dropout else []
        in_features = size
    return [*layers, nn.Linear(in_features, num_classes)]
