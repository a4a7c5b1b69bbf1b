"""What bad input gets: one line with the argument, its value and the way out, and exit code 2."""

import errno
import os
from pathlib import Path

import pytest

from tests.conftest import TINY

MISTAKES = {
    "a word": ("help", "help: not an option: they begin with --. All are in --help."),
    "an option": ("--model.lrr 3", "--model.lrr: no such option. Did you mean --model.lr?"),
    "an option of another model": (
        "--model.widths+ 3 --model ConvNet",
        "--model.widths: no such option of LeNet. --model ConvNet comes before it.",
    ),
    "an option of another data set": (
        "--data.what test50k",
        "--data.what: no such option of Digits. --data QMNIST comes before it.",
    ),
    "an option of the trainer": (
        "--trainer.max_epoch 3",
        "--trainer.max_epoch: no such option. Did you mean --trainer.max_epochs?",
    ),
    "an option of an optimizer": (
        "--model.optimizer SGD --model.optimizer.momentun 0.9",
        "--model.optimizer.momentun: no such option. Did you mean --model.optimizer.momentum?",
    ),
    "a second learning rate": (
        "--model.optimizer SGD --model.optimizer.lr 0.1",
        "--model.optimizer.lr: no such option. The only learning rate is --model.lr.",
    ),
    "an option of a schedule": (
        "--model.scheduler CosineAnnealingLR --model.scheduler.T_maxx 3",
        "--model.scheduler.T_maxx: no such option. Did you mean --model.scheduler.T_max?",
    ),
    "a schedule without what it needs": (
        "--model.scheduler StepLR",
        "--model.scheduler StepLR: also needs --model.scheduler.step_size.",
    ),
    "a model": ("--model LeNett", "--model LeNett: no such class. Did you mean LeNet?"),
    "a data set": ("--data MNISt", "--data MNISt: no such class. Did you mean MNIST?"),
    "an optimizer": (
        "--model.optimizer Adamm",
        "--model.optimizer Adamm: no such class. Did you mean Adam?",
    ),
    "a schedule": (
        "--model.scheduler OneCycle",
        "--model.scheduler OneCycle: no such class. Did you mean OneCycleLR?",
    ),
    "a float": ("--model.lr abc", "--model.lr abc: expected float."),
    "an int": ("--trainer.max_epochs 1.5", "--trainer.max_epochs 1.5: expected int."),
    "an int of the data": ("--data.batch_size x", "--data.batch_size x: expected int."),
    "a choice": ("--model.activation rel", "--model.activation rel: must be one of relu,"),
    "a mode": ("--checkpoint.mode maxx", "must be one of min, max. Did you mean max?"),
    "a number out of range": ("--model.lr 0", "--model.lr 0.0: must be greater than 0."),
    "a part of more than all": (
        "--model.label_smoothing 1",
        "--model.label_smoothing 1.0: must be from 0 to less than 1.",
    ),
    "smoothing without cross-entropy": (
        "--model LeNet5 --model.label_smoothing 0.1",
        "--model.label_smoothing 0.1: LeNet5 has a loss of its own, which takes none. Make it 0.",
    ),
    "classes": (
        "--model.num_classes 7",
        "--model.num_classes 7: does not fit Digits, which has 10.",
    ),
    "channels": (
        "--model.in_channels 3",
        "--model.in_channels 3: does not fit Digits, which has 1.",
    ),
    "images too small": ("--data.image_size 12", "12x12 are too small for LeNet"),
    "a figure": (
        "--checkpoint.monitor val/acc",
        "--checkpoint.monitor val/acc: no such figure is logged. Did you mean val/accuracy?",
    ),
    "another figure": (
        "--early_stopping.monitor val/los",
        "--early_stopping.monitor val/los: no such figure is logged. Did you mean val/loss?",
    ),
    "a number that is none": ("--model.lr null", "--model.lr null: needs a value."),
    "no model": ("--model null", "--model must be given."),
    "a callback": ("--trainer.callbacks+=EarlyStoping", "no such class."),
    "a base class": ("--model ImageClassifier", "ImageClassifier"),
    "a peak": (
        "--model.scheduler OneCycleLR --model.scheduler.max_lr 5",
        "--model.scheduler.max_lr 5.0: the peak of OneCycleLR is --model.lr",
    ),
    "a seed": ("--seed_everything -1", "-1"),
    "an accelerator": ("--trainer.accelerator gpuu", "gpuu"),
    "a scaling": ("--data.scaling 1", "--data.scaling 1.0: must be less than 1."),
    "a run without its option": ("runs", "runs: not an option: they begin with --."),
    "no config": ("--config nope.yaml", "--config nope.yaml: no such file."),
    "no value": ("--ckpt_path", "--ckpt_path"),
    "no option at all": ("extra", "extra"),
}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("configs/mnst.yaml", " Did you mean configs/mnist.yaml?"),
        ("config/mnist.yaml", " Did you mean configs/mnist.yaml?"),
        ("mnist.yaml", " Did you mean configs/mnist.yaml?"),
        ("mlpp.yaml", " Did you mean mlp.yaml?"),
        ("mnist", " Did you mean configs/mnist.yaml?"),
        ("configs/MNIST.yml", " Did you mean configs/mnist.yaml?"),
        ("configs/zzz.yaml", ""),
        ("configs/resnet.yaml", ""),
        ("elsewhere/nothing.yaml", ""),
        ("long/" * 2000, ""),
    ],
)
def test_the_nearest_config_is_asked_for(lenet, given, meant):
    Path("configs").mkdir()
    Path("configs/mnist.yaml").touch()
    Path("mlp.yaml").touch()
    assert the_line(lenet("fit", "--config", given)).endswith(f"no such file.{meant}")


