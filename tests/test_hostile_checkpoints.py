"""Checkpoints that a stranger made: refused with a reason, nothing run, little memory and time."""

import codecs
import collections
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch

from lenet import load
from lenet.errors import UserError, one_line, printable
from tests.conftest import QUIET, TINY
from tests.hostile_checkpoints import Call, packed, pickled, saved

MANY = "more in it than any checkpoint"
CODE = "which could run code"
CLAIM = "claim values that are not in the file"
NO_FILE = "not a whole checkpoint"


def content(path: Path, **changes) -> dict:
    return {**torch.load(path, weights_only=True), **changes}


def hyper(path: Path, **changes) -> Path:
    made = content(path)
    made["hyper_parameters"].update(changes)
    return saved(made)


def loop(path: Path, count) -> Path:
    made = content(path)
    made["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"] = count
    return saved(made)


def state(path: Path, callback: str, **changes) -> Path:
    made = content(path)
    [own] = [own for name, own in made["callbacks"].items() if name.startswith(callback)]
    own.update(changes)
    return saved(made)


def in_run(make) -> Path:
    """A run whose last checkpoint it is, for what is restored only there."""
    run = Path("runs/handed")
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text("{}")
    return make.rename(run / "checkpoints" / "last.ckpt")


def nested(levels: int, shared: bool = False):
    value = ["x"]
    for _ in range(levels):
        value = [value, value] if shared else [value]
    return value


def rebuilt(size, stride, numel=4):
    """What a stranger says a tensor is, who has four values."""
    storage = torch.zeros(numel).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    hooks = collections.OrderedDict()
    return Call(torch._utils._rebuild_tensor_v2, typed, 0, size, stride, False, hooks)


def small(path: Path, value) -> Path:
    """A checkpoint with a value beside what it needs."""
    return saved(content(path, more=value))


def overlapping(path: Path) -> Path:
    """Two entries of the directory that are one part."""
    whole = bytearray(packed(path).read_bytes())
    with zipfile.ZipFile("hostile.ckpt") as archive:
        first, second = [i for i in archive.infolist() if "/data/" in i.filename][:2]
    start = whole.rfind(b"PK\1\2", 0, whole.rfind(second.filename.encode()))
    whole[start + 42 : start + 46] = first.header_offset.to_bytes(4, "little")
    Path("hostile.ckpt").write_bytes(whole)
    return Path("hostile.ckpt")


def compressed(path: Path) -> Path:
    with zipfile.ZipFile(path) as old, zipfile.ZipFile("hostile.ckpt", "w", 8) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
        new.writestr("archive/data/999", bytes(30_000_000))
    return Path("hostile.ckpt")


def twice(path: Path) -> Path:
    packed(path)
    with zipfile.ZipFile("hostile.ckpt", "a") as archive, pytest.warns(UserWarning, match="data"):
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
    return Path("hostile.ckpt")


def two_lists(path: Path) -> Path:
    """Python reads the second archive, and PyTorch the first: there the end says the list is."""
    whole = packed(path).read_bytes()
    return written(whole[:-22] + whole)


def extra(path: Path, *fields: bytes) -> Path:
    """An archive whose list says more of its description than its name, size and place."""
    whole = bytearray(packed(path).read_bytes())
    start = whole.find(b"PK\1\2")
    while b"data.pkl" not in whole[start + 46 : start + 46 + whole[start + 28]]:
        start = whole.find(b"PK\1\2", start + 4)
    more = b"".join(fields)
    whole[start + 30 : start + 32] = len(more).to_bytes(2, "little")
    end = start + 46 + whole[start + 28]
    whole[end:end] = more
    size = int.from_bytes(whole[-10:-6], "little") + len(more)
    whole[-10:-6] = size.to_bytes(4, "little")
    return written(bytes(whole))


def old(path: Path) -> Path:
    torch.save(content(path), "hostile.ckpt", _use_new_zipfile_serialization=False)
    return Path("hostile.ckpt")


def written(data: bytes) -> Path:
    Path("hostile.ckpt").write_bytes(data)
    return Path("hostile.ckpt")


KEYS = b"".join(b"X\x07\0\0\0%07dK\1" % i for i in range(1_000_000))
DEEP = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
# A tuple of two of itself, forty times, as the key of a dictionary.
HASH = b"\x80\x02)q\0" + b"h\0h\0\x86q\0" * 40 + b"}h\0K\1s."

