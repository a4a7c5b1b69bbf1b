"""Downloads by several processes, broken off, killed, and without room: from a server here."""

import errno
import gzip
import hashlib
import os
import re
import resource
import signal
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from torchvision import datasets

from lenet import MNIST
from lenet.data.sets import downloads as fetching
from lenet.errors import UserError
from tests.conftest import QUIET
from tests.serving import serving
from tests.small import write_mnist
from tests.starts import codes, said, start_groups

TRAIN = "train-images-idx3-ubyte"
ARGS = ["--data.val_size", "10", "--trainer.max_steps", "1", "--trainer.accelerator", "cpu", *QUIET]


@dataclass
class Served:
    """MNIST's archives on a server that counts, breaks off or stops in the midst of a file."""

    files: dict[str, bytes]
    asked: Counter = field(default_factory=Counter)
    breaks_off: bool = False
    stops: bool = False
    stopped: threading.Event = field(default_factory=threading.Event)
    goes_on: threading.Event = field(default_factory=threading.Event)
    mirror: str = ""

    @property
    def resources(self) -> list[tuple[str, str]]:
        return [(name, hashlib.md5(body).hexdigest()) for name, body in self.files.items()]


@pytest.fixture
def served(tmp_path):
    write_mnist(tmp_path / "published")
    files = sorted((tmp_path / "published" / "MNIST" / "raw").iterdir())
    served = Served({f"{file.name}.gz": gzip.compress(file.read_bytes()) for file in files})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = served.files[name := self.path[1:]]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.headers["Method"] == "HEAD":
                return  # as torchvision looks for a redirection
            served.asked[name] += 1
            half = len(body) // 2
            self.wfile.write(body[:half])
            if served.stops:
                served.stopped.set()
                served.goes_on.wait(300)
            if not served.breaks_off:
                self.wfile.write(body[half:])

        def log_message(self, *args):
            pass

    with serving(Handler) as address:
        served.mirror = f"{address}/"
        yield served
        served.goes_on.set()


@pytest.fixture
def here(served, monkeypatch):
    """Let this process download from the server as well."""
    monkeypatch.setattr(datasets.MNIST, "mirrors", [served.mirror])
    monkeypatch.setattr(datasets.MNIST, "resources", served.resources)
    return served


def fit(root: Path, *options: str) -> list[str]:
    return ["fit", "--data", "MNIST", "--data.root", str(root), *ARGS, *options]


def start(served: Served, *groups: list[list[str]]) -> subprocess.Popen:
    plan = {"groups": groups, "mirrors": [served.mirror], "resources": served.resources}
    return start_groups(plan)


def names(root: Path) -> set[str]:
    return {file.name for file in (root / "MNIST" / "raw").iterdir()}


def whole(served: Served) -> set[str]:
    return {*served.files, *(name.removesuffix(".gz") for name in served.files)}


