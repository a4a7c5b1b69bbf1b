import csv
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from tests.conftest import QUIET, REPOSITORY, TINY

CONFIGS = sorted((REPOSITORY / "configs").glob("*.yaml"))
VERBS = ("fit", "validate", "test", "predict", "run", "export")
RUN = Path("runs/LeNet-Digits-1")


def rows(run: Path = RUN) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def result(name: str, run: Path = RUN) -> dict:
    return json.loads((run / f"{name}.json").read_text())


def hyperparameters(run: Path = RUN, name: str = "last") -> dict:
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["hyper_parameters"]


# The commands


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_runs_through_every_verb(lenet, mnist_root, monkeypatch, config):
    monkeypatch.setenv("PATH_DATASETS", str(mnist_root))
    small = ["--data.val_size", "20", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
    small += ["--trainer.limit_train_batches", "3", *QUIET]
    for verb in VERBS:
        # A network of every kind is exported to the other formats by tests/test_export.py.
        output = ["--output", "lenet.safetensors"] if verb == "export" else []
        done = lenet(verb, "--config", config, *small, *output)
        assert done.code == 0, done.err
    assert len(list(Path("runs").iterdir())) == 2  # of fit and of run


@pytest.mark.parametrize(
    ("verb", "config"),
    [*((verb, None) for verb in VERBS), *(("fit", config) for config in CONFIGS)],
    ids=str,
)
def test_a_printed_config_given_back_prints_the_same_bytes(lenet, config, verb):
    first = lenet(verb, *(["--config", config] if config else []), "--print_config")
    assert first.code == 0, first.err
    Path("printed.yaml").write_text(first.out)
    again = lenet(verb, "--config", "printed.yaml", "--print_config")
    assert again.out == first.out
    assert "class_path: lenet." in first.out
    assert not Path("runs").exists()


def test_help_lists_the_commands_in_a_line_each(lenet):
    done = lenet("--help")
    assert done.code == 0
    for line in (
        "Train a model and save the best weights.",
        "Compute loss and accuracy on the test set.",
    ):
        assert line in done.out


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        (
            "fit --help",
            "usage: lenet fit [options]\n\nTrain a model and save the best weights.\n\noptions:",
        ),
        ("fit --model.help LeNet", "LeNet as it is taught today:"),
        ("fit --data.help Digits", "1,797 real handwritten digits"),
    ],
)
def test_help_begins_with_what_it_is_about(lenet, arguments, first):
    text = lenet(*arguments.split()).out
    assert text.startswith(first)
    assert text.count("\noptions:\n") == 1


def test_every_option_of_ours_is_explained_in_the_help(lenet):
    for arguments in (("--model.help", "LeNet"), ("--data.help", "MNIST")):
        done = lenet("fit", *arguments)
        assert done.code == 0
        assert "--model.lr LR" in done.out or "--data.root ROOT" in done.out
        lines = " ".join(done.out.split())
        # Every option is followed by words before its type.
        assert " (type: " in lines
        assert "  (type" not in lines.replace("]", "  ")


