import json
import logging
import os
import shutil
import sys
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchvision.models import VisionTransformer

import lenet as package
from lenet import load
from lenet.errors import UserError
from lenet.export import agreement, export
from lenet.models import ImageClassifier
from tests.conftest import QUIET, REPOSITORY, TINY
from tests.pages import blocks

FORMATS = (".onnx", ".pt2")


class Attentive(ImageClassifier):
    """A small transformer."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.network = VisionTransformer(self.image_size, 8, 2, 2, 16, 32, num_classes=10)


class Undecided(ImageClassifier):
    """A network that says something else each time."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(self.image_size**2, 10))

    def forward(self, images: Tensor) -> Tensor:
        return F.dropout(self.network(images), training=True)


class Branching(Undecided):
    """A network that does something else with dark images."""

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images if images.mean() > 0 else -images)


MODELS = {
    "LeNet": ("LeNet", {}),
    "LeNet5-rbf": ("LeNet5", {}),
    "LeNet5-linear": ("LeNet5", {"output": "linear"}),
    "MLP": ("MLP", {"dropout": 0.5, "activation": "gelu"}),
    "ConvNet": ("ConvNet", {"batch_norm": True, "dropout": 0.5}),
    "ResNet": ("TorchvisionModel", {"name": "resnet18"}),
}


def stirred(model: ImageClassifier, data) -> ImageClassifier:
    """Take a model away from where it starts, so that images do not all give the same."""
    torch.manual_seed(0)
    data.match_size(model)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None  # a mean of all that it sees
        images = torch.randint(256, (16, data.in_channels, 28, 28))
        pixels = data.normalize(data.to_size(images), model.input_range)
        model.train()
        model(pixels)
        model.eval()
        last = [layer for layer in model.modules() if isinstance(layer, nn.Linear)][-1]
        last.weight.normal_(std=0.1)
        last.weight.mul_((1 / model(pixels).std(dim=0).mean()).clamp(max=30))
        logits = model(pixels)
        assert logits.std(dim=0).mean() > 1e-3
    return model


def run(file: str, images: Tensor) -> Tensor:
    if file.endswith(".pt2"):
        return torch.export.load(file).module()(images)
    session = onnxruntime.InferenceSession(file)
    return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def expected(model, data, images: Tensor) -> Tensor:
    with torch.inference_mode():
        pixels = data.normalize(data.to_size(255 * images), model.input_range)
        return model(pixels).softmax(dim=1)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", [*MODELS, "Attentive"])
def test_every_model_is_exported_and_gives_what_it_gave(name, suffix, monkeypatch):
    monkeypatch.setattr(agreement, "BATCH_SIZES", (1, 3))
    data = package.MNIST()
    cls, options = MODELS.get(name, (None, {"in_channels": 3}))
    model = getattr(package, cls)(**options) if cls else Attentive(**options)
    if cls is None:
        data.in_channels, data.mean, data.std = 3, (0.1, 0.2, 0.3), (0.3, 0.2, 0.1)
    stirred(model, data)
    file = str(export(model, data, f"model{suffix}"))
    images = torch.rand(7, data.in_channels, 28, 28)
    # LeNet5's own rounding is more than the others'.
    torch.testing.assert_close(
        run(file, images),
        expected(model, data, images),
        rtol=0,
        atol=4e-5 if "rbf" in name else 1e-5,
    )
    assert sorted(os.listdir()) == [f"model{suffix}"]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("size", [20, 28, 32, 45])
