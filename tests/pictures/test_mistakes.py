import numpy as np
import torch
from PIL import Image

from lenet.pictures import mistakes
from lenet.pictures.mistakes import draw_mistakes

IMAGES = torch.arange(4, dtype=torch.uint8).mul(80).view(4, 1, 1, 1).expand(4, 1, 8, 8)


def test_each_image_has_its_truth_prediction_and_confidence(tmp_path, monkeypatch):
    figures, draw = [], mistakes.draw
    monkeypatch.setattr(
        mistakes, "draw", lambda *args: draw(*args[:2], lambda f: (args[2](f), figures.append(f)))
    )
    worst = [(1.0, 3, 0, 1), (0.81, 2, 1, 0)]
    path = draw_mistakes(tmp_path / "m.png", IMAGES, worst, ["yes", "no"], "title")
    assert path is not None
    first, second = figures[0].axes
    assert (first.get_title(), first.texts[0].get_text()) == ("is yes\n", "said no, 99.99%")
    assert (second.get_title(), second.texts[0].get_text()) == ("is no\n", "said yes, 81.0%")
    assert first.get_xlabel() == "no. 3"
    assert np.unique(first.get_images()[0].get_array() * 255).round().tolist() == [240]
    with Image.open(path) as image:
        assert image.format == "PNG"


def test_without_a_mistake_there_is_no_picture(tmp_path):
    assert draw_mistakes(tmp_path / "m.png", IMAGES, [], ["yes", "no"], "title") is None
    assert not list(tmp_path.iterdir())
