import csv
import shutil
import unicodedata
from pathlib import Path

import pytest
import torch
from PIL import Image

from lenet import ImageFolder
from lenet.data.folder import spread
from lenet.errors import UserError
from tests.conftest import QUIET
from tests.small import write_folder, write_image

RUN = Path("runs/LeNet-ImageFolder-1")
CLASSES = ("blue sky", "night", "été")
ONE_EPOCH = ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", *QUIET]
FOLDER = ["--data", "ImageFolder", *ONE_EPOCH]


@pytest.fixture
def photos(small) -> Path:
    """Three classes of ten images each: a name has a space, another accents."""
    return small("ImageFolder")


def rows() -> list[dict[str, str]]:
    with (RUN / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def split_up(root: Path) -> Path:
    """Make folders train, val and test of a folder of classes."""
    for name in CLASSES:
        for part, numbers in (("val", (0, 1)), ("test", (2, 3, 4)), ("train", range(5, 10))):
            (root / part / name).mkdir(parents=True)
            for i in numbers:
                (root / name / f"{i:02}.png").rename(root / part / name / f"{i:02}.png")
        (root / name).rmdir()
    return root


def served(data: ImageFolder) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """All that a data module serves, by part and in order."""
    for stage in ("fit", "test"):
        data.setup(stage)
    return {name: part.__getitems__(list(range(len(part))))[:2] for name, part in data.sets.items()}


# Which images are in which part


def test_without_parts_a_tenth_is_held_out_twice_and_every_class_has_its_share(photos):
    parts = served(ImageFolder())
    counts = {name: labels.bincount(minlength=3).tolist() for name, (_, labels) in parts.items()}
    assert counts["test"] == [1, 1, 1]
    assert sum(counts["val"]) == 2
    assert max(counts["val"]) == 1
    assert [sum(n) for n in zip(*(counts[p] for p in ("train", "val", "test")), strict=True)] == [
        10
    ] * 3
    images = torch.cat([parts[name][0] for name in ("train", "val", "test")])
    assert len({image.numpy().tobytes() for image in images}) == 30


def test_the_split_depends_on_its_seed_alone(photos):
    torch.manual_seed(0)
    first = served(ImageFolder())
    torch.manual_seed(1)
    again = served(ImageFolder())
    assert all(first[p][0].equal(again[p][0]) and first[p][1].equal(again[p][1]) for p in first)
    assert not first["train"][0].equal(served(ImageFolder(split_seed=1))["train"][0])


def test_the_folders_of_the_parts_are_the_parts(photos):
    split_up(photos)
    parts = served(ImageFolder())
    counts = {name: labels.bincount().tolist() for name, (_, labels) in parts.items()}
    assert counts == {"train": [5] * 3, "val": [2] * 3, "test": [3] * 3, "predict": [3] * 3}


def test_the_parts_that_are_missing_are_drawn_from_the_training_images(photos):
    split_up(photos)
    shutil.rmtree(photos / "val")
    parts = served(ImageFolder(val_size=3))
    assert parts["val"][1].tolist() == [0, 1, 2]
    assert len(parts["train"][1]) == 12
    shutil.rmtree(photos / "test")
    parts = served(ImageFolder(val_size=3, test_size=6))
    assert [len(parts[name][1]) for name in ("train", "val", "test")] == [6, 3, 6]


def test_every_beginning_of_a_spread_has_its_share_of_each_class():
    labels = torch.tensor([0] * 80 + [1] * 20)
    order = spread(labels, seed=3)
    assert sorted(order.tolist()) == list(range(100))
    for size in (5, 10, 50):
        assert labels[order[:size]].sum() == size // 5
    assert not order.equal(spread(labels, seed=4))


def test_hidden_files_and_other_files_are_no_images(photos):
    (photos / "night" / "._00.png").write_bytes(b"of a Mac")
    (photos / "night" / "Thumbs.db").write_bytes(b"of Windows")
    (photos / ".git").mkdir()
    (photos / "night" / "deeper").mkdir()
    (photos / "night" / "00.png").rename(photos / "night" / "deeper" / "00.PNG")
    data = ImageFolder()
    assert data.classes == CLASSES
    assert sum(len(paths) for paths in data._paths.values()) == 30


def test_an_accent_is_the_same_however_a_system_writes_it(photos):
    split_up(photos)
    name = unicodedata.normalize("NFD", "été")
    assert name != "été"
    (photos / "test" / "été").rename(photos / "test" / name)
    assert served(ImageFolder())["test"][1].bincount().tolist() == [3, 3, 3]


# What they become


@pytest.mark.parametrize("parts", [True, False])
def test_decoded_as_it_goes_gives_the_same_images_labels_and_figures(photos, parts):
    if parts:
        split_up(photos)
    held, streamed = ImageFolder(in_memory=True), ImageFolder(in_memory=False)
    first, second = served(held), served(streamed)
    assert isinstance(held.sets["train"].images, torch.Tensor)
    assert not isinstance(streamed.sets["train"].images, torch.Tensor)
    for name in ("train", "val", "test", "predict"):
        assert all(a.equal(b) for a, b in zip(first[name], second[name], strict=True))
    assert (held.mean, held.std) == (streamed.mean, streamed.std)
    batches = [list(data.val_dataloader()) for data in (held, streamed)]
    assert all(a.equal(b) for a, b in zip(batches[0][0], batches[1][0], strict=True))


def test_a_training_is_the_same_to_the_last_bit_decoded_as_it_goes(lenet, photos):
    for choice in ("true", "false"):
        done = lenet("run", *FOLDER, "--data.in_memory", choice)
        assert done.code == 0, done.err
    other = Path("runs/LeNet-ImageFolder-2")
    for file in ("metrics.csv", "predictions.csv", "predictions.png"):
        assert (RUN / file).read_bytes() == (other / file).read_bytes()


def test_what_fits_is_held_in_memory_and_what_does_not_is_decoded_by_workers(photos, monkeypatch):
    assert ImageFolder().in_memory
    monkeypatch.setattr("lenet.data.folder.MEMORY", 30 * 3 * 32 * 32 - 1)
    monkeypatch.setattr("lenet.data.base.cores", lambda: 2)
    data = ImageFolder()
    assert not data.in_memory
    data.setup("fit")
    assert data.val_dataloader().num_workers == 2
    assert ImageFolder(image_size=16).in_memory


def test_mean_and_deviation_are_those_of_the_training_images_alone(photos):
    split_up(photos)
    for image in (photos / "test").rglob("*.png"):
        Image.new("RGB", (9, 9), "white").save(image)
    data = ImageFolder()
    images = served(data)["train"][0].double() / 255
    torch.testing.assert_close(
        torch.tensor(data.mean), images.mean((0, 2, 3)).float(), atol=6e-5, rtol=0
    )
    std = images.flatten(2).transpose(0, 1).flatten(1).std(1, correction=0).float()
    torch.testing.assert_close(torch.tensor(data.std), std, atol=6e-5, rtol=0)
    assert ImageFolder(mean=[0.5] * 3, std=[0.1] * 3).mean == (0.5, 0.5, 0.5)


def test_grey_and_colour_mixed_become_colour_and_grey_alone_stays_grey(photos):
    split_up(photos)
    for image in photos.rglob("*.png"):
        write_image(image, 90)
    assert ImageFolder().in_channels == 1
    # A colour among what is tested changes nothing: a training never saw one.
    write_image(photos / "test" / "night" / "02.png", (200, 0, 0))
    assert ImageFolder().in_channels == 1
    assert ImageFolder(colour=True).in_channels == 3
    write_image(photos / "train" / "night" / "07.png", (200, 0, 0))
    assert ImageFolder().in_channels == 3
    assert served(ImageFolder())["train"][0].shape == (15, 3, 32, 32)
    assert served(ImageFolder(colour=False))["train"][0].shape == (15, 1, 32, 32)


# What is kept with the run


def test_names_and_paths_are_in_the_table_and_in_the_pictures(lenet, photos):
    done = lenet("run", *FOLDER, "--data.test_size", "12")
    assert done.code == 0, done.err
    assert len(rows()) == 12
    for row in rows():
        assert row["image"].split("/")[0] == row["label"]
        assert (photos / row["image"]).is_file()
        assert row["prediction"] in CLASSES
        assert set(row) >= {f"probability of {name}" for name in CLASSES}
    pictures = [path.name for path in (RUN / "predictions").iterdir()]
    spelt = ("blue-sky", "night", "été")
    assert len(pictures) == 10
    assert all(name.removesuffix(".png").endswith(spelt) for name in pictures)


def test_a_checkpoint_tests_where_there_are_test_images_alone(lenet, photos, monkeypatch):
    split_up(photos)
    assert lenet("run", *FOLDER).code == 0
    before = (RUN / "predictions.csv").read_bytes()
    figures = (RUN / "test.json").read_bytes()
    elsewhere = Path("elsewhere").absolute()
    shutil.copytree(photos / "test", elsewhere / "test")
    shutil.rmtree(photos)
    monkeypatch.setenv("PATH_DATASETS", str(elsewhere))
    for verb in ("test", "predict"):
        done = lenet(verb, *FOLDER[-4:])
        assert done.code == 0, done.err
    assert (RUN / "predictions.csv").read_bytes() == before
    assert (RUN / "test.json").read_bytes() == figures
    # Also where a class has no image.
    shutil.rmtree(elsewhere / "test" / "blue sky")
    assert lenet("predict", *FOLDER[-4:]).code == 0
    assert {row["label"] for row in rows()} == {"night", "été"}


def test_a_checkpoint_keeps_figures_and_names_as_plain_values(lenet, photos):
    assert lenet("fit", *FOLDER).code == 0
    kept = torch.load(RUN / "checkpoints" / "best.ckpt", weights_only=True)
    kept = kept["datamodule_hyper_parameters"]
    data = ImageFolder()
    data.setup("fit")
    assert kept["class_names"] == list(CLASSES)
    assert (kept["mean"], kept["std"]) == (list(data.mean), list(data.std))
    assert kept["colour"] is True


def test_a_run_is_gone_on_with_and_repeated_from_its_config(lenet, photos):
    assert lenet("fit", *FOLDER).code == 0
    done = lenet("fit", "--ckpt_path", "last", "--trainer.max_epochs", "2")
    assert done.code == 0, done.err
    first = (RUN / "metrics.csv").read_text().splitlines()
    assert len(first) == 3
    done = lenet("fit", "--config", RUN / "config-1.yaml", "--trainer.max_epochs", "2")
    assert done.code == 0, done.err
    again = Path("runs/LeNet-ImageFolder-2/metrics.csv").read_text().splitlines()
    assert again == first
    done = lenet("test", *FOLDER[-4:], "--ckpt_path", "best", "--print_config")
    assert "- été" in done.out
    Path("printed.yaml").write_text(done.out, encoding="utf-8")
    assert lenet("test", "--config", "printed.yaml", "--print_config").out == done.out


@pytest.mark.parametrize("names", [("1", "2"), ("null", "true"), ("torch.nn", "$x$ {y}", "a,b")])
def test_a_class_may_be_called_anything(lenet, tmp_path, names):
    write_folder(tmp_path / "mine", names, count=6)
    # Not mistaken for a file either.
    Path(names[0]).touch()
    root = ["--data.root", str(tmp_path / "mine")]
    assert lenet("fit", *FOLDER, *root).code == 0
    for verb in ("test", "predict"):
        done = lenet(verb, *FOLDER[-4:], "--ckpt_path", "best")
        assert done.code == 0, done.err
    assert {row["label"] for row in rows()} <= set(names)


# Mistakes


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
    for name in CLASSES[1:]:
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
    for name in CLASSES:
        for i in range(1, 10):
            (root / name / f"{i:02}.png").unlink()


BAD = {
    "no folder": (shutil.rmtree, "no such folder. It is the one that has a folder for each class"),
    "no images": (empty, "no images in it, in a folder for each class"),
    "one class": (one_class, "has one class only, 'blue sky', where there must be two or more"),
    "an empty class": (an_empty_class, "no images to train on in the class 'forêt'. Add some"),
    "broken images": (broken, "images cannot be read: night/0"),
    "a class of its own": (strange_class, "test has the class 'dusk', where training has the 3"),
    "nothing to train on": (no_training, "has no folder train, which says what classes there are"),
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
        ("--data.val_size 27", "--data.val_size 27: ImageFolder has 27 training images"),
        ("--data.framing cut", "--data.framing cut: must be one of crop, pad, stretch"),
        ("--data.resize false", "--data.resize false: images of a folder have --data.framing pad"),
        ("--data.mean [0.5]", "--data.mean [0.5]: must be 3 numbers, one a channel"),
        ("--data.std [0.5,0,1]", "must be 3 numbers, one a channel, greater than 0"),
        ("--data.class_names [night,dusk]", "train has the 2 classes 'blue sky', 'été'"),
    ],
)
def test_a_bad_option_gets_one_line(lenet, photos, args, message):
    assert message in the_line(lenet, "fit", *FOLDER, *args.split())


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
    assert (
        "train has the class 'dusk', where --data.class_names, or the checkpoint, has the 3" in line
    )


def test_a_checkpoint_for_another_number_of_classes_says_how_many(lenet, photos):
    assert lenet("fit", *FOLDER, "--data.colour", "false").code == 0
    line = the_line(lenet, "test", "--data", "Digits", *FOLDER[-4:])
    assert "was trained for 3 classes, where the data has 10" in line
    with pytest.raises(UserError, match="train has the 3 classes 'blue sky', 'night', 'été'"):
        ImageFolder(class_names=["a", "b"])
