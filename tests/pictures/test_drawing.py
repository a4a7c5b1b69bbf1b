import warnings

import torch
from PIL import Image
from torch import nan, tensor

from lenet.pictures.drawing import draw, drawable_names, mosaic, shortened, to_rgb


def test_a_mosaic_has_its_images_in_rows_with_gaps_between():
    images = torch.arange(1.0, 4.0).view(3, 1, 1).expand(3, 1, 2)
    laid = mosaic(images, columns=2, gap=1)
    expected = tensor([[1, 1, nan, 2, 2], [nan] * 5, [3, 3, nan, nan, nan]])
    torch.testing.assert_close(laid, expected, equal_nan=True)
    assert mosaic(images, columns=3, gap=0).tolist() == [[1, 1, 2, 2, 3, 3]]


def test_a_mosaic_of_colors_keeps_their_channels():
    images = torch.rand(3, 4, 5, 3)
    laid = mosaic(images, columns=2, gap=2, fill=1.0)
    assert laid.shape == (10, 12, 3)
    assert laid[6:10, :5].equal(images[2])


def test_images_of_any_channels_are_shown_as_colors():
    gray = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2)
    assert to_rgb(gray).tolist() == [[[[0, 0, 0], [1, 1, 1]]]]
    assert to_rgb(torch.zeros(2, 3, 4, 5, dtype=torch.uint8)).shape == (2, 4, 5, 3)
    assert to_rgb(torch.zeros(2, 4, 4, 5, dtype=torch.uint8)).shape == (2, 4, 5, 3)


def test_a_name_that_no_font_has_is_its_number(monkeypatch):
    monkeypatch.setattr("lenet.pictures.drawing._drawable", lambda: frozenset(map(ord, "a é$")))
    assert drawable_names(["a é", "雪", "$a$", " "]) == ["a é", "class 1", "$a$", "class 3"]


def test_a_long_name_is_cut():
    assert shortened("sweet pepper", 12) == "sweet pepper"
    assert shortened("sweet peppers", 7) == "sweet…"


def test_what_is_drawn_never_warns_of_a_missing_character(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(tmp_path / "a.png", (2, 2), lambda figure: figure.suptitle("\U0001f9ff $雪$"))
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