def test_padding_and_resizing_are_in_the_file(size, suffix):
    data = package.MNIST(image_size=size)
    model = stirred(package.MLP(image_size=size), data)
    file = str(export(model, data, f"mlp{suffix}"))
    for n in (1, 2, 1000):
        images = torch.rand(n, 1, 28, 28)
        assert (run(file, images) - expected(model, data, images)).abs().max() <= 1e-5


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_training_is_exported_and_says_what_it_is(lenet, trained, suffix, recwarn, caplog):
    before = sorted(Path("runs").rglob("*"))
    done = lenet("export", "--ckpt_path", "best", "--output", f"digits{suffix}")
    assert done.code == 0, done.err
    assert "Checked on 1,364 images" in done.out
    assert "images: float32 (N, 1, 8, 8), gray, in [0, 1]" in done.out
    # Nothing beside of PyTorch's and ONNX's own progress.
    assert (len(done.out.splitlines()), len(done.err.splitlines())) == (3, 1)
    assert not list(recwarn)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert sorted(Path("runs").rglob("*")) == before
    assert sorted(os.listdir()) == [f"digits{suffix}", "runs"]
    if suffix == ".onnx":
        session = onnxruntime.InferenceSession("digits.onnx")
        said = session.get_modelmeta().custom_metadata_map
        said["classes"] = json.loads(said["classes"])
        assert [value.shape for value in session.get_inputs()] == [["N", 1, 8, 8]]
        assert [value.shape for value in session.get_outputs()] == [["N", 10]]
        assert onnx.load("digits.onnx").opset_import[0].version == 18
        assert str(REPOSITORY).encode() not in Path("digits.onnx").read_bytes()
    else:
        files = {"metadata.json": ""}
        torch.export.load("digits.pt2", extra_files=files)
        said = json.loads(files["metadata.json"])
    assert said == {
        "classes": list("0123456789"),
        "model": "LeNet",
        "data": "Digits",
        "checkpoint": "LeNet-Digits-1/checkpoints/best.ckpt",
        "input": "images: float32 (N, 1, 8, 8), gray, in [0, 1]",
        "output": "probabilities: float32 (N, 10)",
        "lenet": package.__version__,
    }
    data = package.Digits()
    images = data.read(train=False)[0] / 255
    found = run(f"digits{suffix}", images)
    assert (found - expected(load("best"), data, images)).abs().max() <= 1e-5


def test_without_output_the_file_is_called_as_the_checkpoint_and_replaced(lenet, trained):
    Path("runs/LeNet-Digits-1/last.onnx").write_text("old")
    for name in ("best", "last"):
        assert lenet("export", "--ckpt_path", name).code == 0
    onnx.checker.check_model("runs/LeNet-Digits-1/last.onnx")
    assert {path.name for path in Path("runs/LeNet-Digits-1").glob("*.onnx")} == {
        "best.onnx",
        "last.onnx",
    }


@pytest.mark.parametrize("name", ["MNIST", "ImageFolder"])
def test_the_data_set_need_not_be_there(lenet, small, name):
    root = small(name)
    folder = ["--data.root", str(root)] if name == "ImageFolder" else []
    assert lenet("fit", "--data", name, *folder, *TINY[2:]).code == 0
    shutil.rmtree(root)
    done = lenet("export", "--output", "model.onnx")
    assert done.code == 0, done.err
    assert "Checked on 1,004 images" in done.out
    said = onnxruntime.InferenceSession("model.onnx").get_modelmeta().custom_metadata_map
    data = lenet("test", *QUIET)
    assert data.code == 2
    assert str(root) in data.err
    if name == "ImageFolder":
        assert json.loads(said["classes"]) == ["blue sky", "night", "été"]
        assert "no such folder" in data.err


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_gives_something_else_is_not_written(suffix):
    Path(f"old{suffix}").write_text("kept")
    with pytest.raises(
        UserError,
        match=r"not written, because its probabilities differ from those of \w+ by up to 0\.\d",
    ):
        export(Undecided(), package.MNIST(), f"old{suffix}")
    assert os.listdir() == [f"old{suffix}"]
    assert Path(f"old{suffix}").read_text() == "kept"


def test_a_model_that_rounds_much_may_differ_by_that_but_not_by_more():
    data, model = package.MNIST(), package.MLP()
    data.match_size(model)
    images = agreement.batches(data, (1, 28, 28))

    def run(batch: Tensor, error: float = 3e-5) -> Tensor:
        return agreement.classify(model, data, batch) + error

    with torch.no_grad():
        assert agreement.compare(model, data, images, run)[1] == 1e-5
        model.network[1].weight.mul_(1e4)
        assert 1e-5 < agreement.compare(model, data, images, run)[1] <= 1e-4
    assert model.dtype == torch.float32


def test_weights_that_are_not_numbers_are_not_exported():
    model = package.MLP()
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match="up to nan"):
        export(model, package.MNIST(), "mlp.pt2")


