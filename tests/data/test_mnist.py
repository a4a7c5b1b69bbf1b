import gzip
import hashlib
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler
from urllib.error import URLError

import pytest
import torch
from torchvision import datasets

from lenet import MNIST
from lenet.errors import UserError
from tests.serving import serving


def no_network(*args, **kwargs):
    raise URLError("no network in tests")


def test_nothing_is_fetched_if_it_is_there(mnist_root, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", no_network)
    MNIST(root=str(mnist_root)).prepare_data()


def test_the_root_is_the_option_or_the_environment_or_data(monkeypatch, tmp_path):
    assert MNIST(root="here").root == tmp_path / "here"
    monkeypatch.setenv("PATH_DATASETS", str(tmp_path / "there"))
    assert MNIST().root == tmp_path / "there"
    monkeypatch.delenv("PATH_DATASETS")
    assert MNIST().root == tmp_path / "data"


def test_without_network_and_data_both_ways_out_are_named(lenet, monkeypatch, tmp_path):
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", no_network)
    done = lenet("fit", "--data.root", tmp_path / "empty")
    assert done.code == 2
    [line] = [line for line in done.err.splitlines() if "error" in line]
    assert str(tmp_path / "empty" / "MNIST" / "raw") in line
    assert "--data.root" in line
    assert "configs/digits.yaml" in line


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """A folder that is served where torchvision looks for MNIST."""
    folder = tmp_path / "server"
    folder.mkdir()
    with serving(partial(SimpleHTTPRequestHandler, directory=str(folder))) as address:
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"{address}/"])
        yield folder


def test_a_download_is_checked_by_its_sums_and_unpacked(mnist_root, archives, monkeypatch):
    raw = mnist_root / "MNIST" / "raw"
    resources = []
    for file in sorted(raw.iterdir()):
        packed = gzip.compress(file.read_bytes())
        (archives / f"{file.name}.gz").write_bytes(packed)
        resources.append((f"{file.name}.gz", hashlib.md5(packed).hexdigest()))
    shutil.rmtree(raw)
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    MNIST(root=str(mnist_root)).prepare_data()
    assert len(MNIST(root=str(mnist_root)).read(train=True)[0]) == 120

    shutil.rmtree(raw)
    monkeypatch.setattr(datasets.MNIST, "resources", [(name, "0" * 32) for name, _ in resources])
    with pytest.raises(UserError, match="could not be downloaded"):
        MNIST(root=str(mnist_root)).prepare_data()


@pytest.mark.parametrize("keep", [0, 3, 10, 100, -1])
def test_a_truncated_file_is_refused_by_name(lenet, mnist_root, keep):
    file = mnist_root / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:keep])
    done = lenet("fit", "--data.root", mnist_root)
    assert done.code == 2
    assert str(file) in done.err
    assert "Traceback" not in done.err
    assert not list(mnist_root.parent.glob("runs/*"))


def test_labels_out_of_range_are_refused(mnist_root):
    file = mnist_root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    content = bytearray(file.read_bytes())
    content[-1] = 10
    file.write_bytes(content)
    with pytest.raises(UserError, match="labels from 0 to 10"):
        MNIST(root=str(mnist_root)).read(train=False)


def test_files_that_were_swapped_are_refused(mnist_root):
    raw = mnist_root / "MNIST" / "raw"
    shutil.copy(raw / "t10k-labels-idx1-ubyte", raw / "train-labels-idx1-ubyte")
    with pytest.raises(UserError, match="120 images of 28x28 and 30 labels"):
        MNIST(root=str(mnist_root)).read(train=True)


@pytest.mark.mnist
def test_real_mnist_is_split_55000_5000_10000_and_normalised(real_mnist):
    data = MNIST()
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    assert {name: len(data.sets[name]) for name in ("train", "val", "test")} == {
        "train": 55_000,
        "val": 5_000,
        "test": 10_000,
    }
    images = data.sets["train"].images
    assert images.dtype == torch.uint8
    normal = data.normalize(images[:, :, ::2].float())
    assert abs(normal.mean()) < 0.02
    everything = images.float() / 255
    assert round(everything.mean().item(), 4) == 0.1307
    assert round(everything.std().item(), 4) == 0.3081
