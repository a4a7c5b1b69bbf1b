import pytest
import torch
from torch import nn

from lenet import MLP, ConvNet, LeNet, LeNet5, TorchvisionModel
from lenet.pictures.features import (
    MAX_LAYERS,
    MAX_MAPS,
    draw_features,
    evenly_spaced,
    layer_outputs,
)

LENET = ["c1", "s2", "c3", "s4", "c5", "f6"]  # the output is the logits
SHAPES = [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120,), (84,)]


def follow(model):
    image = torch.rand(1, model.in_channels, model.image_size, model.image_size)
    return image, *layer_outputs(model, model.network, image)


def test_lenets_layers_are_those_of_the_paper_after_their_nonlinearity():
    model = LeNet()
    image, outputs, logits = follow(model)
    assert [output.name for output in outputs] == LENET
    assert [output.shape for output in outputs] == SHAPES
    maps = image
    for layer in model.network:
        maps = layer(maps)
        for name, output in zip(LENET, outputs, strict=True):
            if layer is getattr(model.network, f"act{name[1:]}", None):
                assert output.values.equal(maps[0].detach())
    assert logits.equal(maps[0].detach())


def test_lenet5_has_the_same_layers_with_c5_as_units():
    _, layers, _ = follow(LeNet5())
    assert [layer.name for layer in layers] == LENET
    assert layers[1].values.abs().max() <= 1.7159  # squashed
    assert layers[4].values.shape == (120,)


@pytest.mark.parametrize("model", [MLP(), ConvNet(batch_norm=True), TorchvisionModel()])
def test_of_any_network_a_bounded_part_is_drawn(tmp_path, model):
    image, layers, logits = follow(model)
    assert layers
    assert all(len(layer.values) <= MAX_MAPS for layer in layers if layer.values.ndim == 3)
    assert len(evenly_spaced(layers)) <= MAX_LAYERS
    chosen = evenly_spaced(layers)
    assert (chosen[0], chosen[-1]) == (layers[0], layers[-1])
    names = [f"class {i}" for i in range(10)]
    path = draw_features(tmp_path / "f.png", 255 * image, layers, logits, names, "class 1", "title")
    assert path.is_file()


def test_the_layer_before_a_sum_has_what_the_block_gives_and_the_way_around_it_its_own():
    model = TorchvisionModel("resnet18").eval()
    given = {}
    for name, layer in model.network.named_modules():
        layer.register_forward_hook(lambda _, __, out, name=name: given.update({name: out.clone()}))
    _, layers, _ = follow(model)
    values = {layer.name: layer.values for layer in layers}
    assert values["layer2.0.conv2"].equal(given["layer2.0"][0, :MAX_MAPS])
    assert values["layer2.0.downsample.0"].equal(given["layer2.0.downsample"][0, :MAX_MAPS])


def test_looking_leaves_a_network_as_it_was():
    model = ConvNet(batch_norm=True).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    follow(model)
    assert model.training
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_module_that_gives_no_maps_is_passed_over(tmp_path):
    class Odd(nn.Module):
        def forward(self, images):
            return images.flatten(1)[:, :10]

    image = torch.rand(1, 1, 32, 32)
    layers, logits = layer_outputs(model := Odd(), model, image)
    assert layers == []
    names = list("0123456789")
    assert draw_features(tmp_path / "f.png", image, layers, logits, names, "1", "title").is_file()