# What is made out of a good checkpoint, and the reason that is given.
HOSTILE = {
    "bytearray": (lambda good: small(good, Call(bytearray, 10**12)), CODE),
    "bytes": (lambda good: small(good, Call(codecs.encode, "x" * 999, "latin1")), CODE),
    "set": (lambda good: small(good, {1, 2}), CODE),
    "Counter": (lambda good: small(good, Call(collections.Counter, "ab")), NO_FILE),
    "OrderedDict": (lambda good: small(good, Call(collections.OrderedDict, [("a", 1)])), NO_FILE),
    "large tensor": (lambda good: small(good, rebuilt((10**12,), (1,))), CLAIM),
    "expanded tensor": (lambda good: small(good, rebuilt((10**12,), (0,))), CLAIM),
    "saved expanded": (lambda good: small(good, torch.zeros(1).expand(10**12)), CLAIM),
    "long stride": (lambda good: small(good, rebuilt((2, 2), (2, 9))), CLAIM),
    "negative size": (lambda good: small(good, rebuilt((-1,), (1,))), NO_FILE),
    "meta tensor": (lambda good: small(good, torch.empty(10**12, device="meta")), CODE),
    "sparse tensor": (lambda good: small(good, torch.eye(2).to_sparse()), CODE),
    "quantized": (
        lambda good: small(good, torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8)),
        CODE,
    ),
    "storage of terabytes": (
        lambda good: pickled(
            b"\x80\x02(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0" + b"0X\3\0\0\0cpu"
            b"\x8a\6\0\0\0\0\0\1tQ."
        ),
        CLAIM,
    ),
    "memo": (lambda good: pickled(b"\x80\x02Nr\xff\xff\xff\x7f."), "does not say which model"),
    "frame": (lambda good: pickled(b"\x80\4\x95\0\0\0\0\0\1\0\0."), NO_FILE),
    "shared by many": (
        lambda good: small(good, [t := torch.zeros(10**6), *(t[:] for _ in range(99))]),
        "many times as large",
    ),
    "compressed": (compressed, "compressed"),
    "overlapping": (overlapping, "overlap"),
    "twice": (twice, "parts that no checkpoint has"),
    "second name": (
        lambda good: extra(good, b"\x75\x70\x0e\0\1\0\0\0\0archive/a"),
        "more than one list",
    ),
    "second size": (
        lambda good: extra(good, b"\1\0\x08\0" + bytes(8), b"\1\0\x08\0" + bytes(8)),
        "more than one list",
    ),
    "two lists": (two_lists, "more than one list"),
    "traversal": (
        lambda good: packed(good, **{"../../evil": b"x"}),
        "parts that no checkpoint has",
    ),
    "huge description": (lambda good: pickled(b"\x80\x02" + b"N" * (5 << 20)), MANY),
    "within garbage": (lambda good: written(b"#!/bin/sh\n" + good.read_bytes()), NO_FILE),
    "old format": (old, NO_FILE),
    "tar": (lambda good: written(b"archive\0".ljust(257) + b"ustar" + bytes(2000)), NO_FILE),
    "million keys": (lambda good: pickled(b"\x80\x02}(" + KEYS + b"u."), MANY),
    "deep": (lambda good: pickled(DEEP), "nested more deeply"),
    "itself": (lambda good: pickled(b"\x80\x02]q\0h\0a."), "nested more deeply"),
    "hash": (lambda good: pickled(HASH), "keys that are neither"),
    "equal hashes": (
        lambda good: small(good, {(2**61 - 1) * i: i for i in range(9)}),
        "keys that are neither",
    ),
    "laughs": (lambda good: hyper(good, activation=nested(40, shared=True)), MANY),
    "laughs elsewhere": (lambda good: saved(content(good, callbacks=nested(30, True))), MANY),
    "many options": (lambda good: hyper(good, activation=["x"] * 40_000), MANY),
    "tensor option": (lambda good: hyper(good, lr=torch.zeros(())), "not plain"),
    "huge number": (lambda good: hyper(good, num_classes=10**600), "not plain"),
    "number as name": (lambda good: hyper(good, activation={float("nan"): 1}), "neither words"),
    "long text": (lambda good: hyper(good, activation="x" * 5000), "longer"),
    "terminal": (lambda good: hyper(good, activation="\x1b[2J\x1b]0;owned\a"), "terminal"),
    "hidden method": (
        lambda good: pickled(b"\x80\x02ccollections\nOrderedDict\n)R}X\6\0\0\0valuesK\1sb."),
        NO_FILE,
    ),
    "delete": (
        lambda good: saved(content(good, callbacks={"ModelCheckpoint": {"last_model_path": ".."}})),
        "files that are not theirs",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_checkpoint_is_refused_with_the_reason(lenet, good, name):
    make, reason = HOSTILE[name]
    path = make(good)
    started = time.perf_counter()
    with pytest.raises(UserError, match=reason):
        load(path)
    assert time.perf_counter() - started < 10
    if (number := list(HOSTILE).index(name)) % 3 == 0:  # reading is the same for all commands
        done = lenet(("test", "predict", "fit")[number // 3 % 3], "--ckpt_path", path, *QUIET)
        assert (done.code, done.out) == (2, "")
        [line] = done.err.splitlines()
        assert "hostile.ckpt" in line
        assert reason in line


def test_what_is_refused_takes_little_memory(good):
    measure = (
        "import resource, sys\n"
        "from lenet import load\n"
        "from lenet.errors import UserError\n"
        "load(sys.argv[1])\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "for path in sys.argv[2:]:\n"
        "    try:\n"
        "        load(path)\n"
        "    except UserError:\n"
        "        print(path, (peak() - before) // 1024)\n"
    )
    names = ["bytearray", "saved expanded", "compressed", "million keys", "deep", "shared by many"]
    names += ["laughs", "memo", "frame", "hash"]
    paths = [HOSTILE[name][0](good).rename(f"{i}.ckpt") for i, name in enumerate(names)]
    command = [sys.executable, "-c", measure, str(good), *map(str, paths)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == len(names)
    assert int(lines[-1].split()[1]) < 150, lines  # MB


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
def test_what_is_no_file_is_not_waited_for(lenet):
    os.mkfifo("pipe.ckpt")
    Path("folder.ckpt").mkdir()
    for path in ("pipe.ckpt", "folder.ckpt", "/dev/zero"):
        done = lenet("test", "--ckpt_path", path)
        assert done.code == 2
        assert path in done.err


BROKEN = {
    "no loops": (
        lambda good: saved({k: v for k, v in content(good).items() if k != "loops"}),
        "loops",
    ),
    "negative epoch": (lambda good: loop(good, -3), "processed cannot be '-3'"),
    "endless epochs": (lambda good: loop(good, 10**15), "processed cannot be"),
    "endless steps": (
        lambda good: saved(content(good, global_step=10**400)),
        "global_step cannot be",
    ),
    "huge rate": (
        lambda good: saved(content(good, train_figures={"lr": 10**400})),
        "train_figures.lr cannot be",
    ),
    "huge count": (
        lambda good: saved(content(good, train_figures={"count": 1 << 64})),
        "train_figures.count cannot be",
    ),
    "complex score": (
        lambda good: state(good, "EarlyStopping", best_score=torch.tensor(1j)),
        "best_score cannot be",
    ),
    "two scores": (
        lambda good: state(good, "BestCheckpoint", best_k_models={"a.ckpt": torch.ones(2)}),
        "a.ckpt cannot be",
    ),
    "random numbers": (
        lambda good: in_run(
            state(good, "LastCheckpoint", random=torch.zeros_like(torch.get_rng_state()))
        ),
        "cannot be restored",
    ),
    "text as epoch": (lambda good: loop(good, "many"), "cannot be 'many'"),
    "callbacks": (lambda good: saved(content(good, callbacks=[1])), "callbacks cannot be"),
    "no optimizer": (lambda good: saved(content(good, optimizer_states=[])), "cannot be restored"),
    "optimizer of text": (lambda good: saved(content(good, optimizer_states="x")), "restored"),
    "schedulers": (lambda good: saved(content(good, lr_schedulers=3)), "cannot be restored"),
    "version": (
        lambda good: saved(content(good, **{"pytorch-lightning_version": "newest"})),
        "cannot be restored",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_progress_that_cannot_be_restored_is_a_mistake_of_one_line(lenet, good, name):
    make, reason = BROKEN[name]
    path = make(good)
    done = lenet("fit", "--ckpt_path", path, *QUIET, "--trainer.max_epochs", "3")
    assert done.code == 2
    assert "Traceback" not in done.err
    assert path.name in done.err.splitlines()[-1]
    assert reason in done.err.splitlines()[-1]
    assert not Path("runs/LeNet-Digits-1").exists()


@pytest.mark.parametrize("spec", [{"class_path": 1}, {"class_path": "SGD", "init_args": [1]}])
def test_a_class_that_is_none_is_refused_whether_it_is_used_or_not(lenet, good, spec):
    for chosen in ((), ("--model.optimizer", "SGD")):
        done = lenet("test", "--ckpt_path", hyper(good, optimizer=spec), *QUIET, *chosen)
        assert done.code == 2
        assert "hyper_parameters has a class that is none" in done.err
    options = ("--ckpt_path", hyper(good, optimizer={"foo": 1}), *QUIET)
    assert lenet("test", *options, "--model.optimizer", "SGD").code == 0  # it is not used
    assert lenet("test", *options).code == 2


def test_what_belongs_to_the_weights_and_is_none_is_named(good):
    made = content(good)
    made["state_dict"]._metadata = 5
    with pytest.raises(UserError, match=r"hostile\.ckpt: its weights cannot be loaded"):
        load(saved(made))


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
    assert "not a file" in done.err
    assert [path.name for path in Path("runs").iterdir()] == ["handed"]


@pytest.mark.parametrize("moment", [torch.ones(1), "x", None])
def test_a_moment_of_another_shape_is_not_stepped_with(lenet, good, moment):
    made = content(good)
    state = made["optimizer_states"][0]["state"][0]
    state["exp_avg"] = moment
    if moment is None:
        del state["exp_avg"]
    options = ("--trainer.max_epochs", "3", "--trainer.limit_train_batches", "1")
    done = lenet("fit", "--ckpt_path", saved(made), *QUIET, *options)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert "hostile.ckpt: cannot be restored" in done.err.splitlines()[-1]


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
def test_a_folder_of_the_working_folder_is_not_imported_from(lenet, good, name):
    folder = Path(name.partition(".")[0])  # it needs no __init__.py
    folder.mkdir()
    (folder / "stranger.py").write_text("import pathlib; pathlib.Path('imported').touch()")
    spec = {"class_path": "torch.optim.lr_scheduler.LambdaLR", "init_args": {"lr_lambda": name}}
    path = hyper(good, scheduler=spec)
    done = lenet("test", "--ckpt_path", path, *QUIET)
    assert done.code == 2
    assert f"names {name!r}, which is not part of lenet" in done.err
    with pytest.raises(UserError, match="not part of lenet"):
        load(path)
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
def test_a_file_that_would_be_opened_for_a_class_is_refused(lenet, good, name, option):
    Path("stranger.py").write_text(STRANGER)
    Path(name).write_text("stranger.C" if name == "lines" else "class_path: stranger.C")
    path = hyper(good, **option)
    with pytest.raises(UserError, match="not part of lenet"):
        load(path)
    assert lenet("test", "--ckpt_path", path, *QUIET).code == 2
    assert not Path("imported").exists()


@pytest.mark.parametrize("make", ["text", "yaml", "folder"])
def test_what_is_called_like_an_options_value_is_no_matter(lenet, small_run, make):
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
    path = hyper(run / "checkpoints" / "best.ckpt", scheduler=scheduler)
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
        "lenet.runs.shutil.rmtree",
        "lenet.runs.os.system",
        "lenet.cli.LeNetCLI",
    ],
)
def test_what_ours_or_pytorchs_modules_happen_to_import_is_a_strangers(lenet, good, name):
    spec = {"class_path": name, "init_args": {"command": "touch run"}}
    for optimizer in (spec, name):
        done = lenet("fit", "--ckpt_path", hyper(good, optimizer=optimizer), *QUIET)
        assert done.code == 2
        assert f"names {name!r}, which is not part of lenet" in done.err
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
def test_text_that_jsonargparse_would_read_as_a_class_is_refused(lenet, good, option):
    Path("stranger.py").write_text("import pathlib; pathlib.Path('run').touch()")
    sys.path.append(".")
    for text in CALLS:
        with pytest.raises(UserError, match=r"no plain text|not part of lenet"):
            load(hyper(good, **{option: text}))
    for verb in ("fit", "test"):
        done = lenet(verb, "--ckpt_path", hyper(good, **{option: CALL}), *QUIET)
        assert done.code == 2
        assert "no plain text" in done.err
    assert not Path("run").exists()


def test_a_tensor_that_torch_keeps_as_bytes_is_read(good):
    made = content(good)
    made["state_dict"]["seed"] = torch.ones(3, dtype=torch.uint64)
    with pytest.raises(UserError, match="seed is"):  # and no other reason
        load(saved(made))


def test_what_is_printed_of_a_stranger_is_short_and_does_nothing():
    assert printable("\x1b[2J") == "\\x1b[2J"
    assert len(one_line("x" * 10**6)) < 2000
