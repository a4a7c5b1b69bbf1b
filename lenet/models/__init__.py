"""Models: what ``--model`` chooses, one architecture a file."""

from lenet.models.base import ImageClassifier
from lenet.models.lenet import LeNet

__all__ = ["ImageClassifier", "LeNet"]
