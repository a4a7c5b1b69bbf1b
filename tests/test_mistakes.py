"""What bad input gets: one line with the argument, its value and the way out, and exit code 2."""

import errno
import os
from pathlib import Path

import pytest
from lightning.pytorch import loggers

from tests.conftest import DIGITS, QUIET, TINY

MISTAKES = {
    "a word": (
        "help",
        "unexpected argument 'help': options start with --. Did you mean --help?",
    ),
    "an option": ("--model.lrr 3", "--model.lrr: no such option. Did you mean --model.lr?"),
    "an option of another model": (
        "--model.widths+ 3",
        "--model.widths: no such option. ConvNet has it: put --model ConvNet first.",
    ),
    "an option of another data set": (
        "--data.what test50k",
        "--data.what: no such option. QMNIST has it: put --data QMNIST first.",
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
    "a model's option": ("--modle LeNet", "--modle: no such option. Did you mean --model?"),
    "a value that is missing": ("--model.lr", "--model.lr: needs a value."),
    "help of no model": ("--model.help LeNett", "no such class. Did you mean LeNet?"),
    "a schedule without what it needs": (
        "--model.scheduler StepLR",
        "--model.scheduler StepLR: requires --model.scheduler.step_size.",
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
        "--model.label_smoothing 1.0: must be at least 0 and less than 1.",
    ),
    "smoothing without cross-entropy": (
        "--model LeNet5 --model.output rbf --model.label_smoothing 0.1",
        "--model.label_smoothing 0.1: the loss of LeNet5 does not support label smoothing.",
    ),
    "classes": (
        "--model.num_classes 7",
        "--model.num_classes 7: does not fit Digits, which has 10.",
    ),
    "channels": (
        "--model.in_channels 3",
        "--model.in_channels 3: does not fit Digits, which has 1.",
    ),
    "images too small": ("--data.image_size 12", "12x12 images are too small for LeNet"),
    "a figure": (
        "--checkpoint.monitor val/acc",
        "--checkpoint.monitor val/acc: no such metric is logged. Did you mean val/accuracy?",
    ),
    "another figure": (
        "--early_stopping.monitor val/los",
        "Add --early_stopping.mode min or --early_stopping.mode max. Did you mean val/loss?",
    ),
    "a figure that may be good or bad": (
        "--checkpoint.monitor val/size",
        "--checkpoint.monitor val/size: cannot infer from this name whether lower or higher is",
    ),
    "a figure of a schedule that may be good or bad": (
        "--model.scheduler ReduceLROnPlateau --model.scheduler.monitor val/size",
        "Add --model.scheduler.mode min or --model.scheduler.mode max.",
    ),
    "a schedule without an end": (
        "--model.scheduler OneCycleLR --trainer.max_epochs -1",
        "--model.scheduler OneCycleLR: needs the length of the training.",
    ),
    "a finder of a rate": (
        "--trainer.callbacks LearningRateFinder",
        "--trainer.callbacks LearningRateFinder: not supported",
    ),
    "a finder of a batch size": (
        "--trainer.callbacks+=BatchSizeFinder",
        "--trainer.callbacks BatchSizeFinder: not supported",
    ),
    "a number that is none": ("--model.lr null", "--model.lr null: needs a value."),
    "no model": ("--model null", "--model: required."),
    "a callback": ("--trainer.callbacks+=EarlyStoping", "no such class."),
    "a base class": ("--model ImageClassifier", "ImageClassifier"),
    "a peak": (
        "--model.scheduler OneCycleLR --model.scheduler.max_lr 5",
        "--model.scheduler.max_lr 5.0: cannot be set. OneCycleLR peaks at --model.lr",
    ),
    "a seed": ("--seed_everything -1", "-1"),
    "an accelerator": ("--trainer.accelerator gpuu", "--trainer.accelerator gpuu: "),
    "a clipping": (
        "--trainer.gradient_clip_val 1 --trainer.gradient_clip_algorithm x",
        "--trainer.gradient_clip_algorithm x: ",
    ),
    "devices": ("--trainer.devices 0", "--trainer.devices 0: "),
    "a precision without its package": (
        "--trainer.precision transformer-engine",
        "--trainer.precision transformer-engine: needs a package that is not installed: pip ",
    ),
    "a value of an optimizer": (
        "--model.optimizer SGD --model.optimizer.nesterov true",
        "--model.optimizer SGD: ",
    ),
    "an optimizer that cannot step": (
        "--model.optimizer SparseAdam",
        "--model.optimizer SparseAdam: ",
    ),
    "a value of an optimizer that fails at a step": (
        "--model.optimizer Adam --model.optimizer.differentiable true",
        "--model.optimizer Adam: ",
    ),
    "a value of a schedule": (
        "--model.scheduler OneCycleLR --model.scheduler.pct_start 3",
        "--model.scheduler OneCycleLR: ",
    ),
    "a value of a schedule that fails at a step": (
        "--model.scheduler StepLR --model.scheduler.step_size 0",
        "--model.scheduler StepLR: ",
    ),
    "an option of a class that is not chosen": (
        "--model.optimizer.momentum 0.9",
        "--model.optimizer.momentum: no class is chosen yet. Put --model.optimizer CLASS first",
    ),
    "a network of torchvision": (
        "--model resnet18",
        "--model resnet18: no such class. Did you mean --model TorchvisionModel --model.name "
        "resnet18?",
    ),
    "a switch for a group": (
        "--pictures false",
        "a group of options, which are --pictures.curves,",
    ),
    "a scaling": ("--data.scaling 1", "--data.scaling 1.0: must be less than 1."),
    "a run without its option": ("runs", "'runs': options start with --."),
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
        (3_000 * "l", ""),  # longer than a name can be
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


# What other programs call an option, and what is said here. Both as an option and in a config.
WORDS = {
    "train.epochs": "Did you mean --trainer.max_epochs?",
    "output": "Did you mean --trainer.default_root_dir?",
    "early-stopping": "Did you mean --early_stopping.patience?",
    "lr": "Did you mean --model.lr?",
    "learning_rate": "Did you mean --model.lr?",
    "epochs": "Did you mean --trainer.max_epochs?",
    "max_epochs": "Did you mean --trainer.max_epochs?",
    "max-epochs": "Did you mean --trainer.max_epochs?",
    "batch_size": "Did you mean --data.batch_size?",
    "batch-size": "Did you mean --data.batch_size?",
    "model.batch_size": "Did you mean --data.batch_size?",
    "seed": "Did you mean --seed_everything?",
    "gpus": "Did you mean --trainer.devices?",
    "device": "Did you mean --trainer.accelerator?",
    "optimizer": "Did you mean --model.optimizer?",
    "lr_scheduler": "Did you mean --model.scheduler?",
    "data_dir": "Did you mean --data.root?",
    "dataset": "Did you mean --data?",
    "pretrained": "Did you mean --model TorchvisionModel --model.weights DEFAULT?",
    "predict_path": "To predict images, use lenet predict --data.predict_path.",
    "name": "A run is named after its model and data. "
    "--trainer.default_root_dir names the folder of all runs.",
    "resume": "Did you mean --ckpt_path last?",
    "compile": "Models are not compiled.",
    "widths": "ConvNet has --model.widths: put --model ConvNet first.",
    "monitor": "Did you mean --checkpoint.monitor or --early_stopping.monitor?",
    "momentum": "Did you mean --model.optimizer SGD --model.optimizer.momentum?",
    "trainer.gpus": "Did you mean --trainer.devices?",
    "trainer.epochs": "Did you mean --trainer.max_epochs?",
    "trianer.max_epochs": "Did you mean --trainer.max_epochs?",
    "model.learning_rate": "Did you mean --model.lr?",
    "data.data_dir": "Did you mean --data.root?",
    "data.horizontal_flip": "Images are never flipped.",
    "zebra": "See lenet fit --help.",
    "trainer.zebra": "See lenet fit --help.",
    "model.zebra": "See lenet fit --model.help LeNet.",
}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_another_program_gets_the_option_here(lenet, word):
    assert the_line(lenet("fit", f"--{word}", "1")).endswith(f": no such option. {WORDS[word]}")


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_another_program_gets_the_option_here_in_a_config(lenet, word):
    group, _, name = word.rpartition(".")
    Path("c.yaml").write_text(f"{group}:\n  {name}: 1" if group else f"{name}: 1")
    line = the_line(lenet("fit", "--config", "c.yaml"))
    assert line.replace("--", "").endswith(
        f"{word}: no such option. {WORDS[word]}".replace("--", "")
    )


@pytest.mark.parametrize("options", [[], ["--print_config"]])
def test_the_command_in_a_config_is_taken_out_of_it(lenet, options):
    for verb in ("fit", "test"):
        Path("c.yaml").write_text(f"{verb}: {{trainer: {{max_epochs: 1}}}}")
        line = the_line(lenet("fit", "--config", "c.yaml", *options))
        assert f"Move trainer.max_epochs and all else out of {verb}." in line


def test_an_option_of_the_class_in_use_comes_before_the_word_of_another_program(lenet):
    line = the_line(lenet("fit", "--model", "TorchvisionModel", "--name", "resnet18"))
    assert line.endswith("--name: no such option. Did you mean --model.name?")
    line = the_line(lenet("fit", "--model", "TorchvisionModel", "--pretrained"))
    assert line.endswith("Did you mean --model.weights DEFAULT?")


@pytest.mark.parametrize(
    ("typed", "option"),
    [
        ("predict photo.png", "--data.predict_path photo.png"),
        ("predict missing.png", "--data.predict_path missing.png"),
        ("predict mine/3", "--data.predict_path mine/3"),
        ("run mine/3", "--data.predict_path mine/3"),
        ("fit photo.png", "lenet predict --data.predict_path photo.png"),
        ("fit mine", "--data ImageFolder --data.root mine"),
        ("test runs/LeNet-MNIST-1", "--ckpt_path runs/LeNet-MNIST-1"),
        ("test runs/LeNet-MNIST-9", "--ckpt_path runs/LeNet-MNIST-9"),
        ("test x.ckpt", "--ckpt_path x.ckpt"),
        ("fit last", "--ckpt_path last"),
        ("fit configs/mnist.yaml", "--config configs/mnist.yaml"),
        ("fit LeNet", "--model LeNet"),
        ("fit MNIST", "--data MNIST"),
        ("fit model.lr=1", "--model.lr=1"),
        ("fit lr=1", "--model.lr"),
    ],
)
def test_a_path_alone_gets_the_option_that_it_is_for(lenet, typed, option):
    for file in ("photo.png", "mine/3/a.png", "configs/mnist.yaml"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).touch()
    Path("runs/LeNet-MNIST-1/checkpoints").mkdir(parents=True)
    assert the_line(lenet(*typed.split())).endswith(f" Did you mean {option}?")


def test_a_config_alone_that_is_missing_gets_the_nearest(lenet):
    Path("configs").mkdir()
    Path("configs/mnist.yaml").touch()
    assert the_line(lenet("fit", "configs/mnst.yaml")).endswith(
        "--config configs/mnst.yaml: no such file. Did you mean configs/mnist.yaml?"
    )


@pytest.mark.parametrize("path", ["x.ckpt", "runs/LeNet-MNIST-1"])
def test_a_checkpoint_for_the_options_of_checkpoints_gets_the_right_option(lenet, path):
    line = the_line(lenet("fit", "--checkpoint", path))
    assert line.endswith("Did you mean --ckpt_path?")


@pytest.mark.parametrize(
    "given",
    [
        "--trainer.callbacks {}",
        "--trainer.callbacks+ {}",
        "--trainer.callbacks+={}",
        "--config list.yaml",
        "--config more.yaml",
    ],
)
@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("EarlyStopping", "--early_stopping.patience"),
        ("ModelSummary", "--trainer.enable_model_summary"),
        ("ProgressBar", "--trainer.enable_progress_bar"),
    ],
)
def test_a_callback_that_is_always_there_gets_the_options_that_set_it(lenet, given, name, option):
    Path("list.yaml").write_text(f"trainer: {{callbacks: [{{class_path: {name}}}]}}")
    Path("more.yaml").write_text(f"trainer: {{callbacks+: {name}}}")
    line = the_line(lenet("fit", *given.format(name).split()))
    assert f"--trainer.callbacks {name}: " in line
    assert option in line


