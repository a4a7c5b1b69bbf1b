"""What a character is brought to: the box, the middle, the width of its strokes."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import lenet
from lenet.data.images.handwriting import Handwriting
from tests.small import DATA


def bar(width: int, height: int, size: int = 400) -> Image.Image:
    image = Image.new("L", (size, size), 255)
    left, top = (size - width) // 2, (size - height) // 2
    ImageDraw.Draw(image).rectangle((left, top, left + width - 1, top + height - 1), fill=0)
    return image


def box(image: torch.Tensor) -> tuple[int, int, int, int]:
    rows, columns = (image[0] > 60).any(1).nonzero(), (image[0] > 60).any(0).nonzero()
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def test_the_longer_side_fills_the_box_and_the_aspect_is_kept():
    image = Image.new("L", (500, 500), 255)
    ImageDraw.Draw(image).ellipse((100, 150, 400, 300), outline=0, width=20)
    top, bottom, left, right = box(Handwriting(28, 20).prepare(image))
    assert right - left == 20
    assert bottom - top in (10, 11)


def test_the_centre_of_mass_is_in_the_middle_as_mnists_is():
    image = Image.new("L", (300, 300), 255)
    pen = ImageDraw.Draw(image)
    pen.rectangle((100, 50, 120, 250), fill=0)  # an L: most of it is on the left and below
    pen.rectangle((100, 225, 220, 250), fill=0)
    found = Handwriting(28, 20).prepare(image)[0].double()
    for axis in (0, 1):
        mass = found.sum(1 - axis)
        assert abs(float(mass @ torch.arange(28.0).double() / mass.sum()) - 14) <= 0.5
    by_box = box(Handwriting(28, 20, by_mass=False).prepare(image))
    assert by_box[:2] == (4, 24)


def stroke_of(image: torch.Tensor) -> float:
    """The width of a bar, by its ink over its height."""
    top, bottom, _, _ = box(image)
    return float(image[0, top + 3 : bottom - 3].float().sum(1).mean() / 255)


def test_a_hair_and_a_beam_become_strokes_as_of_mnist():
    widths = [stroke_of(Handwriting(28, 20).prepare(bar(w, 300))) for w in (3, 30, 45, 100)]
    assert 1.5 < widths[0] < 3
    assert widths[1] == pytest.approx(20 / 10, abs=0.4)  # as it is
    assert widths[2] == pytest.approx(20 / 6.7, abs=0.5)
    assert 3 < widths[3] < 5


def test_edges_are_gray_and_strokes_are_white():
    image = Image.new("L", (333, 333), 240)
    ImageDraw.Draw(image).ellipse((40, 40, 290, 290), outline=90, width=30)
    found = Handwriting(28, 20).prepare(image)
    assert found.max() == 255
    assert found[0, 0, 0] == 0
    assert ((found > 40) & (found < 215)).sum() > 20


@pytest.mark.parametrize("name", [name for name in DATA if name != "ImageFolder"])
def test_an_image_of_ones_own_has_the_size_of_the_data_sets(name):
    data = getattr(lenet, name)()
    image = Image.new("RGB", (90, 60), "white")
    ImageDraw.Draw(image).line([(30, 10), (60, 50)], fill="navy", width=6)
    found = data.prepare_image(image)
    assert found.dtype == torch.uint8
    assert found.shape == (data.in_channels, data.native_size, data.native_size)
    prepared = name not in ("FashionMNIST", "CIFAR10", "CIFAR100")
    assert (found[0, 0, 0] == 0) == prepared
    raw = getattr(lenet, name)(raw=True).prepare_image(image)
    assert raw.shape == found.shape
    assert (raw[:, 0, 0] == 255).all()


@pytest.mark.mnist
def test_mnists_own_images_stay_as_they_are(real_mnist):
    data = lenet.MNIST()
    images = data.read(train=False)[0][:200]
    found = torch.stack([data.prepare_image(Image.fromarray(i[0].numpy())) for i in images])
    away = (found.float() - images.float()).abs().mean((1, 2, 3))
    assert float(away.median()) < 5  # of 255; a digit shifted by a pixel differs by 22
    large = [
        Image.fromarray(255 - np.kron(i[0].numpy(), np.ones((9, 9), np.uint8))) for i in images
    ]
    found = torch.stack([data.prepare_image(image) for image in large])
    assert float((found.float() - images.float()).abs().mean((1, 2, 3)).median()) < 8