def test_a_model_that_cannot_be_exported_is_refused_with_the_reason():
    with pytest.raises(UserError, match=r"^Branching cannot be exported: .+ See docs/export.md\.$"):
        export(Branching(), package.MNIST(), "model.onnx")
    assert os.listdir() == []


def test_a_model_is_left_in_the_mode_it_was_in():
    model = package.ConvNet(dropout=0.5).train()
    model.network[0].eval()
    export(model, package.MNIST(), "model.pt2")
    assert model.training
    assert model.network.training
    assert not model.network[0].training


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("lenet.pth", "must end in .onnx, .pt2 or .safetensors"),
        ("lenet", "must end in .onnx, .pt2 or .safetensors"),
        ("nowhere/lenet.onnx", "there is no folder nowhere"),
        ("folder.onnx", "is a folder"),
        ("locked.onnx", "is read-only"),
        pytest.param(
            "/proc/lenet.onnx",
            "Give a path in another folder",
            marks=pytest.mark.skipif(not os.path.isdir("/proc"), reason="no /proc"),
        ),
    ],
)
def test_an_output_that_cannot_be_is_one_line(lenet, trained, monkeypatch, output, said):
    Path("folder.onnx").mkdir()
    Path("locked.onnx").touch()
    access = os.access  # root may write everywhere
    monkeypatch.setattr(
        os, "access", lambda path, mode: "locked" not in str(path) and access(path, mode)
    )
    done = lenet("export", "--output", output)
    assert done.code == 2
    lines = [line for line in done.err.splitlines() if "error" in line]
    assert len(lines) == 1
    assert f"--output {output}: " in lines[0]
    assert said in lines[0]


def test_without_the_packages_one_line_says_what_to_install(lenet, trained, monkeypatch):
    for name in ("onnx", "onnxscript"):
        monkeypatch.setitem(sys.modules, name, None)
    done = lenet("export", "--output", "lenet.onnx")
    assert done.code == 2
    assert "needs onnx, onnxscript. Run pip install 'lenet[export]'" in done.err
    assert lenet("export", "--output", "lenet.pt2").code == 0


def test_python_exports_what_it_has_trained():
    trainer = package.Trainer(max_epochs=1, logger=False, enable_checkpointing=False)
    model, data = package.LeNet(), package.Digits()
    file = trainer.export(model, data, "lenet.pt2")
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(run(str(file), images), expected(model.eval(), data, images))


@pytest.mark.mnist
def test_all_test_images_of_mnist_agree_in_a_file_below_350_kb(lenet, real_mnist, mnist_run):
    shutil.copytree(mnist_run, Path("runs") / mnist_run.name)
    done = lenet("export", "--output", "lenet.onnx")
    assert done.code == 0, done.err
    assert "Checked on 11,004 images" in done.out
    assert Path("lenet.onnx").stat().st_size < 350_000
    assert sorted(os.listdir()) == ["lenet.onnx", "runs"]
    data = package.MNIST()
    images, labels = data.read(train=False)
    found = run("lenet.onnx", images / 255)
    assert found.shape == (10_000, 10)
    assert (found - expected(load("best"), data, images / 255)).abs().max() <= 1e-5
    assert (found.argmax(dim=1) == labels).float().mean() > 0.9


def test_the_code_of_the_page_names_the_digit_in_an_image(lenet, small, capfd):
    small("MNIST")
    assert lenet("fit", *TINY[2:], "--data.val_size", "5").code == 0
    for suffix in FORMATS:
        assert lenet("export", "--output", f"lenet{suffix}").code == 0
    pixels = package.MNIST().read(train=False)[0][3]
    Image.fromarray(pixels[0].numpy()).save("digit.png")
    page = REPOSITORY / "docs" / "export.md"
    with_onnx, with_torch = (block.text for block in blocks(page, "python"))
    capfd.readouterr()
    exec(compile(with_onnx, "export.md", "exec"), {})
    answer = expected(load("best"), package.MNIST(), pixels[None] / 255).argmax().item()
    assert capfd.readouterr().out.strip() == str(answer)
    exec(compile(with_torch, "export.md", "exec"), {})
    assert len(eval(capfd.readouterr().out)) == 5
