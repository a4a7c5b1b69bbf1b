import pytest
import torch
import torchvision
from torch import nn
from torchvision import models
from torchvision.models import _api

from lenet import Digits, TorchvisionModel, Trainer
from lenet.errors import UserError
from tests.conftest import TINY

# One of every family that runs in a moment, with a size that it takes.
FAMILIES = {
    **{"alexnet": 64, "vgg11": 32, "resnet18": 32, "densenet121": 32, "squeezenet1_1": 32},
    **{"googlenet": 32, "inception_v3": 75, "mobilenet_v3_small": 32, "shufflenet_v2_x0_5": 32},
    **{"efficientnet_b0": 32, "regnet_x_400mf": 32, "mnasnet0_5": 32, "convnext_tiny": 32},
    **{"vit_b_32": 32, "swin_t": 32},
}


def test_our_module_is_not_taken_for_the_package():
    assert models.resnet18.__module__ == "torchvision.models.resnet"
    assert torchvision.__name__ == "torchvision"


@pytest.mark.parametrize(
    ("name", "size", "channels"),
    # Networks are made for colour images: with those, nothing but the last layer is replaced.
    [*((name, size, 1) for name, size in FAMILIES.items()), ("resnet18", 32, 3)],
)
def test_every_family_is_sized_to_channels_and_classes(name, size, channels):
    # Without memory: what is asked is which sizes come out, in training and in evaluation.
    device = "cpu" if name.startswith("regnet") else "meta"
    with torch.device(device):
        model = TorchvisionModel(name, in_channels=channels, num_classes=7, image_size=size)
        for training in (True, False):
            logits = model.train(training)(torch.zeros(2, channels, size, size))
            assert logits.shape == (2, 7)
    last = [x for x in model.network.modules() if isinstance(x, (nn.Linear, nn.Conv2d))][-1]
    assert last.weight.shape[0] == 7


def test_a_gray_image_gives_what_it_gave_as_a_color_one():
    for channels in (1, 2):
        torch.manual_seed(0)
        color = TorchvisionModel("alexnet", in_channels=3, image_size=64).eval()
        torch.manual_seed(0)
        other = TorchvisionModel("alexnet", in_channels=channels, image_size=64).eval()
        gray = torch.randn(2, 1, 64, 64)
        torch.testing.assert_close(
            other(gray.expand(-1, channels, -1, -1)), color(gray.expand(-1, 3, -1, -1))
        )


def test_finding_out_whether_images_fit_draws_no_random_numbers():
    torch.manual_seed(0)
    direct = models.resnet18(num_classes=10)
    torch.manual_seed(0)
    model = TorchvisionModel("resnet18", in_channels=3)
    assert all(a.equal(b) for a, b in zip(direct.parameters(), model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("name", "size", "fits"),
    [
        ("alexnet", 32, 64),
        ("inception_v3", 32, 96),
        ("vgg11", 28, 32),
        ("vit_b_32", 48, 64),
        ("maxvit_t", 32, 224),
    ],
)
def test_images_that_do_not_fit_are_refused_with_a_size_that_does(name, size, fits):
    wanted = rf"{size}x{size} images do not fit {name}. .*--data.image_size {fits}\."
    with pytest.raises(UserError, match=wanted):
        TorchvisionModel(name, image_size=size)
    with torch.device("meta"):
        TorchvisionModel(name, image_size=fits)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"resnet19: .*no such network. Did you mean resnet18 or "):
        TorchvisionModel("resnet19")
    with pytest.raises(UserError, match=r"no such network. Choose from alexnet, convnext_base, "):
        TorchvisionModel("qqq")
    with pytest.raises(UserError, match=r"IMAGENET: .* Choose from IMAGENET1K_V1, DEFAULT"):
        TorchvisionModel(weights="IMAGENET")


def test_a_last_batch_of_one_image_is_trained_on():
    model = TorchvisionModel().train()  # whose last maps are of one pixel
    last = model.network.layer4[1].bn2
    model(torch.randn(1, 1, 32, 32)).sum().backward()
    assert model.network.training
    assert model.network.conv1.weight.grad.abs().sum() > 0
    model(torch.randn(2, 1, 32, 32))
    assert (model.network.bn1.num_batches_tracked, last.num_batches_tracked) == (2, 1)


