"""Fixtures: the program as its user runs it, and small MNIST files."""

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from lenet.__main__ import main

# What is started in the background ignores Ctrl-C, and so does all that it starts: CI's tests too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Lightning keeps its log from caplog where nothing listens at its import, as with pytest 8.0.
for part in ("fabric", "pytorch"):
    logging.getLogger(f"lightning.{part}").propagate = True

# Tests run beside each other: one thread each is faster than all of them on all cores. PyTorch
# reads this. It is not imported here: the process that hands out the tests need not wait for it.
os.environ["OMP_NUM_THREADS"] = "1"

# Cases out of hypothesis: the same ones each time, and others with --hypothesis-profile=long.
always = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("ci", max_examples=100, derandomize=True, **always)
settings.register_profile("long", max_examples=2_000, **always)
settings.load_profile("ci")

REPOSITORY = Path(__file__).parent.parent
SILENT = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
# Pictures take as long to draw as a small training does: only the tests of pictures have them.
QUIET = [
    *("--pictures.curves", "false", "--pictures.filters", "false", "--pictures.features", "false"),
    *("--pictures.confusion", "false", "--pictures.classes", "false"),
    *("--pictures.num_mistakes", "0", "--predictions.num_images", "0", *SILENT),
]
# A training on real digits of about a second.
DIGITS = ["--data", "Digits", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
TINY = [*DIGITS, *QUIET]


@dataclass
class Finished:
    code: int
    out: str
    err: str


Run = Callable[..., Finished]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    """Work in a folder of the test's own, with no data set within reach."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH_DATASETS", str(tmp_path / "no-data"))
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def lenet(capfd) -> Run:
    """Run ``lenet`` in this process, which saves the import of PyTorch."""

    def run(*args: str) -> Finished:
        capfd.readouterr()
        code = 0
        try:
            main([str(arg) for arg in args])
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else int(e.code is not None)
        return Finished(code, *capfd.readouterr())

    return run


@pytest.fixture
def lenet_process() -> Run:
    """Run ``lenet`` as its user does, in a process of its own."""

    def run(*args: str) -> Finished:
        command = [sys.executable, "-m", "lenet", *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def mnist_root(tmp_path) -> Path:
    """Write MNIST's four files with 120 and 30 random images, in torchvision's layout."""
    from tests.small import write_mnist

    write_mnist(tmp_path / "mnist")
    return tmp_path / "mnist"


@pytest.fixture
def small(tmp_path, monkeypatch) -> Callable[[str], Path]:
    """Write small files of any data set, and let PATH_DATASETS name their folder."""
    from tests.small import write_data

    def write(name: str) -> Path:
        root = tmp_path / f"{name}-files"
        write_data(root, name, monkeypatch)
        monkeypatch.setenv("PATH_DATASETS", str(root))
        return root

    return write


@pytest.fixture
def photos(small) -> Path:
    """Write a folder of images: three classes of ten."""
    return small("ImageFolder")


# Where the environment says that the real files are, before a test changes it.
REAL_MNIST = Path(os.environ.get("PATH_DATASETS", "data")).absolute()


@pytest.fixture
def real_mnist(monkeypatch) -> Path:
    """Give the folder of the real MNIST, or skip and say where it was looked for."""
    if not (REAL_MNIST / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file():
        pytest.skip(f"no MNIST in {REAL_MNIST}: set PATH_DATASETS")
    monkeypatch.setenv("PATH_DATASETS", str(REAL_MNIST))
    return REAL_MNIST


@pytest.fixture(scope="session")
def mnist_run(tmp_path_factory, worker_id) -> Path:
    """Train LeNet on the real MNIST for half an epoch, once for all. Copy it to write in it."""
    if not (REAL_MNIST / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file():
        pytest.skip(f"no MNIST in {REAL_MNIST}: set PATH_DATASETS")
    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent
    run = shared / "runs" / "LeNet-MNIST-1"
    with FileLock(shared / "mnist_run.lock"):
        if not run.is_dir():
            options = ["--config", str(REPOSITORY / "configs" / "mnist.yaml"), *QUIET]
            options += ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
            options += ["--trainer.limit_train_batches", "500"]  # of 860
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(shared)
                patch.setenv("PATH_DATASETS", str(REAL_MNIST))
                main(["fit", *options])
    return run


@pytest.fixture(scope="session")
def small_run(tmp_path_factory) -> Path:
    """Train LeNet for two batches, once for all. Nothing writes into this run."""
    folder, here = tmp_path_factory.mktemp("trained"), Path.cwd()
    os.chdir(folder)
    try:
        main(["fit", *TINY, "--trainer.limit_train_batches", "2"])
    finally:
        os.chdir(here)
    return folder / "runs" / "LeNet-Digits-1"


@pytest.fixture
def trained(small_run) -> Path:
    """Copy the small run to where a training would have written it. It may be written in."""
    return shutil.copytree(small_run, Path("runs") / small_run.name)


@pytest.fixture
def good(small_run) -> Path:
    """Give a checkpoint to make others of."""
    return small_run / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="session")
def shared(small_run) -> Path:
    """Export the weights of the small run, as one would give them away."""
    path = small_run.parent.parent / "shared.safetensors"
    main(["export", "--ckpt_path", str(small_run), "--output", str(path)])
    return path