def test_version_is_answered_without_pytorch(lenet_process, tmp_path):
    program = (
        "import sys; from lenet.__main__ import main; main(['--version']);"
        "assert not {'torch', 'lightning', 'jsonargparse'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("lenet 0.")
    assert lenet_process("--version").out == done.stdout


def test_run_trains_then_measures_and_predicts_with_the_best_weights(lenet):
    done = lenet("run", *TINY)
    assert done.code == 0, done.err
    best = str((RUN / "checkpoints" / "best.ckpt").absolute())
    assert result("validate")["checkpoint"] == result("test")["checkpoint"] == best
    assert result("validate")["val/accuracy"] == pytest.approx(float(rows()[0]["val/accuracy"]))
    assert (RUN / "predictions.csv").is_file()
    assert "Next:\n  lenet predict --ckpt_path runs/LeNet-Digits-1 --data.predict" in done.out


def test_a_run_is_one_folder_with_what_is_documented(lenet):
    lenet("fit", *TINY)
    found = {path.relative_to(RUN).as_posix() for path in RUN.rglob("*") if path.is_file()}
    assert {"config.yaml", "metrics.csv", "checkpoints/best.ckpt", "checkpoints/last.ckpt"} < found
    assert any("tfevents" in name for name in found)
    assert set(rows()[0]) == {
        *("epoch", "step", "lr"),
        *("train/loss", "train/accuracy", "val/loss", "val/accuracy"),
    }


# Two processes, one after the other


def test_a_fresh_process_measures_what_the_run_measured(
    lenet, lenet_process, tmp_path, monkeypatch
):
    two = ["--trainer.max_epochs", "2", "--trainer.limit_train_batches", "2"]
    assert lenet("run", *TINY, *two).code == 0
    inside = result("test")["test/accuracy"]
    (tmp_path / "elsewhere").mkdir()
    root = str(tmp_path / "runs")
    run, last = RUN.absolute(), (RUN / "checkpoints" / "last.ckpt").absolute()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for asked, process in (("best", lenet_process), ("last", lenet), (run, lenet), (last, lenet)):
        (run / "test.json").unlink()
        options = ("--trainer.default_root_dir", root, *QUIET)
        done = process("test", "--ckpt_path", asked, *options)
        assert done.code == 0, done.err
        assert f"Checkpoint: {tmp_path / 'runs'}" in done.err
        if asked in ("best", run):
            assert result("test", run)["test/accuracy"] == inside
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("verb", ["validate", "test", "predict", "fit"])
def test_best_before_any_run_is_an_error_without_a_number(lenet, verb):
    done = lenet(verb, "--ckpt_path", "best")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "lenet: error: --ckpt_path best: no run below" in done.err
    assert done.out == ""
    assert not Path("runs").exists()


def test_untrained_weights_are_never_measured_by_accident(lenet):
    done = lenet("test", "--data", "Digits")
    assert done.code == 2
    assert "test/accuracy" not in done.out


def test_evaluation_adds_to_its_run_and_never_changes_its_config(lenet, trained):
    config = RUN / "config.yaml"
    before = hashlib.sha256(config.read_bytes()).hexdigest(), config.stat().st_mtime_ns
    figures = (RUN / "metrics.csv").read_bytes()
    for verb in ("validate", "test", "predict"):
        done = lenet(verb, "--model.lr", "0.5", "--data.batch_size", "7", *QUIET)
        assert done.code == 0, done.err
    assert (hashlib.sha256(config.read_bytes()).hexdigest(), config.stat().st_mtime_ns) == before
    assert (RUN / "metrics.csv").read_bytes() == figures
    assert [path.name for path in Path("runs").iterdir()] == ["LeNet-Digits-1"]
    assert {"validate.json", "test.json", "predictions.csv"} < {p.name for p in RUN.iterdir()}


def test_a_run_repeated_from_its_config_gives_the_same_figures_to_the_last_bit(lenet):
    lenet("fit", *TINY, "--model.activation", "gelu", "--seed_everything", "3")
    lenet("fit", "--config", RUN / "config.yaml")
    assert rows() == rows(Path("runs/LeNet-Digits-2"))
    lenet("fit", "--config", RUN / "config.yaml", "--seed_everything", "4")
    assert rows() != rows(Path("runs/LeNet-Digits-3"))


# Who wins


def options(lenet, *args) -> dict:
    done = lenet(*args, "--print_config")
    assert done.code == 0, done.err
    return yaml.safe_load(done.out)


def test_a_flag_beats_a_config_beats_the_checkpoint_beats_the_default(lenet):
    trained = ["--model.activation", "tanh", "--model.lr", "0.002", "--data.batch_size", "32"]
    assert lenet("fit", *TINY, *trained, "--model.pooling", "avg").code == 0
    Path("c.yaml").write_text("model: {init_args: {lr: 0.003, pooling: max}}")

    def model(*args) -> dict:
        return options(lenet, "test", *args)["model"]["init_args"]

    default = options(lenet, "fit")["model"]["init_args"]
    assert (default["activation"], default["lr"], default["pooling"]) == ("relu", 0.001, "max")
    assert model()["lr"] == 0.002
    assert model("--config", "c.yaml")["lr"] == 0.003
    assert model("--config", "c.yaml")["activation"] == "tanh"
    assert model("--config", "c.yaml")["pooling"] == "max"
    found = model("--config", "c.yaml", "--model.lr", "0.004")
    assert (found["lr"], found["activation"], found["pooling"]) == (0.004, "tanh", "max")
    data = options(lenet, "predict", "--data.batch_size", "8")["data"]
    assert (data["class_path"], data["init_args"]["batch_size"]) == ("lenet.Digits", 8)


def test_a_config_may_say_which_checkpoint_and_which_root(lenet):
    assert lenet("fit", *TINY, "--trainer.default_root_dir", "elsewhere").code == 0
    Path("c.yaml").write_text("ckpt_path: last\ntrainer: {default_root_dir: elsewhere}")
    done = lenet("validate", "--config", "c.yaml", *QUIET)
    assert done.code == 0, done.err
    assert "Checkpoint: elsewhere/LeNet-Digits-1/checkpoints/last.ckpt" in done.err


def test_another_data_set_leaves_behind_the_options_of_the_checkpoints(lenet, mnist_root):
    lenet("fit", *TINY, "--data.val_size", "99")
    found = options(lenet, "test", "--data", "MNIST", "--data.root", str(mnist_root))["data"]
    assert found["class_path"] == "lenet.MNIST"
    assert found["init_args"]["val_size"] is None


def test_a_resumed_training_trains_at_the_rate_that_it_is_told(lenet, trained):
    done = lenet("fit", "--ckpt_path", "last", "--model.lr", "1e-4", "--trainer.max_epochs", "2")
    assert done.code == 0, done.err
    assert [float(row["lr"]) for row in rows()] == [0.001, 0.0001]
    [group] = torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)["optimizer_states"][
        0
    ]["param_groups"]
    assert group["lr"] == 1e-4
    assert hyperparameters()["lr"] == 1e-4


