import importlib
import pickle
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import optim

import lenet as package
from lenet import LeNet, Trainer, load
from lenet.errors import UserError
from tests.conftest import QUIET, TINY
from tests.small import write_data

RUN = Path("runs/LeNet-Digits-1/checkpoints/best.ckpt")


def changed(path: Path, **hyperparameters) -> str:
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["hyper_parameters"].update(hyperparameters)
    torch.save(checkpoint, "changed.ckpt")
    return "changed.ckpt"


def refused(lenet, path, *words: str) -> None:
    for verb in ("test", "predict", "fit"):
        done = lenet(verb, "--ckpt_path", path, *QUIET)
        assert done.code == 2
        assert "Traceback" not in done.err
        [line] = [line for line in done.err.splitlines() if "error:" in line]
        assert all(word in line for word in words), line
        assert "test/accuracy" not in done.out
    with pytest.raises(UserError):
        load(path)


def test_load_gives_the_trained_model_whatever_its_class(trained):
    model = load("best")
    assert type(model) is LeNet
    assert not model.training
    saved = torch.load(RUN, weights_only=True)["state_dict"]
    assert all(saved[name].equal(value) for name, value in model.state_dict().items())
    assert load("runs/LeNet-Digits-1").state_dict().keys() == saved.keys()
    assert load(RUN).hparams.num_classes == 10


def test_load_says_which_option_a_model_does_not_take_and_keeps_a_bug_of_it(trained):
    trained = trained / "checkpoints" / "best.ckpt"
    with pytest.raises(UserError, match="option 'zebra'"):
        load(changed(trained, zebra=1))
    with pytest.raises(UserError, match="must be greater than 0"):
        load(changed(trained, lr=-1.0))
    Path("fails.py").write_text(
        "from lenet import LeNet\n"
        "class Own(LeNet):\n"
        "    def __init__(self, **kwargs):\n"
        "        super().__init__(**kwargs)\n"
        "        raise KeyError('a bug')\n"
    )
    sys.path.insert(0, ".")
    importlib.import_module("fails")
    with pytest.raises(KeyError, match="a bug"):
        load(changed(trained, _class_path="fails.Own"))


def test_all_public_names_can_be_imported():
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'LeNet4'"):
        _ = package.LeNet4


def test_a_model_trained_from_python_is_loaded_and_tested_from_the_command_line(lenet):
    from lenet import Digits

    trainer = Trainer(
        max_epochs=1, logger=False, accelerator="cpu", enable_progress_bar=False, max_steps=2
    )
    model = LeNet(activation="tanh", optimizer=partial(optim.SGD, momentum=0.9))
    trainer.fit(model, datamodule=Digits())
    trainer.save_checkpoint("mine.ckpt")
    again = load("mine.ckpt")
    images = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(again(images), model.eval()(images))
    done = lenet("test", "--ckpt_path", "mine.ckpt", *QUIET)
    assert done.code == 0, done.err


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(lenet, trained):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (Path("exploded"),))

    checkpoint = torch.load(RUN, weights_only=True)
    torch.save({**checkpoint, "bomb": Bomb()}, "bomb.ckpt")
    refused(lenet, "bomb.ckpt", "bomb.ckpt", "could run code")
    Path("raw.ckpt").write_bytes(pickle.dumps(Bomb()))
    refused(lenet, "raw.ckpt", "raw.ckpt")
    assert not Path("exploded").exists()


@pytest.mark.parametrize("where", ["_class_path", "optimizer", "string"])
def test_a_strangers_class_is_not_imported(lenet, trained, where):
    Path("stranger.py").write_text("import pathlib; pathlib.Path('imported').touch()")
    spec = {"class_path": "stranger.Net", "init_args": {}}
    hyperparameters = {
        "_class_path": {"_class_path": "stranger.Net"},
        "optimizer": {"optimizer": spec},
        "string": {"optimizer": "stranger.Net"},
    }[where]
    refused(lenet, changed(RUN, **hyperparameters), "'stranger.Net'", "If you trust it, add")
    assert not Path("imported").exists()
    assert "stranger" not in sys.modules


