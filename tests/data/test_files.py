import numpy as np
import pytest
import torch
from PIL import Image

from lenet.data.images.files import ImageFiles, decode, is_color
from lenet.errors import UserError
from tests.small import write_image


def halves(width: int, height: int, mode: str = "L") -> Image.Image:
    """Left half black, right half white."""
    image = Image.new("L", (width, height), 0)
    image.paste(255, (width // 2, 0, width, height))
    return image.convert(mode)


def test_an_image_is_turned_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned right by a quarter
    halves(32, 32).save(tmp_path / "a.png", exif=exif)
    found = decode(str(tmp_path / "a.png"), 1, 32)
    # What was on the left is on top.
    assert found[0, :16].eq(0).all()
    assert found[0, 16:].eq(255).all()


def test_crop_keeps_the_middle_pad_keeps_all_and_stretch_distorts(tmp_path):
    image = Image.new("L", (64, 32), 0)
    image.paste(200, (16, 0, 48, 32))  # the middle square
    image.save(tmp_path / "a.png")
    crop, pad, stretch = (
        decode(str(tmp_path / "a.png"), 1, 32, framing)[0] for framing in ("crop", "pad", "stretch")
    )
    assert crop.eq(200).all()
    assert pad[:8].eq(0).all()
    assert pad[24:].eq(0).all()
    assert pad[16, 16] == 200
    assert stretch[:, 10:22].eq(200).all()
    assert stretch[:, :7].eq(0).all()


def test_gray_becomes_three_equal_channels_and_color_becomes_its_luma(tmp_path):
    write_image(tmp_path / "gray.png", 90)
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "red.png")
    gray = decode(str(tmp_path / "gray.png"), 3, 32)
    assert gray[0].equal(gray[1])
    assert gray[0].equal(gray[2])
    assert decode(str(tmp_path / "red.png"), 1, 32).unique().tolist() == [76]  # 0.299 * 255


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_becomes_white(tmp_path, mode):
    image = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 16, 32))
    image.convert(mode).save(tmp_path / "a.png", **({"transparency": 0} if mode == "P" else {}))
    found = decode(str(tmp_path / "a.png"), 1, 32)[0]
    assert 255 in found.unique().tolist()


def test_sixteen_bits_keep_their_upper_eight(tmp_path):
    values = (torch.arange(256) * 257).to(torch.uint16).view(16, 16).numpy()
    Image.fromarray(values).save(tmp_path / "a.png")
    assert decode(str(tmp_path / "a.png"), 1, 16).flatten().equal(torch.arange(256).byte())


@pytest.mark.parametrize(
    ("values", "bytes_"),
    [
        (np.array([[0, 200], [7, 255]], np.int32), [0, 200, 7, 255]),
        (np.array([[0, 200], [256, 65535]], np.int32), [0, 0, 1, 255]),
        (np.array([[0, 0.5], [0.25, 1]], np.float32), [0, 128, 64, 255]),
        (np.array([[0, 200.4], [7, 255]], np.float32), [0, 200, 7, 255]),
        (np.array([[0, 200], [256, 65535]], np.float32), [0, 0, 1, 255]),
    ],
)
def test_gray_of_32_bits_becomes_8(tmp_path, values, bytes_):
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert decode(str(tmp_path / "a.tif"), 1, 2).flatten().tolist() == bytes_


@pytest.mark.parametrize("value", [-1.0, 1e6, np.nan])
def test_gray_of_which_white_is_not_known_is_refused(tmp_path, value):
    Image.fromarray(np.array([[0, value]], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="save it with 8 or 16 bits"):
        decode(str(tmp_path / "a.tif"), 1, 2)


def test_color_is_told_from_the_header(tmp_path):
    for mode, color in (("1", 0), ("L", 0), ("LA", 0), ("RGB", 1), ("RGBA", 1), ("P", 1)):
        halves(8, 8, mode).save(tmp_path / "a.png")
        assert is_color(str(tmp_path / "a.png")) == bool(color)
    Image.new("I;16", (8, 8)).save(tmp_path / "a.png")
    assert not is_color(str(tmp_path / "a.png"))


def test_all_at_once_is_the_same_as_each_when_it_is_asked_for(tmp_path):
    for i in range(5):
        write_image(tmp_path / f"{i}.jpg", (50 * i, 90, 20), size=(300 + i, 200), seed=i)
    files = ImageFiles(str(tmp_path), [f"{i}.jpg" for i in range(5)], 3, 32)
    images, sums = files.scan(keep=True)
    streamed, same_sums = files.scan(keep=False)
    assert streamed is files
    assert isinstance(images, torch.Tensor)
    assert images.equal(files[torch.arange(5)])
    assert images[[3, 1]].equal(files[torch.tensor([3, 1])])
    assert sums.equal(same_sums)
    assert sums[0].equal(images.long().sum((2, 3)))
    assert sums[1].equal(images.long().square().sum((2, 3)))


@pytest.mark.parametrize("keep", [True, False])
def test_broken_images_are_counted_and_the_first_named(tmp_path, keep):
    names = [f"{i}.png" for i in range(8)]
    for name in names:
        write_image(tmp_path / name, 90)
    whole = (tmp_path / "1.png").read_bytes()
    for name, content in (("1", whole[: len(whole) // 2]), ("3", b""), ("4", b"hi"), ("6", b"x")):
        (tmp_path / f"{name}.png").write_bytes(content)
    (tmp_path / "7.png").unlink()
    with pytest.raises(UserError, match=r"5 of 8 images cannot be read: 1\.png") as caught:
        ImageFiles(str(tmp_path), names, 1, 32).scan(keep)
    assert "3.png (not an image), 4.png (not an image) and 2 more" in str(caught.value)
    assert "\n" not in str(caught.value)
