"""Models, chosen with ``--model``. One file per architecture."""

from lenet.models.base import ImageClassifier
from lenet.models.convnet import ConvNet
from lenet.models.lenet import LeNet
from lenet.models.lenet5 import LeNet5
from lenet.models.mlp import MLP
from lenet.models.torchvision import TorchvisionModel

__all__ = ["MLP", "ConvNet", "ImageClassifier", "LeNet", "LeNet5", "TorchvisionModel"]