def test_early_stopping_twice_is_refused(lenet):
    path = "lightning.pytorch.callbacks.EarlyStopping"
    twice = ["--trainer.callbacks", path, "--trainer.callbacks.monitor", "val/loss"]
    assert "--early_stopping.patience" in the_line(lenet("fit", *TINY, *twice))
    line = the_line(lenet("fit", *TINY, *twice[:2]))
    assert "EarlyStopping: requires --trainer.callbacks.monitor." in line


@pytest.mark.parametrize("logger", ["WandbLogger", "MLFlowLogger", "CometLogger"])
@pytest.mark.parametrize("option", ["--trainer.logger", "--trainer.logger+"])
def test_a_logger_without_its_package_gets_the_package(lenet, logger, option, monkeypatch):
    def missing(self, *args, **kwargs):
        raise ModuleNotFoundError("Requirement 'logs>=1' not met. HINT: Try running `pip ...`")

    monkeypatch.setattr(getattr(loggers, logger), "__init__", missing)
    line = the_line(lenet("fit", *TINY, option, logger))
    assert line.endswith(
        f"--trainer.logger {logger}: needs a package that is not installed: pip install 'logs>=1'"
    )


@pytest.mark.parametrize("precision", ["64", "64-true", "bf16-true", "16-true", "bf16-mixed"])
def test_every_precision_works(lenet, precision):
    # With pictures, but of the curves, which are read from a file.
    args = ["--pictures.curves", "false", "--trainer.precision", precision]
    args += ["--trainer.limit_test_batches", "1", "--trainer.limit_val_batches", "1"]
    assert lenet("fit", *DIGITS, *args, "--trainer.limit_train_batches", "2").code == 0
    assert lenet("test", "--ckpt_path", "best", *args).code == 0
    assert lenet("test", "--ckpt_path", "best", *QUIET).code == 0


