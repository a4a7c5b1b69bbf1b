"""Example images for the page: a few drawings, and test images if they exist."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torchvision.transforms.functional import to_pil_image

from lenet.data import ImageDataModule
from lenet.errors import UserError

__all__ = ["CANVAS_SIZE", "PEN_WIDTH", "Example", "draw_digits", "first_test_images"]

CANVAS_SIZE = 280  # pixels: height and width
PEN_WIDTH = 22  # pixels: gives a digit that fills the canvas the stroke width of MNIST
# Lines through points "x,y" in a square from 0 to 100.
_STROKES = {
    "2": ["29,33 34,23 45,17 57,18 66,26 66,38 58,51 45,65 28,81 50,79 74,81"],
    "3": ["31,24 42,17 56,17 65,25 64,36 54,45 43,48 57,51 67,60 66,73 55,82 40,83 29,76"],
    "5": ["68,18 38,19 34,46 48,42 62,47 68,60 63,75 49,82 31,77"],
    "7": ["28,21 71,20 58,44 48,66 44,84", "36,53 65,51"],
}


@dataclass
class Example:
    """An example image.

    Args:
        name: Its description, shown as a tooltip.
        image: The image.
    """

    name: str
    image: Image.Image


def draw_digits() -> list[Example]:
    """Draw a few digits like a person, light on dark."""
    examples = []
    for digit, strokes in _STROKES.items():
        image = Image.new("L", (CANVAS_SIZE, CANVAS_SIZE))
        pen = ImageDraw.Draw(image)
        for stroke in strokes:
            pairs = (point.split(",") for point in stroke.split())
            points = [(int(x) * CANVAS_SIZE / 100, int(y) * CANVAS_SIZE / 100) for x, y in pairs]
            pen.line(points, fill=255, width=PEN_WIDTH)
            for x, y in points:  # round joints and ends
                pen.circle((x, y), PEN_WIDTH / 2, fill=255)
        examples.append(Example(f"{digit}, drawn", image))
    return examples


def first_test_images(data: ImageDataModule, count: int) -> list[Example]:
    """Return the first test image of each of ``count`` classes, or none without data."""
    try:
        data.setup("test")  # without prepare_data, which would download
    except (UserError, OSError, RuntimeError):
        return []
    images, labels = data.sets["test"].images, data.sets["test"].labels
    assert labels is not None
    indices = np.unique(labels.numpy(), return_index=True)[1]  # the first of each class
    indices = sorted(np.sort(indices)[:count].tolist(), key=lambda index: int(labels[index]))
    return [
        Example(
            f"test image {index}: {data.classes[int(labels[index])]}",
            to_pil_image(images[torch.tensor([index])][0]),
        )
        for index in indices
    ]
