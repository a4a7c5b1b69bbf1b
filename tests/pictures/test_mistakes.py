import numpy as np
import torch
from PIL import Image

from lenet.pictures import mistakes
from lenet.pictures.mistakes import draw_mistakes
from lenet.pictures.tally import Mistake

IMAGES = torch.arange(4, dtype=torch.uint8).mul(80).view(4, 1, 1, 1).expand(4, 1, 8, 8)


def test_each_image_has_its_truth_prediction_and_confidence(tmp_path, monkeypatch):
    drawn, draw_sheet = [], mistakes.draw_sheet

    def record(path, tiles, *args, **kwargs):
        drawn.extend(tiles)
        return draw_sheet(path, tiles, *args, **kwargs)

    monkeypatch.setattr(mistakes, "draw_sheet", record)
    worst = [Mistake(1.0, 3, 0, 1), Mistake(0.81, 2, 1, 0)]
    path = draw_mistakes(tmp_path / "m.png", IMAGES, worst, ["yes", "no"], "title")
    assert path is not None
    first, second = drawn
    assert (first.title, first.mistake) == ("is yes", "predicted no, 99.99%")
    assert (second.title, second.mistake) == ("is no", "predicted yes, 81.0%")
    assert first.caption == "no. 3"
    assert np.unique(first.image).tolist() == [240]
    with Image.open(path) as image:
        assert image.format == "PNG"


def test_without_a_mistake_there_is_no_picture(tmp_path):
    assert draw_mistakes(tmp_path / "m.png", IMAGES, [], ["yes", "no"], "title") is None
    assert not list(tmp_path.iterdir())