def test_a_training_that_is_gone_on_with_ends_as_if_it_had_not_stopped(lenet):
    schedule = ["--model.scheduler", "OneCycleLR", "--trainer.max_epochs", "3"]
    lenet("fit", *TINY, *schedule, "--trainer.default_root_dir", "whole")
    stop = ["--early_stopping.stopping_threshold", "100"]
    lenet("fit", *TINY, *schedule, *stop)
    assert len(rows()) == 1
    done = lenet("fit", "--ckpt_path", "last", "--early_stopping.stopping_threshold", "null")
    assert done.code == 0, done.err
    whole = Path("whole/LeNet-Digits-1")
    assert rows() == rows(whole)
    a, b = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (RUN, whole)
    )
    assert all(a["state_dict"][name].equal(value) for name, value in b["state_dict"].items())
    assert a["lr_schedulers"] == b["lr_schedulers"]
    assert (RUN / "config-1.yaml").is_file()


def test_training_from_the_best_weights_starts_a_new_run(lenet, trained):
    before = (RUN / "metrics.csv").read_bytes()
    done = lenet("fit", "--ckpt_path", "best", *TINY, "--trainer.max_epochs", "2")
    assert done.code == 0, done.err
    assert [row["epoch"] for row in rows(Path("runs/LeNet-Digits-2"))] == ["1"]
    assert (RUN / "metrics.csv").read_bytes() == before


def test_hyperparameters_of_a_checkpoint_file_do_not_override_an_option(lenet, trained):
    losses = []
    for path in ("best", RUN / "checkpoints" / "best.ckpt"):
        for options in ((), ("--model.activation", "tanh")):
            assert lenet("test", "--ckpt_path", path, *options, *QUIET).code == 0
            losses.append(result("test")["test/loss"])
    assert losses[0] == losses[2] != losses[1] == losses[3]


# Optimizers and schedules by name