def the_line(done) -> str:
    assert done.code == 2
    assert "Traceback" not in done.err
    [line] = [line for line in done.err.splitlines() if "error:" in line]
    return line


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_a_mistake_gets_one_line_that_names_it(lenet, mistake):
    args, message = MISTAKES[mistake]
    done = lenet("fit", *TINY, *args.split())
    assert message in the_line(done)


def test_an_accelerator_whose_package_is_missing_gets_one_line(lenet):
    the_line(lenet("fit", *TINY, "--trainer.accelerator", "tpu"))
    assert not list(Path().glob("runs/*"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("trainer: [", "not YAML, line 1"),
        ("a: b: c", "not YAML, line 1"),
        ("hello", "has no options in it"),
        ("[1, 2]", "has no options in it"),
        (b"\x93\xff\x00", "not a text file"),
        ("traine: 3", "traine: no such option. Did you mean trainer?"),
        (
            "trainer: {max_epoch: 3}",
            "trainer.max_epoch: no such option. Did you mean trainer.max_epochs?",
        ),
        ("model: {init_args: {lrr: 3}}", "--model.lrr: no such option. Did you mean --model.lr?"),
        ("model: LeNt", "--model LeNt: no such class. Did you mean LeNet?"),
        ("early_stopping: {patience: many}", "--early_stopping.patience many: expected int."),
    ],
)
def test_a_bad_config_gets_one_line_that_names_it(lenet, content, message):
    Path("bad.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    line = the_line(lenet("fit", *TINY, "--config", "bad.yaml"))
    assert message in line
    if "not" in message or "has no" in message:
        assert "--config bad.yaml" in line
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["fitt"], "fitt: no such command. Did you mean fit?"),
        ([], "no command. There are fit, validate, test, predict, run, export"),
    ],
)
def test_a_bad_command_gets_the_commands(lenet, args, message):
    assert message in the_line(lenet(*args))


def test_abbreviations_are_mistakes(lenet):
    assert "--trainer.max_e" in the_line(lenet("fit", "--trainer.max_e", "3"))


def denied(path, *args, **kwargs):
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_a_root_that_cannot_be_written_is_named(lenet, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", denied)
    line = the_line(lenet("fit", *TINY, "--trainer.default_root_dir", "locked"))
    root = Path("locked").absolute()
    assert line.startswith(
        f"lenet: error: --trainer.default_root_dir {root}: no run can be kept there (Permission "
    )


def test_a_data_folder_that_cannot_be_written_is_named(lenet, monkeypatch):
    monkeypatch.setattr(os, "makedirs", denied)
    line = the_line(lenet("fit", "--data.root", "locked"))
    assert str(Path("locked").absolute()) in line
    assert "Permission denied" in line


def test_a_root_that_is_a_file_is_named(lenet):
    Path("file").touch()
    line = the_line(lenet("fit", *TINY, "--trainer.default_root_dir", "file"))
    assert str(Path("file").absolute()) in line


def test_a_mistake_leaves_nothing_behind(lenet):
    for args in ("--model.lrr 3", "--model.lr 0", "--model.num_classes 7"):
        assert lenet("fit", *TINY, *args.split()).code == 2
    assert not Path("runs").exists()
