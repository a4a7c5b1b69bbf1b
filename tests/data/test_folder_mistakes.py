"""What a bad folder of images gets: one line."""

import shutil
from pathlib import Path

import pytest

from lenet import ImageFolder
from lenet.errors import UserError
from tests.conftest import QUIET
from tests.small import FOLDER_CLASSES, split_up, write_image

FOLDER = [
    "--data",
    "ImageFolder",
    "--trainer.max_epochs",
    "1",
    "--trainer.accelerator",
    "cpu",
    *QUIET,
]


def the_line(lenet, *args: str) -> str:
    done = lenet(*args)
    assert done.code == 2, done.out
    assert "Traceback" not in done.err
    [line] = [line for line in done.err.splitlines() if "error:" in line]
    return line


def empty(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def one_class(root: Path) -> None:
    for name in FOLDER_CLASSES[1:]:
        shutil.rmtree(root / name)


def an_empty_class(root: Path) -> None:
    (root / "forêt").mkdir()


def broken(root: Path) -> None:
    for i in range(5):
        (root / "night" / f"{i:02}.png").write_bytes(b"x")


def strange_class(root: Path) -> None:
    split_up(root)
    write_image(root / "test" / "dusk" / "a.png", 90)


def no_training(root: Path) -> None:
    shutil.rmtree(split_up(root) / "train")


def too_few(root: Path) -> None:
    for name in FOLDER_CLASSES:
        for i in range(1, 10):
            (root / name / f"{i:02}.png").unlink()


def broken_in_every_part(root: Path) -> None:
    split_up(root)
    for part in ("train", "val", "test"):
        next((root / part / "night").iterdir()).write_bytes(b"x")


def val_beside_classes(root: Path) -> None:
    shutil.copytree(root / "night", root / "valid" / "night")


def no_test_images(root: Path) -> None:
    split_up(root)
    shutil.rmtree(root / "test")
    (root / "test" / "night").mkdir(parents=True)


def flat_test(root: Path) -> None:
    split_up(root)
    shutil.rmtree(root / "test")
    write_image(root / "test" / "a.png", 90)


def two_of_a_part(root: Path) -> None:
    split_up(root)
    shutil.copytree(root / "val", root / "validation")


BAD = {
    "an empty part": (no_test_images, "the folder test has no images"),
    "a part without classes": (flat_test, "the folder test has no images"),
    "two of a part": (two_of_a_part, "val and validation both mean val"),
    "broken images of every part": (broken_in_every_part, "3 of 30 images cannot be read: "),
    "val beside classes": (val_beside_classes, "Move those next to it into a folder train."),
    "no folder": (shutil.rmtree, "no such folder. Give a folder with one folder per class"),
    "no images": (empty, "no images found. Put them into one folder per class"),
    "one class": (one_class, "has only one class, 'blue sky', but at least two"),
    "an empty class": (an_empty_class, "no training images in the class 'forêt'. Add some"),
    "broken images": (broken, "images cannot be read: night/0"),
    "a class of its own": (strange_class, "test has the class 'dusk', but training has the 3"),
    "nothing to train on": (no_training, "has no folder train, so the classes are unknown"),
    "too few images": (too_few, "too few images of"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_folder_gets_one_line_and_leaves_no_run(lenet, photos, bad):
    spoil, message = BAD[bad]
    spoil(photos)
    line = the_line(lenet, "fit", *FOLDER)
    assert message in line
    assert str(photos) in line
    assert not list(Path().glob("runs/*"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--data.test_size 0", "--data.test_size 0: must be at least 1"),
        ("--data.test_size 30", "--data.test_size 30: "),
        ("--data.val_size 27", "--data.val_size 27: must be less than 27"),
        ("--data.framing cut", "--data.framing cut: must be one of crop, pad, stretch"),
        (
            "--data.resize false",
            "--data.resize false: not supported by ImageFolder",
        ),
        ("--data.mean [0.5]", "--data.mean [0.5]: must have 3 values, one per channel"),
        ("--data.std [0.5,0,1]", "must have 3 values, one per channel, greater than 0"),
        ("--data.class_names [night,night]", "contains a class twice"),
        ("--data.class_names [night,dusk]", "train has the 2 classes 'blue sky', 'été'"),
    ],
)
def test_a_bad_option_gets_one_line(lenet, photos, args, message):
    assert message in the_line(lenet, "fit", *FOLDER, *args.split())


def test_testing_on_a_drawn_part_is_said(lenet, photos, caplog):
    assert lenet("fit", *FOLDER).code == 0
    assert "Testing on" not in caplog.text
    assert lenet("test", *FOLDER[-4:]).code == 0
    assert "Testing on 3 of the 30 images" in caplog.text


def test_images_that_may_have_been_trained_on_are_not_tested(lenet, photos):
    assert lenet("fit", *FOLDER).code == 0
    for args in (["--data.split_seed", "7"], ["--data.test_size", "9"]):
        line = the_line(lenet, "test", *FOLDER[-4:], *args)
        assert "the test images differ from those of the training" in line
    write_image(photos / "night" / "new.png", 90)
    assert "some may have been trained on" in the_line(lenet, "test", *FOLDER[-4:])
    assert lenet("test", *FOLDER[-4:], "--data.drawn", "null").code == 0
    shutil.copytree(photos, "elsewhere")
    assert lenet("test", *FOLDER[-4:], "--data.root", "elsewhere").code == 0


def test_a_figure_that_is_given_is_used_and_the_other_is_measured(photos):
    data = ImageFolder(mean=[0.1, 0.2, 0.3])
    data.setup("fit")
    both = ImageFolder()
    both.setup("fit")
    assert data.mean == (0.1, 0.2, 0.3)
    assert data.std == both.std


def test_parts_may_be_called_otherwise(photos):
    split_up(photos)
    for name, other in (("train", "Training"), ("val", "Validation"), ("test", "TESTING")):
        (photos / name).rename(photos / other)
        for folder in FOLDER_CLASSES:
            shutil.rmtree(photos / folder, ignore_errors=True)
    data = ImageFolder()
    data.setup("fit")
    assert [len(data.sets[part]) for part in ("train", "val", "test") if part in data.sets] == [
        15,
        6,
    ]
    assert len(data.names) == 9


def test_a_class_may_be_called_valid(lenet, photos):
    (photos / "night").rename(photos / "valid")
    assert lenet("fit", *FOLDER).code == 0


def test_broken_test_images_are_named_when_they_are_tested(lenet, photos):
    split_up(photos)
    assert lenet("fit", *FOLDER).code == 0
    (photos / "test" / "night" / "02.png").write_bytes(b"x")
    for choice in ("true", "false"):
        line = the_line(lenet, "test", *FOLDER[-4:], "--data.in_memory", choice)
        assert "1 of 9 images cannot be read: test/night/02.png (not an image)." in line


def test_other_classes_than_the_checkpoints_are_refused(lenet, photos):
    assert lenet("fit", *FOLDER).code == 0
    write_image(photos / "dusk" / "a.png", 90)
    line = the_line(lenet, "test", *FOLDER[-4:])
    assert "train has the class 'dusk', but --data.class_names or the checkpoint has the 3" in line


def test_a_checkpoint_for_another_number_of_classes_says_how_many(lenet, photos):
    assert lenet("fit", *FOLDER, "--data.color", "false").code == 0
    line = the_line(lenet, "test", "--data", "Digits", *FOLDER[-4:])
    assert "was trained for 3 classes, but the data has 10" in line
    with pytest.raises(UserError, match="train has the 3 classes 'blue sky', 'night', 'été'"):
        ImageFolder(class_names=["a", "b"])


def test_classes_that_are_one_folder_deeper_are_named(lenet, photos):
    inner = photos / "dataset"
    inner.mkdir()
    for name in FOLDER_CLASSES:
        (photos / name).rename(inner / name)
    line = the_line(lenet, "fit", *FOLDER, "--data.root", str(photos))
    assert "'dataset'" in line
    assert f"--data.root {inner}" in line