def test_an_accelerator_whose_package_is_missing_gets_one_line(lenet):
    the_line(lenet("fit", *TINY, "--trainer.accelerator", "tpu"))
    assert not list(Path().glob("runs/*"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("trainer: [", "invalid YAML, line 1"),
        ("a: b: c", "invalid YAML, line 1"),
        ("hello", "contains no options"),
        ("[1, 2]", "contains no options"),
        (b"\x93\xff\x00", "not a UTF-8 text file"),
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
        ([], "no command. Choose from fit, validate, test, predict, run, export"),
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
        f"lenet: error: --trainer.default_root_dir {root}: cannot create a run there (Permission "
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


def test_an_optimizer_at_the_top_of_a_config_gets_its_place(lenet):
    for spec in ("{class_path: SGD}", "{class_path: SGD, init_args: {momentum: 0.9}}"):
        Path("c.yaml").write_text(f"optimizer: {spec}")
        line = the_line(lenet("fit", "--config", "c.yaml"))
        assert line.endswith("optimizer: no such option. Did you mean model.optimizer?")


def test_weight_decay_is_that_of_the_optimizer_in_use(lenet):
    line = the_line(lenet("fit", "--model.optimizer", "SGD", "--weight_decay", "1"))
    assert line.endswith("Did you mean --model.optimizer.weight_decay?")


def test_a_path_with_a_space_gets_the_option_that_it_is_for(lenet):
    Path("my photo.png").touch()
    line = the_line(lenet("predict", "my photo.png"))
    assert line.endswith("Did you mean --data.predict_path 'my photo.png'?")


def test_a_precision_that_is_none_gets_the_choices(lenet):
    line = the_line(lenet("fit", "--trainer.precision", "fp16"))
    assert "--trainer.precision fp16: must be one of" in line
    assert "16-mixed" in line