@pytest.mark.long
def test_of_processes_that_start_together_one_downloads_and_each_has_a_run(served, tmp_path):
    roots = {2: tmp_path / "of two", 8: tmp_path / "of eight"}
    groups = [
        [fit(root, "--trainer.default_root_dir", str(root / "runs"))] * count
        for count, root in roots.items()
    ]
    assert codes(start(served, *groups)) == [0] * 10, said()
    assert served.asked == Counter(dict.fromkeys(served.files, 2))  # by the two, by the eight
    for count, root in roots.items():
        assert names(root) == whole(served)
        runs = {path.name for path in (root / "runs").iterdir()}
        assert runs == {f"LeNet-MNIST-{number}" for number in range(1, count + 1)}
        for run in runs:
            assert (root / "runs" / run / "config.yaml").is_file()
            assert (root / "runs" / run / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.long
def test_a_download_that_is_killed_leaves_nothing_and_another_process_goes_on(served, tmp_path):
    served.stops = True
    root = tmp_path / "data"
    process = start(served, [fit(root)] * 2)
    assert served.stopped.wait(120)
    waits = []
    for _ in range(1200):
        waits = [n for n in "01" if "Waiting for another" in Path(f"said/{n}.err").read_text()]
        if waits:
            break
        time.sleep(0.1)
    [killed] = {"0", "1"} - set(waits)
    os.kill(int(Path(f"said/{killed}.pid").read_text()), signal.SIGKILL)
    served.stops = False
    served.goes_on.set()
    found = codes(process)
    assert found[int(killed)] == -signal.SIGKILL
    assert found[1 - int(killed)] == 0, said()
    assert names(root) == whole(served)  # and neither the lock nor what was left


def test_what_a_killed_process_left_is_neither_used_nor_in_the_way(here, tmp_path):
    left = tmp_path / "data" / "MNIST" / "raw" / fetching.TEMPORARY / "MNIST" / "raw"
    left.mkdir(parents=True)
    (left.parents[2] / fetching.LOCK).touch()
    for name in whole(here):  # torchvision takes files that are there for whole
        (left / name).write_bytes(b"half of i")
    MNIST(root=str(tmp_path / "data")).prepare_data()
    assert names(tmp_path / "data") == whole(here)


def test_a_connection_that_breaks_off_leaves_nothing_and_the_next_try_works(here, lenet, tmp_path):
    here.breaks_off = True
    root = tmp_path / "data"
    done = lenet("fit", "--data.root", root, *ARGS)
    assert done.code == 2
    [line] = [line for line in done.err.splitlines() if "lenet: error" in line]
    assert "MNIST is not in" in line
    assert "could not be downloaded" in line
    assert "Traceback" not in done.err
    assert names(root) <= {fetching.LOCK}
    assert not list(Path().glob("runs/*"))
    here.breaks_off = False
    done = lenet("fit", "--data.root", root, *ARGS)
    assert done.code == 0, done.err
    assert names(root) == whole(here)


def test_files_that_are_there_are_kept_and_archives_that_are_there_are_taken(here, tmp_path):
    write_mnist(tmp_path, train=130)  # of one's own
    raw = tmp_path / "MNIST" / "raw"
    own = (raw / TRAIN).read_bytes()
    for half in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (raw / half).unlink()
    here_already = "t10k-labels-idx1-ubyte.gz"
    (raw / here_already).write_bytes(here.files[here_already])
    MNIST(root=str(tmp_path)).prepare_data()
    assert (raw / TRAIN).read_bytes() == own
    assert here_already not in here.asked
    assert names(tmp_path) == whole(here)


def test_where_all_is_there_nothing_is_locked(mnist_root, monkeypatch):
    def no_lock(*args, **kwargs):
        raise AssertionError("locked")

    monkeypatch.setattr(fetching, "FileLock", no_lock)
    MNIST(root=str(mnist_root)).prepare_data()
    assert all(name.endswith("-ubyte") for name in names(mnist_root))


def test_a_disk_that_takes_no_more_is_named_and_nothing_is_left(here, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))  # the images have 94,096 bytes
    try:
        reason = re.escape(os.strerror(errno.EFBIG))
        with pytest.raises(UserError, match=rf"could not be downloaded \(.*{reason}"):
            MNIST(root=str(tmp_path / "data")).prepare_data()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path / "data") <= {fetching.LOCK}


def test_a_folder_that_cannot_be_made_is_named(here, tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(UserError, match=r"MNIST is not in .* could not be downloaded \(.*data"):
        MNIST(root=str(tmp_path / "data")).prepare_data()


def test_a_download_ends_well_where_an_open_file_cannot_be_removed(tmp_path, monkeypatch):
    unlink = Path.unlink

    def refuse(self, *args, **kwargs):  # as Windows does
        if self.name == fetching.LOCK:
            raise PermissionError(13, "used by another process", str(self))
        unlink(self, *args, **kwargs)

    monkeypatch.setattr(Path, "unlink", refuse)
    file = tmp_path / "set" / "file"

    def open_in(root):
        (Path(root) / "set").mkdir(parents=True)
        (Path(root) / "set" / "file").write_text("whole")

    fetching.fetch(open_in, "Set", tmp_path, [file])
    assert file.read_text() == "whole"
