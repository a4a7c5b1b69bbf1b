"""Every model trains on images of every kind with no further option, and is found by `best`."""

import pytest

import lenet as package
from tests.conftest import QUIET
from tests.small import DATA

# LeNet is trained on every data set by tests/data/test_every.py.
MODELS = ("LeNet5", "MLP", "ConvNet", "TorchvisionModel")
# One data set of each kind. Every model is trained on Digits by tests/models/test_every_model.py.
KINDS = ("MNIST", "EMNIST", "USPS", "CIFAR10", "CIFAR100", "ImageFolder")


@pytest.mark.parametrize("data", KINDS)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_trains_on_every_kind_of_data_set(lenet, small, monkeypatch, model, data):
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


def test_a_data_set_of_every_kind_is_tried():
    def kind(name: str) -> tuple:
        data = getattr(package, name)
        return data.in_channels, len(data.classes), data.native_size, data.usually_resized

    tried = {kind(name) for name in (*KINDS, "Digits") if name != "ImageFolder"}
    assert {kind(name) for name in DATA if name != "ImageFolder"} <= tried
