"""Runs on a folder of images: what they keep, and what later commands make of it."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch

from lenet import ImageFolder
from tests.conftest import QUIET
from tests.small import FOLDER_CLASSES, split_up, write_folder

RUN = Path("runs/LeNet-ImageFolder-1")
FOLDER = [
    "--data",
    "ImageFolder",
    "--trainer.max_epochs",
    "1",
    "--trainer.accelerator",
    "cpu",
    *QUIET,
    *("--predictions.num_images", "10"),
]


def rows() -> list[dict[str, str]]:
    with (RUN / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_training_is_the_same_to_the_last_bit_decoded_as_it_goes(lenet, photos):
    for choice in ("true", "false"):
        done = lenet("run", *FOLDER, "--data.in_memory", choice)
        assert done.code == 0, done.err
    other = Path("runs/LeNet-ImageFolder-2")
    for file in ("metrics.csv", "predictions.csv", "predictions.png"):
        assert (RUN / file).read_bytes() == (other / file).read_bytes()


def test_names_and_paths_are_in_the_table_and_in_the_pictures(lenet, photos):
    done = lenet("run", *FOLDER, "--data.test_size", "12")
    assert done.code == 0, done.err
    assert len(rows()) == 12
    for row in rows():
        assert row["image"].split("/")[0] == row["label"]
        assert (photos / row["image"]).is_file()
        assert row["prediction"] in FOLDER_CLASSES
        assert set(row) >= {f"probability of {name}" for name in FOLDER_CLASSES}
    pictures = [path.name for path in (RUN / "predictions").iterdir()]
    spelt = ("blue-sky", "night", "été")
    assert len(pictures) == 10
    assert all(name.removesuffix(".png").endswith(spelt) for name in pictures)


def test_a_checkpoint_tests_where_there_are_test_images_alone(lenet, photos, monkeypatch):
    split_up(photos)
    assert lenet("run", *FOLDER).code == 0
    before = (RUN / "predictions.csv").read_bytes()
    figures = json.loads((RUN / "test.json").read_text())
    elsewhere = Path("elsewhere").absolute()
    shutil.copytree(photos / "test", elsewhere / "test")
    shutil.rmtree(photos)
    monkeypatch.setenv("PATH_DATASETS", str(elsewhere))
    for verb in ("test", "predict"):
        done = lenet(verb, *FOLDER[-4:])
        assert done.code == 0, done.err
    assert (RUN / "predictions.csv").read_bytes() == before
    again = json.loads((RUN / "test.json").read_text())
    assert again == {**figures, "data": f"ImageFolder(root={str(elsewhere)!r})"}
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
    assert kept["class_names"] == list(FOLDER_CLASSES)
    assert (kept["mean"], kept["std"]) == (list(data.mean), list(data.std))
    assert kept["color"] is True


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