@pytest.mark.parametrize(
    "args",
    [
        ("--model.optimizer", "SGD", "--model.optimizer.momentum", "0.9"),
        ("--model.optimizer", "torch.optim.RMSprop"),
        ("--model.optimizer", "LBFGS"),
        ("--model.scheduler", "OneCycleLR", "--model.scheduler.pct_start", "0.2"),
        ("--model.scheduler", "CosineAnnealingLR", "--model.scheduler.T_max", "3"),
        (
            *("--model.scheduler", "CyclicLR", "--model.scheduler.base_lr", "1e-4"),
            *("--model.scheduler.max_lr", "1e-2", "--model.scheduler.cycle_momentum", "false"),
        ),
        ("--model.scheduler", "ReduceLROnPlateau", "--model.scheduler.monitor", "val/accuracy"),
    ],
    ids=lambda args: args[1],
)
def test_optimizers_and_schedules_are_chosen_by_name_and_reloaded(lenet, args):
    batches = ["--trainer.limit_train_batches", "2"]
    assert lenet("fit", *TINY, *args, *batches).code == 0
    name = args[1].split(".")[-1]
    assert name in json.dumps(hyperparameters())
    assert lenet("test", *QUIET).code == 0


def test_one_cycle_needs_no_number_of_steps_and_peaks_at_the_one_rate(lenet):
    lenet("fit", *TINY, "--model.scheduler", "OneCycleLR", "--trainer.max_epochs", "2")
    [state] = torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)["lr_schedulers"]
    assert state["total_steps"] == 2 * 20
    assert "total_steps" not in (RUN / "config.yaml").read_text()
    [group] = torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)["optimizer_states"][
        0
    ]["param_groups"]
    assert group["max_lr"] == hyperparameters()["lr"] == 0.001


# Switched off


