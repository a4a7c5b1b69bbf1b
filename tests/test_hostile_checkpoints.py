"""Checkpoints and weights that a stranger made: refused with a reason, nothing imported or run."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lenet import load
from lenet.errors import UserError, one_line, printable
from lenet.runs.weights import read_weights
from tests.conftest import QUIET, TINY
from tests.hostile_checkpoints import Call, saved

FORMATS = (".ckpt", ".safetensors")


def content(path: Path, **changes) -> dict:
    return {**torch.load(path, weights_only=True), **changes}


def rewritten(path: Path, model: dict | None = None, **changes) -> Path:
    """Write safetensors again, with other options of the model and other parts of the text."""
    with safe_open(path, framework="pt") as file:
        described = json.loads(file.metadata()["lenet"])
        names = file.keys()
        tensors = {name: file.get_tensor(name) for name in names}
    described["model"].update(model or {})
    described.update(changes)
    save_file(tensors, "hostile.safetensors", metadata={"lenet": json.dumps(described)})
    return Path("hostile.safetensors")


@pytest.fixture(params=FORMATS)
def hyper(request, good, shared):
    """Make a file of either format whose model has other options."""

    def make(**changes) -> Path:
        if request.param == ".safetensors":
            return rewritten(shared, changes)
        made = content(good)
        made["hyper_parameters"].update(changes)
        return saved(made)

    return make


def refused(lenet, path: Path, reason: str, verbs=("test",)) -> None:
    with pytest.raises(UserError, match=reason):
        load(path)
    for verb in verbs:
        done = lenet(verb, "--ckpt_path", path, *QUIET)
        assert (done.code, done.out) == (2, "")
        assert "Traceback" not in done.err
        [line] = [line for line in done.err.splitlines() if "error:" in line]
        assert path.name in line


def state(path: Path, callback: str, **changes) -> Path:
    made = content(path)
    [own] = [own for name, own in made["callbacks"].items() if name.startswith(callback)]
    own.update(changes)
    return saved(made)


def flipped(path: Path) -> Path:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    Path("hostile.ckpt").write_bytes(whole)
    return Path("hostile.ckpt")


def written(data: bytes, suffix: str) -> Path:
    path = Path(f"hostile{suffix}")
    path.write_bytes(data)
    return path


def header(path: Path, **changes) -> Path:
    """Write safetensors whose header says something else of their first tensor."""
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    said = json.loads(whole[8 : 8 + length])
    first = next(name for name in said if name != "__metadata__")
    said[first].update(changes)
    text = json.dumps(said).encode()
    return written(len(text).to_bytes(8, "little") + text + whole[8 + length :], ".safetensors")


# What is made of a checkpoint of our own, and the reason that is given.
CHECKPOINTS = {
    "code": (lambda good: saved(content(good, more=Call(os.getcwd))), "could run code"),
    "bytes": (lambda good: saved(content(good, more=Call(bytes, 3))), "could run code"),
    "cut": (
        lambda good: written(good.read_bytes()[:9000], ".ckpt"),
        "damaged, incomplete or not a checkpoint",
    ),
    "flipped": (flipped, "damaged, incomplete or not a checkpoint"),
    "text": (lambda good: written(b"hello", ".ckpt"), "damaged, incomplete or not a checkpoint"),
    "tar": (
        lambda good: written(b"archive\0".ljust(257) + b"ustar" + bytes(2000), ".ckpt"),
        "damaged, incomplete or not a checkpoint",
    ),
    "callback above": (
        lambda good: state(good, "BestCheckpoint", last_model_path="../precious"),
        "outside of their run",
    ),
    "callback elsewhere": (
        lambda good: state(good, "BestCheckpoint", best_k_models={"s3://a/b.ckpt": 1.0}),
        "outside of their run",
    ),
}
# The same of weights that are given away.
WEIGHTS = {
    "cut": (lambda path: written(path.read_bytes()[:9000], ".safetensors"), "damaged or not"),
    "empty": (lambda path: written(b"", ".safetensors"), "damaged or not"),
    "text": (lambda path: written(b"hello, world", ".safetensors"), "damaged or not"),
    "larger": (lambda path: header(path, shape=[10**9]), "damaged or not"),
    "beyond": (lambda path: header(path, data_offsets=[0, 10**12]), "damaged or not"),
    "long header": (
        lambda path: written((1 << 60).to_bytes(8, "little") + b"{}", ".safetensors"),
        "damaged or not",
    ),
    "other shapes": (
        lambda path: rewritten(path, {"num_classes": 7}),
        "output.weight is",
    ),
    "no class": (lambda path: rewritten(path, {"_class_path": 1}), "does not name its model"),
    "no model": (lambda path: rewritten(path, model=None, data=3), "does not name its model"),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_hostile_checkpoint_is_refused_with_the_reason(lenet, good, name):
    make, reason = CHECKPOINTS[name]
    refused(lenet, make(good), reason, ("test", "fit"))


@pytest.mark.parametrize("name", WEIGHTS)
def test_hostile_weights_are_refused_with_the_reason(lenet, shared, name):
    make, reason = WEIGHTS[name]
    refused(lenet, make(shared), reason)


@pytest.mark.parametrize("text", ["not json", "[1, 2]", "[" * 100_000, '{"model": []}', ""])
def test_a_description_that_is_not_one_is_refused(lenet, text):
    save_file({"a": torch.zeros(1)}, "hostile.safetensors", metadata={"lenet": text})
    refused(lenet, Path("hostile.safetensors"), "does not name its model")


def test_weights_are_tested_predicted_and_loaded_but_not_resumed(lenet, shared, good):
    for verb in ("test", "predict"):
        done = lenet(verb, "--ckpt_path", shared, *QUIET)
        assert done.code == 0, done.err
    model = load(shared)
    weights = content(good)["state_dict"]
    assert all(value.equal(weights[name]) for name, value in model.state_dict().items())
    done = lenet("fit", "--ckpt_path", shared, *QUIET)
    assert done.code == 2
    assert "has only weights" in done.err
    assert not Path("runs").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
def test_what_is_no_file_is_not_waited_for(lenet):
    os.mkfifo("pipe.ckpt")
    Path("folder.ckpt").mkdir()
    for path in ("pipe.ckpt", "folder.ckpt", "/dev/zero"):
        done = lenet("test", "--ckpt_path", path)
        assert done.code == 2
        assert path in done.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
@pytest.mark.parametrize("name", ["metrics.csv", "config.yaml"])
def test_a_pipe_in_a_run_is_not_waited_for(lenet, small_run, name):
    run = Path("runs/handed")
    shutil.copytree(small_run, run)
    (run / name).unlink()
    os.mkfifo(run / name)
    done = lenet("fit", "--ckpt_path", run, *QUIET, "--trainer.max_epochs", "9")
    assert done.code == 2
    assert f"{name}: " in done.err
    assert "not a regular file" in done.err
    assert [path.name for path in Path("runs").iterdir()] == ["handed"]


def test_a_run_handed_over_does_not_delete_what_its_checkpoint_names(lenet, small_run):
    folder = Path("runs/theirs/checkpoints")
    folder.mkdir(parents=True)
    (folder.parent / "config.yaml").write_text((small_run / "config.yaml").read_text())
    Path("precious").mkdir()
    made = content(small_run / "checkpoints" / "last.ckpt")
    for state in made["callbacks"].values():
        if "dirpath" in state:
            state |= {"kth_best_model_path": "/x/..", "best_model_path": "/x/precious"}
    saved(made, str(folder / "last.ckpt"))
    done = lenet("fit", "--ckpt_path", folder / "last.ckpt", *QUIET, "--trainer.max_epochs", "2")
    assert done.code == 2
    assert Path("precious").is_dir()
    assert (folder / "last.ckpt").is_file()


def test_checkpoints_of_other_optimizers_and_schedules_are_still_read(lenet):
    kinds = (
        ("SGD", "--model.scheduler", "MultiStepLR", "--model.scheduler.milestones", "[1]"),
        ("AdamW", "--model.scheduler", "ReduceLROnPlateau", "--trainer.precision", "bf16-mixed"),
    )
    for kind in kinds:
        short = ("--trainer.limit_train_batches", "1")
        done = lenet("fit", "--model.optimizer", *kind, *TINY, *short)
        assert done.code == 0, done.err
        done = lenet("fit", "--ckpt_path", "last", *QUIET, *short, "--trainer.max_epochs", "2")
        assert done.code == 0, done.err


def test_a_class_named_where_none_is_looked_for_is_not_imported(lenet, good):
    Path("stranger.py").write_text("import pathlib; pathlib.Path('imported').touch()")
    made = content(good, callbacks={"stranger.C": {"class_path": "stranger.C"}})
    for name in ("hyper_parameters", "datamodule_hyper_parameters"):
        made[name]["_instantiator"] = "stranger.make"
    load(saved(made))
    assert lenet("test", "--ckpt_path", "hostile.ckpt", *QUIET).code == 0
    assert not Path("imported").exists()


@pytest.mark.parametrize("name", ["handed.stranger.run", "é.stranger.run"])
def test_a_folder_of_the_working_folder_is_not_imported_from(lenet, hyper, name):
    folder = Path(name.partition(".")[0])  # it needs no __init__.py
    folder.mkdir()
    (folder / "stranger.py").write_text("import pathlib; pathlib.Path('imported').touch()")
    spec = {"class_path": "torch.optim.lr_scheduler.LambdaLR", "init_args": {"lr_lambda": name}}
    refused(lenet, hyper(scheduler=spec), f"names {name!r}, which is not part of lenet")
    assert not Path("imported").exists()


STRANGER = "import pathlib; pathlib.Path('imported').touch()\nclass C: pass\n"


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("o #c", {"optimizer": "o #c"}),  # YAML's comment is a part of a file's name
        ("o", {"optimizer": "'o'"}),
        (
            "torch.optim.SGD",
            {"optimizer": "torch.optim.SGD"},
        ),
        (
            "lines",
            {
                "scheduler": {
                    "class_path": "torch.optim.lr_scheduler.SequentialLR",
                    "init_args": {"schedulers": "lines", "milestones": [1]},
                }
            },
        ),
    ],
)
def test_a_file_that_would_be_opened_for_a_class_is_refused(lenet, hyper, name, option):
    Path("stranger.py").write_text(STRANGER)
    Path(name).write_text("stranger.C" if name == "lines" else "class_path: stranger.C")
    refused(lenet, hyper(**option), "not part of lenet")
    assert not Path("imported").exists()


@pytest.mark.parametrize("make", ["text", "yaml", "folder"])
def test_what_is_called_like_an_options_value_is_no_matter(lenet, small_run, hyper, make):
    run = Path("runs/handed")
    shutil.copytree(small_run, run)
    for name in ("max", "relu", "min", "norm"):  # of pooling, activation, mode, clipping
        if make == "folder":
            Path(name).mkdir()
        else:
            Path(name).write_text("class_path: stranger.C" if make == "yaml" else "some notes")
    scheduler = {
        "class_path": "lenet.models.optimization.ReduceLROnPlateau",
        "init_args": {"mode": "min", "monitor": "relu"},
    }
    path = hyper(scheduler=scheduler)
    assert lenet("test", "--ckpt_path", path, *QUIET).code == 0
    load(path)
    text = (run / "config.yaml").read_text()
    text = text.replace("gradient_clip_algorithm: null", "gradient_clip_algorithm: norm")
    (run / "config.yaml").write_text(text)
    done = lenet("fit", "--ckpt_path", run, *QUIET, "--trainer.max_epochs", "2")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    "line",
    [
        "strategy: notes",
        "profiler: ./notes",
        "callbacks: 'x #c'",
        "strategy: file://{here}/notes",
        "callbacks: !!set {{stranger.C}}",
        "logger: !!set {{stranger.C}}",
    ],
)
def test_a_runs_config_opens_no_file_and_imports_nothing(lenet, small_run, line):
    run = Path("runs/handed")
    shutil.copytree(small_run, run)
    (run / "config.yaml").write_text("trainer:\n  " + line.format(here=Path.cwd()))
    Path("stranger.py").write_text(STRANGER)
    for place in (Path("notes"), Path("x #c"), run / "notes"):
        place.write_text("class_path: stranger.C")
    done = lenet("fit", "--ckpt_path", run, *QUIET, "--trainer.max_epochs", "9")
    assert done.code == 2
    assert "config.yaml" in done.err
    assert not Path("imported").exists()


@pytest.mark.parametrize(
    "name",
    [
        "torch.nn.parallel.distributed.os.system",
        "lenet.runs.folders.shutil.rmtree",
        "lenet.runs.folders.os.system",
        "lenet.cli.app.LeNetCLI",
    ],
)
def test_what_ours_or_pytorchs_modules_happen_to_import_is_a_strangers(lenet, hyper, name):
    spec = {"class_path": name, "init_args": {"command": "touch run"}}
    for optimizer in (spec, name):
        reason = f"names {name!r}, which is not part of lenet"
        refused(lenet, hyper(optimizer=optimizer), reason)
    assert not Path("run").exists()


CALL = '{"class_path": "os.system", "init_args": {"command": "touch run"}}'


CALLS = (
    *(
        CALL,
        repr(CALL),
        repr(repr(repr(CALL))),
        CALL.replace("class_path", "cl\\u0061ss_path"),
        CALL.replace(" ", "\t"),
    ),
    *(f"[{CALL}]", "class_path: subprocess.getoutput\ninit_args:\n  cmd: touch run"),
    *(
        "{class_path: stranger.C, init_args: {lr: 0.1}}",
        " os.system ",
        "'os.system'",
        "stranger.C ",
    ),
)


@pytest.mark.parametrize("option", ["optimizer", "scheduler", "activation"])
def test_text_that_jsonargparse_would_read_as_a_class_is_refused(lenet, hyper, option):
    Path("stranger.py").write_text("import pathlib; pathlib.Path('run').touch()")
    sys.path.append(".")
    # An activation cannot be a class, so its text is text: one that is not among the choices.
    reason = "cannot create its model" if option == "activation" else "not part of lenet"
    for text in CALLS:
        with pytest.raises(UserError, match=reason):
            load(hyper(**{option: text}))
    path = hyper(**{option: CALL})
    for verb in ("fit", "test"):
        if verb == "test" or path.suffix == ".ckpt":
            done = lenet(verb, "--ckpt_path", path, *QUIET)
            assert (done.code, done.out) == (2, "")
            assert "Traceback" not in done.err
    assert not Path("run").exists()


@pytest.mark.parametrize(
    "spec",
    [
        {"class_path": 1},
        {"class_path": "torch.optim.SGD", "init_args": [1]},
        {"class_path": "torch.optim.SGD", "dict_kwargs": {"foreach": "stranger.C"}},
    ],
)
def test_a_class_that_is_none_is_refused(lenet, hyper, spec):
    refused(lenet, hyper(optimizer=spec), "must be a class with its options")


def test_a_tensor_that_torch_keeps_as_bytes_is_read(good):
    made = content(good)
    made["state_dict"]["seed"] = torch.ones(3, dtype=torch.uint64)
    with pytest.raises(UserError, match="seed is"):  # and no other reason
        load(saved(made))


def test_what_is_printed_of_a_stranger_is_short_and_does_nothing():
    assert printable("\x1b[2J") == "\\x1b[2J"
    assert len(one_line("x" * 10**6)) < 2000


def test_an_option_of_another_version_is_one_line(lenet, hyper):
    path = hyper(foo=2)
    with pytest.raises(UserError, match="foo"):
        load(path)
    done = lenet("test", "--ckpt_path", path, *QUIET)
    assert done.code == 2
    assert "Traceback" not in done.err
    [line] = [line for line in done.err.splitlines() if "error:" in line]
    assert "foo" in line


@pytest.mark.parametrize("changes", [{"a b": 1}, {"": 1}, {".": 1}])
def test_a_name_that_cannot_be_an_option_is_damage(lenet, hyper, changes):
    refused(lenet, hyper(**changes), "cannot be an option", ("test", "fit"))


@pytest.mark.parametrize("classes", [10**12, 10**30])
def test_a_model_that_is_described_as_huge_takes_no_memory(hyper, classes):
    path = hyper(num_classes=classes)
    with pytest.raises(UserError):
        load(path)


def test_how_many_processes_load_images_is_not_for_a_shared_file_to_say(shared):
    with safe_open(shared, framework="pt") as file:
        data = json.loads(file.metadata()["lenet"])["data"]
    read = read_weights(rewritten(shared, data={**data, "num_workers": 1000}))
    assert "num_workers" not in read["datamodule_hyper_parameters"]
