import math

import pytest
import torch
import torch.nn.functional as F

from lenet import Digits, LeNet, LeNet5, Trainer
from lenet.errors import UserError
from lenet.models.lenet5 import TABLE
from lenet.models.rbf import BITMAPS, J, map_loss

PARAMETERS = {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}
CONNECTIONS = {
    **{"c1": 122_304, "s2": 5_880, "c3": 151_600, "s4": 2_000, "c5": 48_120, "f6": 10_164},
    "output": 840,
}


def parameters(model) -> dict[str, int]:
    counts = {
        name: sum(p.numel() for p in layer.parameters() if p.requires_grad)
        for name, layer in model.network.named_children()
    }
    return {name: count for name, count in counts.items() if count}


def test_every_layer_has_the_papers_60_000_trained_parameters():
    assert parameters(LeNet5()) == PARAMETERS
    assert sum(PARAMETERS.values()) == 60_000


def test_a_linear_output_adds_850_parameters():
    assert parameters(LeNet5(output="linear")) == {**PARAMETERS, "output": 850}
    assert parameters(LeNet5(output="linear", num_classes=47))["output"] == 85 * 47


def test_there_are_340_908_connections():
    # Measured, not multiplied out: what depends on what, by gradients. A value of a layer is
    # connected to every value of the layer before that moves it, and to its bias.
    model, counts = LeNet5().double(), {}
    values = torch.randn(1, 1, 32, 32, dtype=torch.float64)
    for name, layer in model.network.named_children():
        if name in CONNECTIONS:
            example = values.detach().requires_grad_()
            out = layer(example)
            maps = out.shape[1]
            units = out.numel() // maps
            middle = out.reshape(maps, units)[:, units // 2]
            fan_ins = [
                int(torch.autograd.grad(unit, example, retain_graph=True)[0].count_nonzero())
                for unit in middle
            ]
            counts[name] = units * sum(n + (name != "output") for n in fan_ins)
        values = layer(values)
    assert counts == CONNECTIONS
    assert sum(CONNECTIONS.values()) == 340_908


def test_the_table_is_the_papers():
    # Six maps of three neighbours, six of four, three of four that are not, and one of all.
    assert TABLE[:6] == [sorted((i + k) % 6 for k in range(3)) for i in range(6)]
    assert TABLE[6:12] == [sorted((i + k) % 6 for k in range(4)) for i in range(6)]
    assert TABLE[12:] == [[0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5], [0, 1, 2, 3, 4, 5]]


def test_c3_is_sixteen_convolutions_of_the_maps_in_the_table():
    torch.manual_seed(0)
    c3, maps = LeNet5().network.c3, torch.randn(2, 6, 14, 14)
    kernels = iter(c3.weight)
    by_hand = [
        sum(F.conv2d(maps[:, [i]], next(kernels)[None, None]) for i in inputs) + bias
        for inputs, bias in zip(TABLE, c3.bias, strict=True)
    ]
    torch.testing.assert_close(c3(maps), torch.cat(by_hand, dim=1))


def test_subsampling_is_a_sum_times_a_coefficient_plus_a_bias():
    s2, maps = LeNet5().network.s2, torch.randn(2, 6, 28, 28)
    by_hand = maps.unfold(2, 2, 2).unfold(3, 2, 2).sum(dim=(-2, -1))
    by_hand = by_hand * s2.weight[:, None, None] + s2.bias[:, None, None]
    torch.testing.assert_close(s2(maps), by_hand)


def test_squashing_maps_one_to_one_and_saturates_at_1_7159():
    squash = LeNet5().network.squash6
    found = squash(torch.tensor([-100.0, -1.0, 0.0, 1.0, 100.0]))
    torch.testing.assert_close(
        found, torch.tensor([-1.7159, -1.0, 0.0, 1.0, 1.7159]), atol=1e-4, rtol=0
    )


def test_initial_weights_fill_the_range_of_2_4_by_the_fan_in():
    torch.manual_seed(0)
    network = LeNet5(output="linear").network
    for name, fan_in in {"c1": 25, "c5": 400, "f6": 120, "output": 84}.items():
        most = network.get_submodule(name).weight.abs().max()
        assert 0.9 * 2.4 / fan_in < most <= 2.4 / fan_in
    for name in ("s2", "s4"):
        assert network.get_submodule(name).weight.abs().max() <= 0.6
    kernels = iter(network.c3.weight)
    for inputs in TABLE:
        most = max(next(kernels).abs().max() for _ in inputs)
        assert 0.9 * 2.4 / (25 * len(inputs)) < most <= 2.4 / (25 * len(inputs))


def test_codes_are_ten_different_drawings_that_are_not_trained():
    assert BITMAPS.shape == (10, 12 * 7)
    assert BITMAPS.unique().tolist() == [-1, 1]
    assert torch.cdist(BITMAPS, BITMAPS, p=0).fill_diagonal_(84).min() >= 10
    one = BITMAPS[1].view(12, 7)
    assert one[:, 3].tolist() == [1] * 10 + [-1] * 2
    model = LeNet5()
    assert "network.output.codes" in model.state_dict()
    assert not list(model.network.output.parameters())


def test_logits_are_negated_squared_distances_to_the_codes():
    output = LeNet5().network.output
    logits = output(BITMAPS)
    assert logits.argmax(dim=1).tolist() == list(range(10))
    torch.testing.assert_close(logits, -(torch.cdist(BITMAPS, BITMAPS) ** 2), atol=1e-3, rtol=0)
    assert LeNet5(num_classes=7)(torch.zeros(1, 1, 32, 32)).shape == (1, 7)


def test_the_loss_is_equation_9():
    distances, right = [3.0, 0.5, 7.0], 1
    by_hand = distances[right] + math.log(math.exp(-J) + sum(math.exp(-y) for y in distances))
    found = map_loss(-torch.tensor([distances]), torch.tensor([right]))
    assert found.item() == pytest.approx(by_hand)
    model, labels = LeNet5(), torch.tensor([right])
    assert model.loss(-torch.tensor([distances]), labels).item() == pytest.approx(by_hand)
    linear = LeNet5(output="linear").loss(-torch.tensor([distances]), labels)
    assert linear == F.cross_entropy(-torch.tensor([distances]), labels)


def test_more_than_ten_classes_need_a_linear_output():
    with pytest.raises(UserError, match=r"--model.output rbf.*not 47.*--model.output linear"):
        LeNet5(num_classes=47)
    assert LeNet5(num_classes=47, output="linear")(torch.zeros(1, 1, 32, 32)).shape == (1, 47)


def test_color_images_are_taken_and_other_sizes_refused():
    assert LeNet5(in_channels=3)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    with pytest.raises(UserError, match=r"28x28 images do not fit LeNet5"):
        LeNet5(image_size=28)


def test_images_reach_it_from_minus_0_1_to_1_175_and_others_normalised():
    for model in (LeNet5(), LeNet()):
        data, seen = Digits(), []
        model.network.register_forward_pre_hook(
            lambda _, args, seen=seen: seen.append((args[0].min().item(), args[0].max().item()))
        )
        trainer = Trainer(
            logger=False,
            accelerator="cpu",
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        )
        trainer.test(model, datamodule=data, verbose=False)
        low, high = min(a for a, _ in seen), max(b for _, b in seen)
        wanted = (-0.1, 1.175) if type(model) is LeNet5 else (-0.3054 / 0.3760, 0.6946 / 0.3760)
        # Resizing overshoots neither end.
        assert (low, high) == pytest.approx(wanted, abs=0.02)
        by_hand = data.normalize(torch.tensor([[[[0.0, 255.0]]]]), model.input_range)
        assert by_hand.flatten().tolist() == pytest.approx(wanted, abs=1e-3)
