"""``predict`` on images of one's own: what is found, what is written, what is said."""

import csv
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from lenet.pictures.pairs import draw_pairs
from tests.conftest import QUIET, SILENT, TINY
from tests.small import write_folder, write_image

OWN = Path("runs/LeNet-Digits-1/own")
CPU = ["--trainer.accelerator", "cpu", *QUIET]


def write_one(path: Path, size: tuple[int, int] = (120, 90)) -> Path:
    """Draw a 1 and save it in the format of the path's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("L", size, 250)
    middle = size[0] // 2
    ImageDraw.Draw(image).line([(middle, 15), (middle - 8, size[1] - 15)], fill=30, width=7)
    image.save(path)
    return path


def table(folder: Path = OWN) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def predict(lenet, trained):
    """Predict images of one's own."""
    return lambda path, *args: lenet("predict", "--data.predict_path", path, *args, *SILENT)


def test_a_file_is_predicted_and_said_with_its_confidence(predict):
    write_one(Path("my one.png"))
    done = predict("my one.png")
    assert done.code == 0, done.err
    (row,) = table()
    assert row["path"] == "my one.png"
    assert "label" not in row
    assert f"  my one.png: {row['prediction']} ({float(row['confidence']):.1%})\n" in done.out
    assert float(row["confidence"]) == max(float(row[f"probability of {i}"]) for i in range(10))
    assert [path.name for path in (OWN / "predictions").iterdir()] == [
        f"0_predicted_{row['prediction']}.png"
    ]


def test_a_folder_is_searched_at_any_depth_and_other_files_are_counted(predict, caplog):
    for name in ("b.png", "a/c.JPG", "a/deep/été 数字.webp", "z.gif", "p.tif", "q.pgm", "r.bmp"):
        write_one(Path("scans", name))
    for name in ("notes.txt", "a/table.csv", ".hidden.png", ".cache/d.png"):
        Path("scans", name).parent.mkdir(exist_ok=True)
        Path("scans", name).write_text("no image")
    done = predict("scans")
    assert done.code == 0, done.err
    assert "Found 7 images in scans. Skipped 2 other files." in caplog.text
    assert [row["path"] for row in table()] == [
        *("scans/a/c.JPG", "scans/a/deep/été 数字.webp", "scans/b.png", "scans/p.tif"),
        *("scans/q.pgm", "scans/r.bmp", "scans/z.gif"),
    ]
    assert "scans/a/deep/été 数字.webp: " in done.out


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("s/*.png", ["s/1.png", "s/2.png"]),
        ("s/**/*.png", ["s/1.png", "s/2.png", "s/t/3.png"]),
        ("s/[12].*", ["s/1.png", "s/2.png"]),
        ("s/a[1].png", ["s/a[1].png"]),
    ],
)
def test_a_pattern_is_every_file_that_fits_it_and_a_file_beats_it(predict, pattern, found):
    for name in ("1.png", "2.png", "t/3.png"):
        write_one(Path("s", name))
    if found == [pattern]:
        write_one(Path(pattern))
    assert predict(pattern).code == 0
    assert [row["path"] for row in table()] == found