def test_a_config_file_named_by_a_checkpoint_is_not_read(lenet, trained):
    Path("stranger.yaml").write_text("class_path: stranger.Net")
    refused(lenet, changed(RUN, optimizer="stranger.yaml"), "'stranger.yaml'")


def test_a_strangers_class_in_the_config_of_a_run_is_not_imported(lenet, trained):
    Path("stranger.py").write_text("import pathlib; pathlib.Path('imported').touch()")
    config = Path("runs/LeNet-Digits-1/config.yaml")
    text = config.read_text().replace("callbacks: null", "callbacks: [{class_path: stranger.C}]")
    config.write_text(text)
    done = lenet("fit", "--ckpt_path", "last")
    assert done.code == 2
    assert "stranger.C" in done.err
    assert not Path("imported").exists()


def test_a_class_of_ones_own_works_once_it_is_named(lenet, lenet_process, tmp_path):
    (tmp_path / "flat.py").write_text(
        "from torch import nn\n"
        "from lenet import ImageClassifier\n"
        "class Flat(ImageClassifier):\n"
        "    '''One layer.'''\n"
        "    def __init__(self, bias: bool = True, **kwargs):\n"
        "        super().__init__(**kwargs)\n"
        "        size = self.in_channels * self.image_size**2\n"
        "        linear = nn.Linear(size, self.num_classes, bias)\n"
        "        self.network = nn.Sequential(nn.Flatten(), linear)\n"
    )
    done = lenet("fit", "--model", "flat.Flat", "--model.bias", "false", *TINY)
    assert done.code == 0, done.err
    done = lenet_process("test", "--ckpt_path", "best", *QUIET)
    assert done.code == 2
    assert "--model flat.Flat" in done.err
    done = lenet("test", "--ckpt_path", "best", "--model", "flat.Flat", *QUIET)
    assert done.code == 0, done.err


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_what_is_no_checkpoint_is_refused(lenet, trained, content):
    whole = RUN.read_bytes()
    Path("bad.ckpt").write_bytes(whole[: len(whole) // 2] if content is None else content)
    refused(lenet, "bad.ckpt", "bad.ckpt", "damaged, incomplete or not a checkpoint")


def test_a_foreign_checkpoint_is_refused(lenet):
    torch.save({"state_dict": {}, "epoch": 3}, "foreign.ckpt")
    refused(lenet, "foreign.ckpt", "foreign.ckpt: not a checkpoint of lenet")


def test_weights_that_do_not_fit_the_options_are_refused_by_name(lenet, trained):
    done = lenet("test", "--ckpt_path", "best", "--data.image_size", "28", *QUIET)
    assert done.code == 2
    assert (
        "network.c5.weight is (120, 400) in the checkpoint and (120, 256) in the model" in done.err
    )


def test_arguments_that_are_usual_for_an_optimizer_do_not_become_anothers(lenet):
    # AdamW decays by 0.01 unless told otherwise, SGD not at all.
    assert lenet("fit", *TINY, "--model.optimizer", "AdamW").code == 0
    done = lenet("fit", "--ckpt_path", "last", "--model.optimizer", "SGD", "--print_config")
    assert "class_path: torch.optim.SGD" in done.out
    assert "weight_decay: 0.0\n" in done.out


def test_a_checkpoint_for_other_classes_is_named_before_its_model_is_made(
    lenet, tmp_path, monkeypatch
):
    assert lenet("fit", "--model", "LeNet5", *TINY).code == 0
    write_data(tmp_path, "EMNIST", monkeypatch)  # 47 classes, for which LeNet5 has no bitmaps
    done = lenet("test", "--data", "EMNIST", "--data.root", str(tmp_path))
    assert done.code == 2
    assert "was trained for 10 classes, but the data has 47" in done.err


def test_another_split_than_the_trainings_is_warned_of(lenet, trained):
    done = lenet("validate", "--data.split_seed", "7", *QUIET)
    assert done.code == 0
    assert "Warning: --data.split_seed 7: the checkpoint was trained with 0" in done.err
    same = ("validate", "--data.val_size", "180")  # which is what is usual
    for command in (("validate",), same, ("test", "--data.split_seed", "7")):
        done = lenet(*command, *QUIET)
        assert done.code == 0, done.err
        assert "Warning: --data" not in done.err
