import numpy as np
import pytest
import torch
from PIL import Image

from lenet.pictures import sheet
from lenet.pictures.sheet import Tile, draw_sheet

SHADES = [0, 100, 200]


def tiles(count: int, **kwargs) -> list[Tile]:
    return [
        Tile(torch.full((1, 8, 8), SHADES[i % 3], dtype=torch.uint8), str(i), **kwargs)
        for i in range(count)
    ]


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.fixture
def figures(monkeypatch) -> list:
    """The figures that are drawn."""
    drawn, draw = [], sheet.draw
    monkeypatch.setattr(
        sheet, "draw", lambda *args: draw(*args[:2], lambda f: (args[2](f), drawn.append(f)))
    )
    return drawn


def test_pictures_are_in_rows_in_their_order(tmp_path, figures):
    assert draw_sheet(tmp_path / "s.png", tiles(5), columns=3, side=1.0) == tmp_path / "s.png"
    [axes] = figures[0].axes
    places = [image.get_extent() for image in axes.get_images()]
    lefts, bottoms = [p[0] for p in places], [p[2] for p in places]
    assert lefts[:2] == lefts[3:]
    assert lefts[:3] == sorted(set(lefts))
    assert len(set(bottoms[:3])) == len(set(bottoms[3:])) == 1
    assert bottoms[3] < bottoms[0]
    shades = [int(image.get_array().max() * 255 + 0.5) for image in axes.get_images()]
    assert shades == [0, 100, 200, 0, 100]
    assert [text.get_text() for text in axes.texts] == list("01234")


def test_a_picture_keeps_its_pixels(tmp_path):
    image = torch.zeros(1, 2, 2, dtype=torch.uint8)
    image[0, 0, 0] = 200
    draw_sheet(tmp_path / "s.png", [Tile(image, "")], columns=1, side=1.0)
    found = pixels(tmp_path / "s.png")
    # 60x60 of the one pixel, 120x120 less that of the others.
    assert (found == 200).all(axis=-1).sum() == pytest.approx(3600, rel=0.05)
    assert (found == 0).all(axis=-1).sum() == pytest.approx(3 * 3600, rel=0.05)


def test_a_large_photograph_is_made_smaller_without_losing_its_lines(tmp_path):
    stripes = torch.arange(1000).remainder(2).mul(200).byte().expand(3, 1000, 1000)
    draw_sheet(tmp_path / "s.png", [Tile(stripes, "")], columns=1, side=1.0)
    inner = pixels(tmp_path / "s.png")[-90:-40, 40:100]
    assert inner.min() > 60  # every second pixel alone would be black or bright
    assert inner.max() < 140


@pytest.mark.parametrize("framed", [False, True])
def test_a_framed_picture_is_red_all_around(tmp_path, framed):
    draw_sheet(tmp_path / "s.png", tiles(1, framed=framed), columns=5, side=1.0)
    red, green, _ = np.moveaxis(pixels(tmp_path / "s.png"), -1, 0)
    rows, columns = np.nonzero((red - green) > 100)
    assert bool(len(rows)) == framed
    if framed:
        assert rows.max() - rows.min() == pytest.approx(125, abs=3)
        assert columns.max() - columns.min() == pytest.approx(125, abs=3)


def test_groups_are_further_apart_than_their_pictures(tmp_path, figures):
    draw_sheet(tmp_path / "s.png", tiles(4), columns=4, side=1.0, group=2)
    lefts = [image.get_extent()[0] for image in figures[0].axes[0].get_images()]
    within, between, other = np.diff(lefts)
    assert within == pytest.approx(other)
    assert between > within


def test_a_sheet_is_cut_at_the_largest_picture_that_can_be_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(sheet, "MAX_PIXELS", 600)
    draw_sheet(tmp_path / "s.png", tiles(50), columns=2, side=1.0, heading="many")
    with Image.open(tmp_path / "s.png") as image:
        assert 300 < image.height <= 600


def test_without_pictures_there_is_no_sheet(tmp_path):
    assert draw_sheet(tmp_path / "s.png", [], columns=5, side=1.0) is None
    assert not list(tmp_path.iterdir())
