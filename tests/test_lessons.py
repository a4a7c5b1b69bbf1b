"""The figures that the tutorial has beside those of a run."""

from functools import partial

import pytest
import torch
from PIL import Image

from docs import lessons
from lenet import LeNet, LeNet5


@pytest.mark.mnist
def test_the_figures_of_the_tutorial_can_be_drawn(real_mnist, tmp_path, monkeypatch):
    torch.manual_seed(0)
    models = {"LeNet": LeNet(), "LeNet5": LeNet5()}
    monkeypatch.setattr(lessons, "load", models.__getitem__)
    for draw in (
        partial(lessons.draw_patch, "LeNet"),
        partial(lessons.draw_convolution, "LeNet"),
        lessons.draw_distortions,
        partial(lessons.draw_codes, "LeNet5"),
    ):
        draw(tmp_path / "made.png")
        with Image.open(tmp_path / "made.png") as image:
            assert image.width > 600
        (tmp_path / "made.png").unlink()
