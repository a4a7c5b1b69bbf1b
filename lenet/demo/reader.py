"""The prediction for one image: probabilities, and the outputs of the layers."""

import threading
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from lenet.data import ImageDataModule
from lenet.models import ImageClassifier
from lenet.pictures.features import LayerOutput, evenly_spaced, layer_outputs

__all__ = ["Answer", "Reader"]


@dataclass
class Answer:
    """The prediction for an image.

    Args:
        probabilities: Probabilities of the classes, ``(K,)``, in [0, 1].
        seen: The image as the network saw it, ``(C, H, W)`` in 0..255, before it was normalized.
        layers: Outputs of the layers except the last.
    """

    probabilities: Tensor
    seen: Tensor
    layers: list[LayerOutput]


class Reader:
    """Predicts images with a trained model, prepared as ``predict`` prepares your images.

    Args:
        model: The model. It is set to evaluation mode.
        data: The data module that the model was trained on. It prepares the images.
    """

    def __init__(self, model: ImageClassifier, data: ImageDataModule):
        self.model = model.eval()
        self.data = data
        self._lock = threading.Lock()  # concurrent calls would record each other's layers

    def read(self, image: Image.Image) -> Answer:
        """Predict an image of any size and mode.

        Raises:
            UserError: If the data set is handwriting and the image is empty.
        """
        images = self.data.to_size(self.data.prepare_image(image).unsqueeze(0))
        normal = self.data.normalize(images, self.model.input_range)
        with self._lock:
            layers, logits = layer_outputs(self.model, self.model.network, normal)
        return Answer(logits.softmax(dim=0), images[0].clamp(0, 255), evenly_spaced(layers))
