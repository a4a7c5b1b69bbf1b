import pytest
import torch
from PIL import Image
from torch import nn

from lenet import MLP, LeNet, LeNet5, TorchvisionModel
from lenet.pictures.filters import draw_filters, first_filters


@pytest.mark.parametrize(
    ("model", "name", "shape"),
    [
        (LeNet(), "c1", (6, 1, 5, 5)),
        (LeNet5(in_channels=3), "c1", (6, 3, 5, 5)),
        (MLP(in_channels=3, image_size=8), "layer 1", (128, 3, 8, 8)),
        (TorchvisionModel(in_channels=3), "conv1", (64, 3, 7, 7)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_the_first_layer_is_found_with_its_weights(tmp_path, model, name, shape):
    found = first_filters(model.network, model.in_channels, model.image_size)
    assert found is not None
    assert found[:2] == (name, "units" if isinstance(model, MLP) else "kernels")
    assert found[2].shape == shape
    layer = next(m for m in model.network.modules() if isinstance(m, (nn.Conv2d, nn.Linear)))
    assert found[2].flatten().equal(layer.weight.flatten())
    with Image.open(draw_filters(tmp_path / "f.png", *found, "title")) as image:
        assert min(image.size) > 100


@pytest.mark.parametrize(
    "network",
    [nn.Flatten(), nn.Conv2d(1, 4, 1), nn.Sequential(nn.AvgPool2d(2), nn.Linear(16, 2))],
    ids=["no weights", "kernels of a pixel", "sees no image"],
)
def test_where_there_is_nothing_to_look_at_there_is_nothing(network):
    assert first_filters(network, 1, 8) is None


@pytest.mark.parametrize("weights", [torch.zeros(1, 1, 5, 5), torch.ones(70, 2, 5, 5)])
def test_any_weights_can_be_drawn(tmp_path, weights):
    assert draw_filters(tmp_path / "f.png", "c1", "kernels", weights, "title").is_file()
