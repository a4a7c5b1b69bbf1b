"""Images out of anybody's folder: predicted, or left out with the reason, and nothing else."""

import csv
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageDraw

from lenet.data.images.files import MAX_NAMED, decode
from lenet.data.images.user_images import find_images, spreadsheet_safe
from tests.conftest import QUIET, SILENT
from tests.small import write_folder

CPU = ["--trainer.accelerator", "cpu", *SILENT]
RUN = Path("runs/LeNet-Digits-1")


def digit(mode: str = "L") -> Image.Image:
    """Draw a thin 1."""
    image = Image.new("L", (120, 90), 250)
    ImageDraw.Draw(image).line([(60, 15), (52, 75)], fill=30, width=7)
    return image.convert(mode)


def chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png(width: int, height: int, pixels: bytes = b"", depth: int = 8) -> bytes:
    """Write a PNG that claims any size."""
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def with_text(kind: bytes, content: bytes, count: int = 1) -> bytes:
    """Put chunks of text before the pixels of a PNG."""
    digit().save("plain.png")
    whole = Path("plain.png").read_bytes()
    Path("plain.png").unlink()
    place = whole.index(b"IDAT") - 4
    return whole[:place] + count * chunk(kind, content) + whole[place:]


def with_frames(count: int) -> bytes:
    """Write a GIF whose only image is shown so many times."""
    digit("P").save("one.gif")
    whole = Path("one.gif").read_bytes()
    Path("one.gif").unlink()
    start = whole.index(b",", 13 + 3 * (2 << (whole[10] & 7)))
    return whole[:start] + count * whole[start:-1] + b";"


def write_good(folder: Path) -> None:
    """Write the digit in every kind that is read."""
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        digit(mode).save(folder / f"{mode}.png")
    for mode in ("CMYK", "YCbCr"):
        digit(mode).save(folder / f"{mode}.jpg")
    for mode in ("F", "I", "CMYK"):
        digit(mode).save(folder / f"{mode}.tif")
    values = np.array(digit("F"))
    values[0, :2] = np.nan, np.inf
    Image.fromarray(values).save(folder / "nan.tif")
    exif = Image.Exif()
    exif[0x112] = 6
    digit().rotate(90, expand=True).save(folder / "turned.jpg", exif=exif)
    digit().save(folder / "bad exif.jpg", exif=b"Exif\0\0MM\0*" + 40 * b"\xff")
    for ending in ("png", "webp", "tif"):
        frames = [digit("RGB"), digit("RGB")]
        frames[0].save(folder / f"animated.{ending}", save_all=True, append_images=frames)
    (folder / "frames.gif").write_bytes(with_frames(100_000))


def bad() -> dict[str, tuple[bytes, str | None]]:
    """Give images that cannot be predicted, each with the reason, or None where Pillow words it."""
    whole, large = with_text(b"tEXt", b"a\0b"), zlib.compress(bytes(100 << 20), 9)
    sizes = [(256, 10**9), (257, 10**9), (258, 8), (259, 1), (262, 1), (273, 8), (279, 4)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sizes)
    tiff = b"II*\0" + struct.pack("<IH", 8, len(sizes)) + entries + bytes(4)
    return {
        "empty.png": (b"", "not an image"),
        "text.png": (b"hello", "not an image"),
        "loop.tif": (b"II*\0" + struct.pack("<IHI", 8, 0, 8), None),
        "postscript.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        "cut.png": (whole[: len(whole) // 2], None),
        "cut later.png": (whole[:-20], None),
        "claims.png": (png(10**9, 10**9), "more than 179 million pixels"),
        "claims less.png": (png(13_000, 13_000), None),
        "claims.tif": (tiff, "more than 179 million pixels"),
        "claims.ppm": (b"P6 1000000000 1000000000 255\n", "more than 179 million pixels"),
        "text bomb.png": (with_text(b"zTXt", b"a\0\0" + large), None),
        "long text bomb.png": (with_text(b"iTXt", b"a\0\1\0\0\0" + large), None),
        "profile bomb.png": (with_text(b"iCCP", b"a\0\0" + large), None),
        "texts.png": (with_text(b"tEXt", b"a\0" + 1000 * b"x", 70_000), None),
        "1x1.png": (png(1, 1, b"\0\0"), "nothing is drawn in it"),
        "1x5000.png": (png(1, 5_000, 10_000 * b"\0"), "nothing is drawn in it"),
    }


@pytest.fixture
def predict(lenet, trained):
    """Predict images of one's own."""
    return lambda path, *args: lenet("predict", "--data.predict_path", path, *args, *CPU)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_kind_is_predicted_and_every_bad_one_left_out_with_its_reason(predict, monkeypatch):
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("a program is run"))
    folder = Path("s")
    folder.mkdir()
    write_good(folder)
    good, reasons = sorted(map(str, folder.iterdir())), bad()
    for name, (content, _) in reasons.items():
        (folder / name).write_bytes(content)
    (folder / "script.eps").write_bytes(reasons["postscript.png"][0])
    os.mkfifo(folder / "pipe.png")
    (folder / "folder.png").mkdir()
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "itself.png").symlink_to("itself.png")
    (folder / "back").symlink_to("..")
    done = predict("s")
    assert done.code == 1
    assert [row["path"] for row in table(RUN / "own")] == good
    assert len({row["prediction"] for row in table(RUN / "own")}) == 1
    lines = dict(line.split(": skipped: ") for line in done.err.splitlines() if "skipped: " in line)
    assert set(lines) == {f"lenet: s/{name}" for name in reasons}
    for name, (_, reason) in reasons.items():
        said = lines[f"lenet: s/{name}"]
        assert said, name
        assert reason is None or reason in said, name


