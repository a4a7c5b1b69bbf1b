"""Files of earlier versions, which have options under their old names, do what they did."""

import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from lenet import Digits, ImageFolder, Trainer, load
from lenet.runs import checkpoints
from lenet.runs.renamed_options import rename_in_config, rename_options
from tests.conftest import QUIET
from tests.small import write_folder

OLD = Path(__file__).parent / "old_runs" / "ConvNet-ImageFolder-1"
RUN = Path("runs/ConvNet-ImageFolder-1")
FIT = ["fit", "--model", "ConvNet", "--model.widths", "[4]", "--trainer.max_epochs", "1"]
FIT += ["--trainer.accelerator", "cpu", *QUIET]
PHOTOS = {"class_path": "ImageFolder", "init_args": {"root": "photos", "colour": False}}


@pytest.fixture
def photos() -> None:
    write_folder(Path("photos"))


@pytest.fixture
def old_run(photos) -> Path:
    """A run on a folder of images, whose config and checkpoints say ``colour: true``."""
    return Path(shutil.copytree(OLD, RUN))


def channels(run: str) -> int:
    path = Path("runs", run, "checkpoints", "best.ckpt")
    options = torch.load(path, weights_only=True)["datamodule_hyper_parameters"]
    assert "colour" not in options
    return 3 if options["color"] else 1


def test_an_old_run_is_tested_and_predicted(lenet, old_run):
    for verb in ("test", "predict"):
        done = lenet(verb, *QUIET)
        assert done.code == 0, done.err
    assert (old_run / "test.json").is_file()
    assert (old_run / "predictions.csv").is_file()


def test_an_old_run_is_resumed_and_keeps_the_new_name(lenet, old_run):
    done = lenet("fit", "--ckpt_path", "last", "--trainer.max_epochs", "2", *QUIET)
    assert done.code == 0, done.err
    config = yaml.safe_load((old_run / "config.yaml").read_text())
    assert config["data"]["init_args"]["color"] is True
    assert "colour" not in config["data"]["init_args"]
    assert channels(old_run.name) == 3


def test_an_old_checkpoint_works_from_python(photos, tmp_path):
    checkpoint = torch.load(OLD / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["datamodule_hyper_parameters"]["colour"] is True
    path = tmp_path / "old.ckpt"
    torch.save(checkpoint, path)
    model = load(path)
    options = checkpoints.class_specs(checkpoints.read(path))["data"]["init_args"]
    data = ImageFolder(**options)
    assert (model.in_channels, data.in_channels) == (3, 3)
    trainer = Trainer(logger=False, accelerator="cpu", enable_progress_bar=False)
    [found] = trainer.test(model, datamodule=data, ckpt_path=str(path))
    assert found["test/accuracy"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("place", ["config", "file", "text"])
def test_an_old_config_still_brings_images_to_gray(lenet, photos, place):
    old = {"data": PHOTOS} if place == "config" else PHOTOS
    Path("old.yaml").write_text(yaml.safe_dump(old))
    given = {
        "config": ["--config", "old.yaml"],
        "file": ["--data", "old.yaml"],
        "text": ["--data", yaml.safe_dump(old, default_flow_style=True, width=1000).strip()],
    }
    done = lenet(*FIT, *given[place])
    assert done.code == 0, done.err
    assert channels("ConvNet-ImageFolder-1") == 1


@pytest.mark.parametrize(
    "old",
    ["data: {colour: false}", "data: {init_args: {colour: false}}", "data.colour: false"],
)
def test_an_old_config_need_not_name_the_class(lenet, old_run, old):
    Path("old.yaml").write_text(old)
    done = lenet("test", "--config", "old.yaml", "--print_config")
    assert re.search(r"^ +color: false$", done.out, re.MULTILINE), done.err


def test_the_old_name_is_no_option(lenet, photos):
    done = lenet(*FIT, "--data", "ImageFolder", "--data.colour", "true")
    assert done.code == 2
    assert "--data.colour: no such option. Did you mean --data.color?" in done.err
    assert "colour" not in lenet("fit", "--data.help", "ImageFolder").out


def test_options_of_other_classes_keep_their_names():
    mine = {"class_path": "my.Photos", "init_args": {"colour": "red"}}
    config = {"data": mine, "model": mine, "model.colour": 1, "colour": 2, 3: 4}
    assert rename_in_config(config) == config
    assert rename_in_config(mine) == mine
    assert rename_options("model", "lenet.ImageFolder", {"colour": 1}) == {"colour": 1}
    assert "color" not in Digits().hparams
