import re
from pathlib import Path

import pytest
import torch

import lenet as package
from lenet import Digits, ImageClassifier, load
from tests.conftest import QUIET, TINY

MODELS = sorted(
    name
    for name in package.__all__
    if isinstance(cls := getattr(package, name), type)
    and issubclass(cls, ImageClassifier)
    and cls is not ImageClassifier
)
# A smaller network than its default, whose checkpoints are 130 MB each.
FLAGS = {"TorchvisionModel": ["--model.name", "shufflenet_v2_x0_5"]}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_fits_digits_and_reloads_by_best(lenet, name):
    done = lenet("fit", "--model", name, *FLAGS.get(name, []), *TINY)
    assert done.code == 0, done.err
    done = lenet("test", "--ckpt_path", "best", *QUIET)
    assert done.code == 0, done.err
    [result] = Path("runs").glob(f"{name}-Digits-1/test.json")
    found = re.search(r'"test/accuracy": ([\d.]+)', result.read_text())
    model = load("best")
    data = Digits(image_size=model.image_size)
    images, labels = data.read(train=False)
    with torch.inference_mode():
        logits = model(data.normalize(data.to_size(images), model.input_range))
    right = (logits.argmax(dim=1) == labels).float().mean().item()
    assert found
    assert float(found[1]) == pytest.approx(right, abs=0.01)


def explanations(text: str) -> dict[str, str]:
    """Give what a help says of each option, without the name and the type of its value."""
    options = re.findall(r"\n  (--[\w.]+)((?:[^\n]|\n {4,})*)", text)
    found = {name: re.sub(r"^ (\S+|\{.*?\}|\[.*?\])(?=\s)", "", rest) for name, rest in options}
    return {name: rest.partition("(type:")[0].strip() for name, rest in found.items()}


@pytest.mark.parametrize("name", MODELS)
def test_every_option_of_every_model_is_explained(lenet, name):
    done = lenet("fit", "--model.help", name)
    assert done.code == 0, done.err
    texts = explanations(done.out)
    assert "--model.lr" in texts
    assert [option for option, text in texts.items() if not text] == []
    assert (getattr(package, name).__doc__ or "").splitlines()[0].rstrip(".") in done.out


@pytest.mark.parametrize("name", ["MNIST", "QMNIST", "ImageFolder"])
def test_every_option_of_the_data_is_explained(lenet, name):
    done = lenet("predict", "--data.help", name)
    texts = explanations(done.out)
    assert {"--data.root", "--data.predict_path", "--data.raw"} <= texts.keys()
    assert [option for option, text in texts.items() if not text] == []
