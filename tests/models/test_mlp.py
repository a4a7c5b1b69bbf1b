import pytest
import torch
from torch import nn

from lenet import MLP, MNIST, LeNet, Trainer, load
from lenet.errors import UserError
from tests.conftest import QUIET
from tests.small import write_mnist

BARE = {
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
}


def widths(model) -> list[tuple[int, int]]:
    linear = [layer for layer in model.network if isinstance(layer, nn.Linear)]
    return [(layer.in_features, layer.out_features) for layer in linear]


def test_mnist_at_its_own_size_gives_784_128_256_10():
    model = MLP()
    assert widths(model) == [(784, 128), (128, 256), (256, 10)]
    assert sum(p.numel() for p in model.parameters()) == 136_074
    assert MLP(image_size=32).network[1].in_features == 32 * 32


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ([], [(192, 7)]),
        (5, [(192, 5), (5, 7)]),
        ([5, 6, 4], [(192, 5), (5, 6), (6, 4), (4, 7)]),
    ],
)
def test_hidden_layers_are_as_many_and_as_wide_as_told(sizes, wanted):
    model = MLP(hidden_sizes=sizes, in_channels=3, image_size=8, num_classes=7)
    assert widths(model) == wanted
    assert model(torch.zeros(2, 3, 8, 8)).shape == (2, 7)


def test_it_is_linear_layers_and_the_activation_named():
    torch.manual_seed(0)
    model, images = MLP(hidden_sizes=[5], activation="tanh", image_size=4), torch.randn(3, 1, 4, 4)
    first, last = (layer for layer in model.network if isinstance(layer, nn.Linear))
    torch.testing.assert_close(model(images), last(first(images.flatten(1)).tanh()))


def test_dropout_drops_in_training_alone():
    torch.manual_seed(0)
    model, images = MLP(dropout=0.5, hidden_sizes=50), torch.randn(3, 1, 28, 28)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))
    assert not any(isinstance(layer, nn.Dropout) for layer in MLP().network)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"dropout": 1.0}, r"--model.dropout 1.0: must be at least 0 and less than 1"),
        ({"dropout": -0.1}, r"--model.dropout -0.1: must be"),
        ({"hidden_sizes": [8, 0]}, r"--model.hidden_sizes \[8, 0\]: each must be at least 1"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(option, message):
    with pytest.raises(UserError, match=message):
        MLP(**option)


def test_images_come_to_it_in_the_size_that_they_were_published_in(lenet, tmp_path):
    write_mnist(tmp_path)
    args = ["--model", "MLP", "--data", "MNIST", "--data.root", str(tmp_path), "--data.val_size"]
    args += ["10", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", *QUIET]
    assert lenet("fit", *args).code == 0
    assert load().network[1].in_features == 784
    assert lenet("test", "--data.root", str(tmp_path)).code == 0
    assert lenet("fit", *args, "--data.image_size", "32").code == 0
    assert load().network[1].in_features == 1024


def test_a_data_module_brings_images_to_what_its_model_was_built_for(tmp_path):
    write_mnist(tmp_path)
    data = MNIST(root=str(tmp_path), val_size=10)
    for model, size in ((MLP(hidden_sizes=[5]), 28), (LeNet(), 32), (LeNet(image_size=40), 40)):
        trainer = Trainer(max_epochs=1, accelerator="cpu", logger=False, **BARE)
        trainer.fit(model, datamodule=data)
        assert (data.image_size, data.hparams["image_size"]) == (size, size)
        assert data.resize == (size == 40)
    given = MNIST(root=str(tmp_path), val_size=10, image_size=30)
    trainer = Trainer(max_epochs=1, accelerator="cpu", logger=False, **BARE)
    with pytest.raises(RuntimeError):  # what is given holds, if it fits or not
        trainer.fit(MLP(), datamodule=given)
    assert given.image_size == 30