def trainer(**options) -> Trainer:
    return Trainer(
        max_steps=1,
        limit_val_batches=0,
        logger=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def test_weights_are_fetched_when_a_training_starts_and_only_then(monkeypatch):
    torch.manual_seed(1)
    published, fetched = models.mobilenet_v3_small().state_dict(), []

    def fetch(url, **_):
        fetched.append(url)
        return published

    monkeypatch.setattr(_api, "load_state_dict_from_url", fetch)
    model = TorchvisionModel("mobilenet_v3_small", weights="DEFAULT", lr=1e-30)
    assert not fetched
    trainer(enable_checkpointing=False).test(model, datamodule=Digits(), verbose=False)
    assert not fetched
    fit = trainer(enable_checkpointing=False)
    fit.fit(model, datamodule=Digits())
    assert len(fetched) == 1
    found = model.network.state_dict()
    middle = "features.5.block.0.0.weight"
    torch.testing.assert_close(found[middle], published[middle])
    gray = published["features.0.0.weight"].sum(dim=1, keepdim=True)
    torch.testing.assert_close(found["features.0.0.weight"], gray)
    assert found["classifier.3.weight"].shape == (10, 1024)
    fit.save_checkpoint("mine.ckpt")
    trainer(max_epochs=2, enable_checkpointing=False).fit(
        model, datamodule=Digits(), ckpt_path="mine.ckpt"
    )
    assert len(fetched) == 1


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_trained_weights_come_without_their_further_outputs(monkeypatch, name):
    published = models.get_model(name, init_weights=False, aux_logits=True).state_dict()
    monkeypatch.setattr(_api, "load_state_dict_from_url", lambda url, **_: published)
    model = TorchvisionModel(name, weights="DEFAULT", image_size=96)
    model._load_trained("DEFAULT")
    found = model.network.state_dict()
    assert found.keys() == {key for key in published if not key.lower().startswith("aux")}
    kernel = [key for key in found if key.endswith("conv.weight")][5]
    assert torch.equal(found[kernel], published[kernel])
    assert model(torch.zeros(2, 1, 96, 96)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "raised", "said"),
    [
        ("vit_b_32", None, "do not fit 64x64 images. Set --data.image_size 224."),
        ("resnet18", RuntimeError("invalid hash value"), r"cannot be used \(invalid hash value\)"),
    ],
)
def test_weights_of_another_size_or_content_are_refused(monkeypatch, name, raised, said):
    def fetch(url, **_):
        if raised is None:
            return models.get_model(name).state_dict()
        raise raised

    monkeypatch.setattr(_api, "load_state_dict_from_url", fetch)
    model = TorchvisionModel(name, weights="DEFAULT", image_size=64)
    with pytest.raises(UserError, match=said):
        model._load_trained("DEFAULT")


def test_weights_that_cannot_be_fetched_are_one_line(lenet, monkeypatch):
    def fail(url, **_):
        raise OSError("no route")

    monkeypatch.setattr(_api, "load_state_dict_from_url", fail)
    args = ["--model", "TorchvisionModel", "--model.weights", "DEFAULT"]
    done = lenet("fit", *args, *TINY)
    assert done.code == 2
    assert "--model.weights DEFAULT: could not be downloaded (no route)." in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(("name", "size"), [("alexnet", 64), ("resnet18", 96)])
def test_small_images_are_resized_to_what_a_network_takes(lenet, name, size):
    # SGD and no checkpoint: AlexNet has 57 million parameters.
    args = ["--model", "TorchvisionModel", "--model.name", name, "--model.optimizer", "SGD"]
    args += ["--data.image_size", str(size), "--data.batch_size", "2"]
    args += ["--trainer.limit_train_batches", "1", "--trainer.limit_val_batches", "1"]
    done = lenet("fit", *TINY, *args, "--trainer.enable_checkpointing", "false")
    assert done.code == 0, done.err
