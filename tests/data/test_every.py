"""What holds for every data set."""

import csv
from pathlib import Path

import pytest
import torch

import lenet as package
from tests.conftest import QUIET
from tests.small import DATA

ONE_EPOCH = ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", *QUIET]


@pytest.mark.parametrize("name", DATA)
def test_a_data_set_needs_no_other_option_and_reloads_by_best(lenet, small, name):
    small(name)
    done = lenet("fit", "--data", name, *ONE_EPOCH)
    assert done.code == 0, done.err
    for verb in ("test", "predict"):
        done = lenet(verb, "--ckpt_path", "best", *ONE_EPOCH[2:])
        assert done.code == 0, done.err
    data = getattr(package, name)()
    data.setup("test")
    with Path(f"runs/LeNet-{name}-1/predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [data.classes[i] for i in data.sets["test"].labels]
    assert {row["prediction"] for row in rows} <= set(data.classes)


@pytest.mark.parametrize("name", DATA)
def test_images_are_bytes_of_the_right_channels_and_labels_are_classes(small, name):
    small(name)
    data = getattr(package, name)()
    data.prepare_data()
    for train in (True, False):
        images, labels = data.read(train)
        assert images.dtype == torch.uint8
        assert images.shape[:2] == (len(labels), data.in_channels)
        assert labels.dtype == torch.int64
        assert set(labels.tolist()) <= set(range(data.num_classes))
    data.setup("fit")
    assert len(data.mean) == len(data.std) == data.in_channels
    images, *_ = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert images.shape[1:] == (data.in_channels, 32, 32)
    assert images.dtype == torch.float32


@pytest.mark.parametrize("name", DATA)
def test_class_names_are_real_and_no_two_are_the_same(small, name):
    small(name)
    classes = getattr(package, name)().classes
    assert len(set(classes)) == len(classes)
    assert all(name and name == name.strip() for name in classes)


@pytest.mark.parametrize("name", DATA)
def test_the_help_says_what_a_data_set_is(lenet, name):
    done = lenet("fit", "--data.help", name)
    assert done.code == 0
    said = " ".join(done.out.split())
    assert "images" in said
    # Every option is followed by words before its type.
    assert " (type: " in said
    assert "  (type" not in said.replace("]", "  ")
