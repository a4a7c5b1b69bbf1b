import json
import re

import pytest
import torch
from torch import nn

from lenet import ConvNet
from lenet.errors import UserError


def shapes(model) -> dict[str, tuple[int, ...]]:
    found = {}
    for name, layer in model.network.named_children():
        layer.register_forward_hook(
            lambda _, __, out, name=name: found.update({name: tuple(out.shape[1:])})
        )
    model.eval()(torch.zeros(1, model.in_channels, model.image_size, model.image_size))
    return found


def count(model) -> int:
    return sum(p.numel() for p in model.parameters())


def test_it_has_as_many_parameters_as_documented():
    assert count(ConvNet()) == 544_522
    assert "544,522" in (ConvNet.__doc__ or "")


def test_one_convolution_of_six_maps_a_pooling_and_two_hidden_layers():
    model = ConvNet(in_channels=3, image_size=32, num_classes=10, widths=6, hidden_sizes=[512, 256])
    by_hand = (6 * 27 + 6) + (6 * 16 * 16 * 512 + 512) + (512 * 256 + 256) + (256 * 10 + 10)
    assert count(model) == by_hand
    assert shapes(model) == {
        **{"conv1_1": (6, 32, 32), "act1_1": (6, 32, 32), "pool1": (6, 16, 16)},
        **{"flatten": (1536,), "classifier": (10,)},
    }


def test_every_stage_has_its_own_width_kernel_padding_repeats_and_pooling():
    model = ConvNet(
        image_size=28,
        widths=[4, 8],
        kernel_sizes=[5, 3],
        paddings=[0, 1],
        repeats=[1, 3],
        pool_sizes=[2, 1],
        pooling="avg",
        hidden_sizes=[],
    )
    found = shapes(model)
    assert [name for name in found if not name.startswith("act")] == [
        *("conv1_1", "pool1", "conv2_1", "conv2_2", "conv2_3", "flatten", "classifier")
    ]
    assert found["conv1_1"] == (4, 24, 24)
    assert found["pool1"] == (4, 12, 12)
    assert found["conv2_3"] == (8, 12, 12)
    assert isinstance(model.network.pool1, nn.AvgPool2d)
    assert len(model.network.classifier) == 1


def test_batch_normalisation_comes_between_convolution_and_activation():
    model = ConvNet(batch_norm=True, widths=[4], activation="tanh")
    layers = list(model.network.named_children())
    assert [name for name, _ in layers[:3]] == ["conv1_1", "norm1_1", "act1_1"]
    assert isinstance(layers[1][1], nn.BatchNorm2d)
    assert isinstance(layers[2][1], nn.Tanh)
    assert layers[0][1].bias is None
    out = model.network[:2](torch.randn(8, 1, 32, 32))
    torch.testing.assert_close(out.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("pool", [1, 2, 3])
def test_sizes_worked_out_are_pytorchs_or_refused(kernel, padding, pool):
    options = {"widths": [2, 3], "kernel_sizes": kernel, "paddings": padding, "pool_sizes": pool}
    accepted = []
    for size in range(1, 33):
        try:
            model = ConvNet(image_size=size, hidden_sizes=[], **options)
        except UserError:
            continue
        accepted.append(size)
        found = shapes(model)  # it runs, so the classifier has the size that really comes
        for stage, before in ((1, (1, size, size)), (2, found.get("pool1", found["act1_1"]))):
            side = before[1] - kernel + 2 * padding + 1
            assert found[f"conv{stage}_1"][1] == side
            assert side % pool == 0
    assert accepted


def test_a_side_that_is_not_whole_is_refused_with_the_way_there_and_what_would_fit():
    with pytest.raises(UserError) as refused:
        ConvNet(image_size=30, hidden_sizes=[10**9])  # which would not fit into memory
    message = str(refused.value)
    assert message.splitlines() == [
        "30x30 images do not fit this ConvNet, from pool2 on:",
        "  layer     (W - F + 2P) / S + 1",
        "  conv1_1   (30 - 3 + 2) / 1 + 1 = 30      32@30x30",
        "  pool1     (30 - 2 + 0) / 2 + 1 = 15      32@15x15",
        "  conv2_1   (15 - 3 + 2) / 1 + 1 = 15      64@15x15",
        "  pool2     (15 - 2 + 0) / 2 + 1 = 7.5     not a whole number",
        'Try --data.image_size 28 or 32; or --model.pool_sizes "[2, 1]" or "[2, 3]"; '
        'or --model.kernel_sizes "[3, 2]" or "[3, 4]".',
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": 30},
        {"image_size": 28, "widths": [2, 2, 2], "kernel_sizes": 5, "paddings": 0},
        {"image_size": 10, "widths": [2, 2], "pool_sizes": [5, 3]},
        {"image_size": 8, "widths": [2, 2], "kernel_sizes": [9, 3], "paddings": 0},
        {"image_size": 12, "widths": [2, 2, 2], "pool_sizes": [2, 2, 2], "repeats": [1, 2, 1]},
        {"image_size": 32, "widths": [2] * 8},
    ],
)
def test_all_that_would_fit_does(options):
    with pytest.raises(UserError) as refused:
        ConvNet(**options)
    said = str(refused.value).rpartition("Try ")[2]
    found = re.findall(r"--(?:data|model)\.(\w+) ([^;]+?)[;.]", said + ";")
    assert found
    for name, values in found:
        for value in values.split(" or "):
            ConvNet(**{**options, "hidden_sizes": [], name: json.loads(value.strip('"'))})


def test_a_network_too_deep_for_the_image_is_refused_with_the_size_that_it_needs():
    with pytest.raises(UserError, match=r"nothing is left\nTry --data.image_size 64;"):
        ConvNet(widths=[4] * 6)
    ConvNet(widths=[4] * 6, image_size=64)


def test_a_kernel_larger_than_the_image_is_refused_with_kernel_and_padding_that_fit():
    with pytest.raises(UserError, match=r"kernel_sizes 4; .*paddings 2\."):
        ConvNet(image_size=4, widths=[2], kernel_sizes=7, paddings=0, pool_sizes=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": [4, 0]}, "--model.widths [4, 0]: each must be at least 1."),
        ({"paddings": -1}, "--model.paddings -1: each must be at least 0."),
        ({"widths": [4, 8], "repeats": [1, 1, 2]}, "--model.widths [4, 8]: has 2 numbers, but"),
    ],
)
def test_numbers_out_of_range_and_lists_of_different_lengths_are_refused(options, message):
    with pytest.raises(UserError, match=re.escape(message)):
        ConvNet(**options)


def test_a_last_batch_of_one_image_is_trained_on_with_batch_normalisation():
    sizes = {"widths": [2], "kernel_sizes": 4, "paddings": 0, "pool_sizes": 1}
    model = ConvNet(**sizes, image_size=4, batch_norm=True, activation="tanh")
    before = model.network.conv1_1.weight.clone()
    model(torch.randn(1, 1, 4, 4)).sum().backward()
    assert model.network.training
    assert model.network.conv1_1.weight.grad.ne(0).any()
    assert torch.equal(model.network.conv1_1.weight, before)


def test_an_empty_list_is_refused():
    with pytest.raises(UserError, match=r"--model.pool_sizes \[\]: needs one number per stage"):
        ConvNet(widths=8, pool_sizes=[])
