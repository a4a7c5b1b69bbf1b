"""What a network makes of one image: probabilities, and what every layer made of it before."""

import threading
from dataclasses import dataclass
from typing import cast

from PIL import Image
from torch import Tensor

from lenet.data import ImageDataModule
from lenet.models import ImageClassifier
from lenet.pictures.features import Stage, some, stages

__all__ = ["Answer", "Reader"]


@dataclass
class Answer:
    """What came of an image.

    Args:
        probabilities: Of the classes, ``(K,)``, in [0, 1].
        seen: The image as the network saw it, ``(C, H, W)`` in 0..255, before it was normalised.
        layers: What some of the layers made of it, in their order, without the output.
    """

    probabilities: Tensor
    seen: Tensor
    layers: list[Stage]


class Reader:
    """Reads images with a trained model, prepared as ``predict`` prepares images of one's own.

    Args:
        model: The model. It stays where it is, and is put into evaluation mode.
        data: What it was trained on, which knows how an image is prepared.
    """

    def __init__(self, model: ImageClassifier, data: ImageDataModule):
        self.model, self.data = model.eval(), data
        self._lock = threading.Lock()  # the layers are looked into by hooks, which all calls meet

    def read(self, image: Image.Image) -> Answer:
        """Read an image of any size and mode.

        Raises:
            UserError: If nothing is drawn in it, where that is looked for.
        """
        images = self.data.to_size(self.data.prepare_image(image).unsqueeze(0))
        normal = self.data.normalize(images, self.model.input_range)
        with self._lock:
            layers, logits = stages(self.model, self.model.network, normal)
        if layers and layers[-1].shape == logits.shape:
            layers.pop()  # the output, which is what the probabilities are of
        return Answer(cast(Tensor, logits).softmax(dim=0), images[0].clamp(0, 255), some(layers))
