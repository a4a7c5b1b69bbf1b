import pytest
import torch

from lenet import LeNet
from lenet.errors import UserError
from lenet.models.lenet import ACTIVATIONS


def test_lenet_has_as_many_parameters_as_documented():
    assert sum(p.numel() for p in LeNet().parameters()) == 61_706


def test_lenet_has_the_papers_sizes_layer_by_layer():
    sizes = {}
    model = LeNet()
    for name, layer in model.network.named_children():
        layer.register_forward_hook(
            lambda _, __, out, name=name: sizes.update({name: tuple(out.shape[1:])})
        )
    model(torch.zeros(2, 1, 32, 32))
    assert sizes["c1"] == (6, 28, 28)
    assert sizes["s2"] == (6, 14, 14)
    assert sizes["c3"] == (16, 10, 10)
    assert sizes["s4"] == (16, 5, 5)
    assert sizes["flatten"] == (400,)
    assert [sizes[name] for name in ("c5", "f6", "output")] == [(120,), (84,), (10,)]


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_every_activation_and_pooling_gives_finite_logits(activation, pooling):
    logits = LeNet(activation=activation, pooling=pooling)(torch.randn(3, 1, 32, 32))
    assert logits.shape == (3, 10)
    assert logits.isfinite().all()


def test_poolings_and_activations_are_the_ones_named():
    torch.manual_seed(0)
    model = LeNet(activation="tanh", pooling="avg")
    out = model.network[:3](images := torch.randn(2, 1, 32, 32))
    by_hand = torch.tanh(torch.nn.functional.conv2d(images, *model.network[0].parameters()))
    by_hand = by_hand.unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(-2, -1))
    torch.testing.assert_close(out, by_hand)


@pytest.mark.parametrize(("channels", "classes", "size"), [(3, 7, 32), (1, 100, 28), (2, 2, 64)])
def test_lenet_fits_other_channels_classes_and_sizes(channels, classes, size):
    model = LeNet(in_channels=channels, num_classes=classes, image_size=size)
    assert model(torch.zeros(2, channels, size, size)).shape == (2, classes)
    assert model.example_input_array.shape == (1, channels, size, size)


def test_images_too_small_are_refused_with_what_would_fit():
    with pytest.raises(UserError, match=r"12x12 images are too small for LeNet"):
        LeNet(image_size=12)
    LeNet(image_size=16)


@pytest.mark.parametrize("name", ["lr", "in_channels", "num_classes", "image_size"])
def test_numbers_that_are_not_positive_are_refused_by_name(name):
    with pytest.raises(UserError, match=f"--model.{name} 0: must be greater than 0"):
        LeNet(**{name: 0})