@pytest.mark.parametrize("path", ["pipe", "/dev/zero", "itself", "pipe*", "../*/pipe"])
def test_what_is_no_file_is_not_waited_for(predict, path):
    os.mkfifo("pipe")
    Path("itself").symlink_to("itself")
    done = predict(path)
    assert done.code == 2
    assert f"--data.predict_path {path}: no" in done.err.splitlines()[-1]


def test_names_cannot_write_to_the_terminal_or_break_the_table(predict):
    names = [
        b"new\nline.png",
        b"\x1b[31mred.png",
        b"bytes \xff.png",
        "right\u202eleft.png".encode(),
    ]
    Path("s").mkdir()
    for name in (*names, b"=HYPERLINK(1).png"):
        with open(os.path.join(b"s", name), "wb") as file:
            digit().save(file, "PNG")
        with open(os.path.join(b"s", b"bad " + name), "wb") as file:
            file.write(b"x")
    os.chdir("s")
    done = predict("*.png", "--ckpt_path", "../runs/LeNet-Digits-1")
    os.chdir("..")
    assert done.code == 1
    for text in (done.out, done.err):
        assert all(line.isprintable() for line in text.splitlines())
        assert "new\\nline.png" in text
    rows = table(RUN / "own")
    assert {row["path"] for row in rows} == {
        *("new\nline.png", "\x1b[31mred.png", "bytes \ufffd.png", "right\u202eleft.png"),
        "./=HYPERLINK(1).png",
    }


def test_a_cell_is_no_formula_and_an_ordinary_name_is_left_alone():
    for name in ("-1", "+", "=", "@home", "a=b(c)", "-x", "=A1"):
        assert spreadsheet_safe(name) == name
    assert spreadsheet_safe('=WEBSERVICE("x")') == '\'=WEBSERVICE("x")'
    assert spreadsheet_safe("=cmd|' /C x'!A0") == "'=cmd|' /C x'!A0"


def test_a_folder_of_ten_thousand_files_is_listed(tmp_path):
    for i in range(10_000):
        (tmp_path / f"{i}.png").touch()
    assert len(find_images(str(tmp_path))[0]) == 10_000


def write_classes(names: tuple[str, ...]) -> None:
    write_folder(Path("mine"), names, count=8)


FOLDER = ["--data", "ImageFolder", "--data.root", "mine", "--trainer.max_epochs", "1", *CPU, *QUIET]


def test_bad_images_of_a_class_are_refused_together(lenet):
    write_classes(("cat", "dog"))
    for name, (content, _) in bad().items():
        Path("mine/cat", name).write_bytes(content)
    os.mkfifo("mine/cat/pipe.png")
    Path("mine/cat/itself.png").symlink_to("itself.png")
    done = lenet("fit", *FOLDER)
    assert done.code == 2
    line = done.err.splitlines()[-1]
    # Those of one row of pixels can be trained on. The pipe and the link cannot be read either.
    assert f"mine: {len(bad())} of {16 + len(bad()) + 2} images cannot be read: " in line
    assert line.endswith(f" and {len(bad()) - MAX_NAMED} more. Repair or remove them.")


def test_names_of_classes_and_files_stay_within_the_run(lenet):
    classes = ("=HYPERLINK(1)", "a\\..\\b", "new\nline", "%2f..%2fx")
    write_classes(classes)
    with open(b"mine/new\nline/\xff.png", "wb") as file:
        digit("RGB").save(file, "PNG")
    before = sorted(os.listdir())
    done = lenet("run", *FOLDER, "--trainer.max_epochs", "1", "--predictions.num_images", "10")
    assert done.code == 0, done.err
    assert sorted(os.listdir()) == sorted([*before, "runs"])
    run = Path("runs/LeNet-ImageFolder-1")
    assert {path.parent for path in run.rglob("*_predicted_*")} == {run / "predictions"}
    cells = {cell for row in table(run) for cell in row.values()}
    assert not any(cell.startswith("=") for cell in cells)
    assert {row["label"].lstrip("'") for row in table(run)} <= set(classes)


def test_a_class_whose_name_is_no_text_is_refused(lenet):
    write_classes(("cat", "dog"))
    os.mkdir(b"mine/\xff")
    done = lenet("fit", *FOLDER)
    assert done.code == 2
    assert "is not UTF-8. Rename it." in done.err


def test_16_bits_become_8_the_same_however_many_rows_are_worked_on_together(tmp_path):
    values = np.random.default_rng(0).integers(0, 2**16, (2_500, 40)).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    Image.fromarray((values // 256).astype(np.uint8)).save(tmp_path / "flat.png")
    deep, flat = (decode(str(tmp_path / name), 1, 32) for name in ("deep.png", "flat.png"))
    assert (deep == flat).all()


def test_large_images_are_decoded_one_at_a_time_in_bounded_memory(tmp_path):
    content = png(5_500, 5_500, (2 * 5_500 + 1) * 5_500 * b"\0", depth=16)
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(content)
    program = f"""
import resource
from concurrent.futures import ThreadPoolExecutor
from lenet import Digits
from lenet.data.images.files import ImageFiles
from lenet.data.images.user_images import UserImages
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
before = peak()
ImageFiles({str(tmp_path)!r}, [f"{{i}}.png" for i in range(4)], 3, 32).scan(keep=True)
try: UserImages({str(tmp_path)!r}, Digits().prepare_image, 400)
except ValueError: pass
print(peak() - before)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert int(done.stdout.splitlines()[-1]) < 430  # MB; the pixels of one take 60
