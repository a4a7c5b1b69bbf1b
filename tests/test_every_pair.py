"""Every model trains on every data set with no further option, and is found again by `best`."""

import pytest

import lenet as package
from lenet.data import ImageDataModule
from tests.conftest import QUIET
from tests.small import DATA

MODELS = ("LeNet", "LeNet5", "MLP", "ConvNet", "TorchvisionModel")


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_trains_on_every_data_set(lenet, small, monkeypatch, model, data):
    small(data)
    for name in DATA:  # as the small files are
        monkeypatch.setattr(getattr(package, name), "usual_val_size", 2, raising=False)
    brief = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1", *QUIET]
    brief += ["--trainer.accelerator", "cpu", "--data.batch_size", "2"]
    brief += ["--trainer.limit_val_batches", "1", "--trainer.limit_test_batches", "1"]
    choice = ["--model", model, "--data", data]
    if data == "ImageFolder":
        choice += ["--data.root", str(small(data))]
    done = lenet("fit", *choice, *brief)
    if model == "LeNet5" and done.code:
        # Ten bitmaps are all that the paper has.
        assert "--model.output linear" in done.err, done.err
        done = lenet("fit", *choice, *brief, "--model.output", "linear")
    assert done.code == 0, done.err
    done = lenet("test", "--ckpt_path", "best", *brief[6:])
    assert done.code == 0, done.err


def test_all_data_sets_are_tried():
    public = {
        name
        for name in package.__all__
        if isinstance(cls := getattr(package, name), type) and issubclass(cls, ImageDataModule)
    }
    assert public - {"ImageDataModule"} == set(DATA)