def test_broken_and_empty_images_are_named_the_others_predicted_and_the_exit_code_is_1(predict):
    whole = write_one(Path("s/1.png")).read_bytes()
    write_one(Path("s/9.png"))
    Path("s/cut.png").write_bytes(whole[: len(whole) // 2])
    Path("s/text.png").write_text("hello")
    Path("s/nothing.jpg").touch()
    Image.new("RGB", (80, 80), "white").save("s/blank.png")
    done = predict("s")
    assert done.code == 1
    assert [row["path"] for row in table()] == ["s/1.png", "s/9.png"]
    assert "Predicted 2 of 6 images:" in done.out
    said = [line for line in done.err.splitlines() if line.startswith("lenet: ")]
    assert [line.split(": ")[1] for line in said] == [
        *("s/blank.png", "s/cut.png", "s/nothing.jpg", "s/text.png")
    ]
    assert said[0] == "lenet: s/blank.png: skipped: nothing is drawn in it"
    assert said[2:] == [
        f"lenet: s/{name}: skipped: not an image" for name in ("nothing.jpg", "text.png")
    ]
    assert all((OWN / name).exists() for name in ("predictions.png", "predictions"))


def test_too_many_pixels_are_refused_with_the_reason(predict, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    write_one(Path("s/1.png"))
    Image.new("1", (200, 200)).save("s/huge.png")
    done = predict("s")
    assert done.code == 1
    assert "lenet: s/huge.png: skipped: more than 0 million pixels" in done.err


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.png", "nowhere.png: no such file. Give an image file, a folder of images or"),
        ("s/*.jpg", "s/*.jpg: no file matches this pattern"),
        ("e", "e: no images in this folder, only 1 other files."),
        ("s/b.png", "s/b.png: this image cannot be read: not an image."),
        ("s", "s: none of the 2 images can be read. s/a.png: nothing is drawn in it; s/b.png"),
    ],
)
def test_where_there_is_nothing_to_predict_that_is_one_line(predict, path, message):
    Path("s").mkdir()
    Path("e").mkdir()
    Path("e/text.txt").write_text("x")
    Image.new("L", (50, 50)).save("s/a.png")
    Path("s/b.png").write_text("x")
    done = predict(path)
    assert done.code == 2
    assert f"lenet: error: --data.predict_path {message}" in done.err.splitlines()[-1]
    assert not OWN.exists()


def test_more_files_than_one_without_quotation_marks_are_answered_with_what_to_type(lenet, trained):
    write_one(Path("a.png"))
    write_one(Path("b.png"))
    done = lenet("predict", "--data.predict_path", "a.png", "b.png")
    assert done.code == 2
    assert "'b.png'" in done.err
    assert "A pattern needs quotation marks: --data.predict_path '*.png'" in done.err


def test_the_test_sets_predictions_are_left_alone_and_the_path_is_of_one_command(lenet):
    write_one(Path("1.png"))
    assert lenet("run", *TINY).code == 0
    before = Path("runs/LeNet-Digits-1/predictions.csv").read_bytes()
    assert lenet("predict", "--data.predict_path", "1.png", *CPU).code == 0
    assert len(table()) == 1
    assert Path("runs/LeNet-Digits-1/predictions.csv").read_bytes() == before
    done = lenet("predict", *CPU)
    assert "Predicted 360 images" in done.out
    for verb in ("fit", "test"):
        done = lenet(verb, "--data.predict_path", "1.png", *TINY)
        assert done.code == 2
        assert f"--data.predict_path 1.png: not used by lenet {verb}" in done.err


def test_run_ends_with_images_of_ones_own_and_their_exit_code(lenet):
    write_one(Path("s/1.png"))
    Path("s/2.png").write_text("x")
    done = lenet("run", "--data.predict_path", "s", *TINY)
    assert done.code == 1
    assert len(table()) == 1
    kept = torch.load("runs/LeNet-Digits-1/checkpoints/best.ckpt", weights_only=True)
    assert "predict_path" not in kept["datamodule_hyper_parameters"]
    assert "predict_path: null" in Path("runs/LeNet-Digits-1/config.yaml").read_text()


def test_a_link_that_leads_back_gives_each_image_once(predict):
    for name in ("s/1.png", "s/sub/2.png"):
        write_one(Path(name))
    Path("s/sub/loop").symlink_to(Path("s").absolute())
    assert predict("s/**/*.png").code == 0
    assert [row["path"] for row in table()] == ["s/1.png", "s/sub/2.png"]


@pytest.mark.parametrize(("options", "count"), [([], 12), (["--predictions.num_images", "5"], 5)])
def test_all_are_on_the_sheet_or_as_many_as_are_asked_for(predict, options, count):
    for i in range(12):
        write_one(Path(f"s/{i:02}.png"))
    done = predict("s", *options)
    assert len(table()) == 12
    pictures = sorted(int(p.name.split("_")[0]) for p in (OWN / "predictions").iterdir())
    assert pictures == list(range(count))
    assert done.out.count("  s/") == 10
    assert "  and 2 more\n" in done.out


def test_a_sheet_has_a_row_for_four_images(tmp_path):
    file = str(write_one(tmp_path / "1.png"))
    seen = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    heights = []
    for count in (4, 8, 104):
        seen_by_network = seen.expand(count, -1, -1, -1)
        draw_pairs(tmp_path / "sheet.png", count * [file], seen_by_network, count * ["1"])
        with Image.open(tmp_path / "sheet.png") as image:
            heights.append(image.height)
    assert heights[2] - heights[0] == pytest.approx(25 * (heights[1] - heights[0]), rel=0.01)


def test_the_saved_picture_is_what_the_network_saw(predict):
    write_one(Path("1.png"))
    predict("1.png")
    (picture,) = (OWN / "predictions").iterdir()
    with Image.open(picture) as image:
        assert image.convert("L").getpixel((5, 5)) == 0  # light on dark, where paper was white
    predict("1.png", "--data.raw", "true")
    (picture,) = (OWN / "predictions").iterdir()
    with Image.open(picture) as image:
        assert image.convert("L").getpixel((5, 5)) == 250


def test_the_data_set_itself_is_not_needed(lenet, mnist_root, monkeypatch):
    root = ["--data.root", str(mnist_root), "--data.val_size", "20"]
    assert lenet("fit", *root, *CPU, "--trainer.max_epochs", "1").code == 0
    shutil.rmtree(mnist_root)
    write_one(Path("1.png"))
    done = lenet("predict", "--data.predict_path", "1.png", *CPU)
    assert done.code == 0, done.err
    assert len(table(Path("runs/LeNet-MNIST-1/own"))) == 1


def test_a_folders_checkpoint_predicts_where_the_folder_is_gone(lenet, tmp_path):
    write_folder(tmp_path / "mine", ("cat", "dog"), count=8)
    options = ["--data", "ImageFolder", "--data.root", str(tmp_path / "mine")]
    assert lenet("fit", *options, *CPU, "--trainer.max_epochs", "1").code == 0
    shutil.rmtree(tmp_path / "mine")
    write_image(Path("photo.jpg"), (200, 90, 20), size=(300, 200))
    done = lenet("predict", "--data.predict_path", "photo.jpg", *CPU)
    assert done.code == 0, done.err
    (row,) = table(Path("runs/LeNet-ImageFolder-1/own"))
    assert row["prediction"] in ("cat", "dog")
    done = lenet("test", *CPU)
    assert done.code == 2
    assert "no such folder" in done.err