@pytest.mark.parametrize(
    ("args", "leaves"),
    [
        (("--trainer.enable_checkpointing", "false"), {"config.yaml", "metrics.csv"}),
        (("--trainer.logger", "false"), {"config.yaml", "checkpoints"}),
        (("--trainer.limit_val_batches", "0"), {"config.yaml", "checkpoints", "metrics.csv"}),
        (("--trainer.barebones", "true"), {"config.yaml"}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_is_switched_off_is_left_out(lenet, args, leaves):
    tiny = TINY[:-4] if "barebones" in args[0] else TINY
    done = lenet("fit", *tiny, *args)
    assert done.code == 0, done.err
    files = {path.name for path in RUN.iterdir() if "events" not in path.name}
    pictures = {"curves.png", "filters.png", "features.png"}  # tests/pictures/test_callback.py
    assert files - {"hparams.yaml"} - pictures == leaves | {"started.txt"}


def test_fast_dev_run_leaves_nothing(lenet):
    assert lenet("run", *TINY, "--trainer.fast_dev_run", "true").code == 0
    assert not list(Path().glob("runs/*"))


def test_one_flag_changes_early_stopping_and_checkpointing(lenet):
    args = ["--early_stopping.patience", "1", "--early_stopping.min_delta", "100"]
    lenet("fit", *TINY, *args, "--checkpoint.monitor", "val/accuracy", "--trainer.max_epochs", "9")
    assert len(rows()) == 2
    state = torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]
    assert any("val/accuracy" in key and "'mode': 'max'" in key for key in state)


# The real thing


@pytest.mark.mnist
def test_lenet_learns_real_mnist_in_half_an_epoch(lenet, real_mnist, mnist_run):
    run = shutil.copytree(mnist_run, Path("runs") / mnist_run.name)
    for verb in ("test", "predict"):
        done = lenet(verb, *QUIET)
        assert done.code == 0, done.err
    assert result("test", run)["test/accuracy"] > 0.96
    assert "Predicted 10,000 images" in done.out


# What a review found


def test_a_flag_beats_a_config_wherever_it_stands(lenet):
    Path("c.yaml").write_text("model: {init_args: {lr: 0.02}}")
    for args in (["--model.lr", "7e-4", "--config", "c.yaml"], ["-c", "c.yaml", "--model.lr=7e-4"]):
        assert options(lenet, "fit", *args)["model"]["init_args"]["lr"] == 7e-4


def test_a_spec_typed_as_json_keeps_what_the_checkpoint_says_of_the_same_class(lenet):
    lenet("fit", *TINY, "--model.activation", "tanh")
    for spec in (
        '{"class_path": "LeNet", "init_args": {"lr": 0.01}}',
        '{"init_args": {"lr": 0.01}}',
    ):
        found = options(lenet, "test", "--model", spec)["model"]["init_args"]
        assert (found["activation"], found["lr"]) == ("tanh", 0.01)


def test_a_command_out_of_a_config_is_refused_rather_than_run_untrained(lenet):
    Path("t.yaml").write_text("test: {data: Digits}")
    done = lenet("--config", "t.yaml")
    assert done.code == 2
    assert "no command given" in done.err
    assert "accuracy" not in done.out


def test_a_run_that_was_moved_keeps_its_best_when_it_goes_on(lenet):
    lenet("fit", *TINY, "--trainer.default_root_dir", "a", "--trainer.max_epochs", "2")
    Path("a").rename("b")
    best = Path("b/LeNet-Digits-1/checkpoints/best.ckpt")
    before = best.read_bytes()
    root = ["--trainer.default_root_dir", "b", "--trainer.max_epochs", "3"]
    assert lenet("fit", "--ckpt_path", "last", *root, "--model.lr", "1").code == 0
    assert best.read_bytes() == before


def test_what_cannot_go_on_leaves_the_config_of_its_run_alone(lenet):
    lenet("fit", *TINY, "--trainer.max_epochs", "3")
    before = (RUN / "config.yaml").read_bytes()
    assert lenet("fit", "--ckpt_path", "last", "--trainer.max_epochs", "1").code == 2
    assert lenet("fit", "--ckpt_path", "last").code == 0  # nothing is left to train
    assert (RUN / "config.yaml").read_bytes() == before
    assert not list(RUN.glob("config-*"))


def test_the_config_of_a_resumed_run_repeats_it_from_the_start(lenet, trained):
    lenet("fit", "--ckpt_path", "last", "--trainer.max_epochs", "2")
    assert lenet("fit", "--config", RUN / "config.yaml").code == 0
    assert rows(Path("runs/LeNet-Digits-2")) == rows()


def test_a_plateau_that_is_gone_on_with_ends_as_if_it_had_not_stopped(lenet):
    plateau = ["--model.scheduler", "ReduceLROnPlateau", "--model.scheduler.patience", "0"]
    plateau += ["--model.scheduler.threshold", "0.9", "--trainer.max_epochs", "4"]
    lenet("fit", *TINY, *plateau, "--trainer.default_root_dir", "whole")
    lenet("fit", *TINY, *plateau, "--early_stopping.stopping_threshold", "1.5")
    assert len(rows()) == 2
    lenet("fit", "--ckpt_path", "last", "--early_stopping.stopping_threshold", "null")
    assert rows() == rows(Path("whole/LeNet-Digits-1"))
    assert len({row["lr"] for row in rows()}) > 1


def test_naming_the_usual_optimizer_keeps_its_moments(lenet, trained):
    args = ["--trainer.max_epochs", "2", "--model.optimizer", "Adam"]
    lenet("fit", "--ckpt_path", "last", *args)
    saved = torch.load(RUN / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["optimizer_states"][0]["state"][0]["step"] == 2 * 2


def test_ones_own_callbacks_stand_beside_the_ones_that_are_always_there(lenet):
    own = ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.dirpath", "mine"]
    done = lenet("fit", *TINY, *own)
    assert done.code == 0, done.err
    assert list(Path("mine").iterdir())
    assert "Best val/loss" in done.out
    done = lenet("fit", *TINY[:4], "--trainer.callbacks+=TQDMProgressBar")
    assert done.code == 0, done.err


def test_a_training_shorter_than_an_epoch_needs_no_validation(lenet):
    done = lenet("fit", *TINY, "--trainer.max_steps", "3")
    assert done.code == 0, done.err


def test_a_damaged_checkpoint_is_refused(lenet, trained):
    content = bytearray((RUN / "checkpoints" / "best.ckpt").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 100] = bytes(100)
    Path("flipped.ckpt").write_bytes(content)
    done = lenet("test", "--ckpt_path", "flipped.ckpt")
    assert done.code == 2
    assert "damaged, incomplete or not a checkpoint" in done.err


def test_a_file_named_like_an_option_does_no_harm(lenet):
    lenet("fit", *TINY, "--model.activation", "tanh")
    Path("tanh").touch()
    assert lenet("test", *QUIET).code == 0
