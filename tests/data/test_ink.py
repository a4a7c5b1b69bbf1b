"""Ink is found in any format and mode, and a blank sheet is refused."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lenet.data.images.handwriting import Handwriting
from lenet.errors import UserError
from tests.drawing import PAPERS, blank

# Mean difference, in [0, 1]. A 7 that is moved by one pixel differs by 0.05, by two by 0.1; by half
# a pixel it may be moved, since a centre of mass is rounded.
ALIKE = 0.055
MNISTS = Handwriting(size=28, box=20)


def seven(size: int = 200, paper: int = 255, ink: int = 20) -> Image.Image:
    image = Image.new("L", (size, size), paper)
    lines = [(0.3, 0.2), (0.7, 0.2), (0.45, 0.8)]
    points = [(x * size, y * size) for x, y in lines]
    ImageDraw.Draw(image).line(points, fill=ink, width=round(0.08 * size), joint="curve")
    return image


def alpha_of(image: Image.Image, color: str) -> Image.Image:
    """The same as ink on nothing, of one color."""
    drawn = Image.new("RGBA", image.size, color)
    drawn.putalpha(image.point(lambda value: 255 - value))
    return drawn


def sixteen(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image).astype(np.uint16) * 128)


def floating(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float32) / 1000 - 3
    values[0, 0] = np.nan
    return Image.fromarray(values)


def on_color(paper: str, ink: str) -> Image.Image:
    image = Image.new("RGB", (200, 200), paper)
    image.paste(Image.new("RGB", (200, 200), ink), mask=seven(ink=0).point(lambda v: 255 - v))
    return image


SAME = {
    "gray": seven(),
    "light on dark": seven(paper=30, ink=220),
    "faint": seven(paper=120, ink=90),
    "RGB": seven().convert("RGB"),
    "CMYK": seven().convert("CMYK"),
    "YCbCr": seven().convert("YCbCr"),
    "HSV": seven().convert("RGB").convert("HSV"),
    "LAB": Image.merge("LAB", [seven(), *2 * [Image.new("L", (200, 200), 128)]]),
    "palette": seven().convert("P"),
    "one bit": seven(ink=0).convert("1"),
    "16 bits": sixteen(seven()),
    "32 bits": Image.fromarray(np.asarray(seven()).astype(np.int32) * 1000 - 40000),
    "floating point": floating(seven()),
    "black on nothing": alpha_of(seven(), "black"),
    "white on nothing": alpha_of(seven(), "white"),
    "transparent palette": alpha_of(seven(), "black").quantize(8),
    "gray with alpha": alpha_of(seven(), "black").convert("LA"),
    "yellow on white": on_color("white", "yellow"),
    "red on green": on_color("#009000", "#d00000"),
    "small": seven(40),
    "large": seven(3000),
}


@pytest.mark.parametrize("kind", SAME)
def test_a_digit_is_the_same_whatever_it_is_drawn_in(kind):
    usual, found = (MNISTS.prepare(image).float() / 255 for image in (seven(), SAME[kind]))
    assert found.shape == (1, 28, 28)
    assert (usual - found).abs().mean() < ALIKE


def test_a_shifted_digit_is_put_back_and_a_turned_one_is_not():
    image = Image.new("L", (500, 300), 255)
    image.paste(seven(100), (350, 20))
    usual = MNISTS.prepare(seven()).float() / 255
    assert (MNISTS.prepare(image).float() / 255 - usual).abs().mean() < ALIKE
    turned = MNISTS.prepare(seven().rotate(180)).float() / 255
    assert (turned - usual).abs().mean() > 0.1


@pytest.mark.parametrize("size", [200, 2000])
@pytest.mark.parametrize("turned", range(1, 9))
def test_an_image_is_turned_as_its_camera_says(tmp_path, turned, size):
    exif = Image.Exif()
    exif[0x0112] = turned
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = seven(size)
    image = image.transpose(undo[turned]) if turned in undo else image
    for name in ("a.jpg", "a.png", "a.tif"):
        image.save(tmp_path / name, exif=exif)
        with Image.open(tmp_path / name) as file:
            found = MNISTS.prepare(file).float() / 255
        assert (found - MNISTS.prepare(seven(size)).float() / 255).abs().mean() < ALIKE, name


@pytest.mark.parametrize("paper", PAPERS)
def test_a_blank_sheet_is_refused_whatever_it_is_like(paper):
    for seed in range(4):
        with pytest.raises(UserError, match="nothing is drawn in it"):
            MNISTS.prepare(blank(paper, np.random.default_rng(seed)))


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "LA", "P", "I;16", "I", "F"])
@pytest.mark.parametrize("size", [(1, 1), (3, 90), (200, 200)])
def test_an_image_of_one_color_is_refused_in_any_mode(mode, size):
    with pytest.raises(UserError, match="nothing is drawn in it"):
        MNISTS.prepare(Image.new(mode, size))


def test_numbers_that_are_none_are_refused():
    with pytest.raises(UserError, match="nothing is drawn in it"):
        MNISTS.prepare(Image.fromarray(np.full((50, 50), np.nan, dtype=np.float32)))


def test_specks_do_not_grow_the_box_and_a_detached_stroke_does():
    image = seven()
    pen = ImageDraw.Draw(image)
    for place in ((4, 4), (195, 190), (20, 180)):
        pen.ellipse((*place, place[0] + 2, place[1] + 2), fill=0)
    usual = MNISTS.prepare(seven()).float() / 255
    assert (MNISTS.prepare(image).float() / 255 - usual).abs().mean() < ALIKE
    pen.line([(60, 185), (140, 185)], fill=20, width=16)
    assert (MNISTS.prepare(image).float() / 255 - usual).abs().mean() > 0.06
