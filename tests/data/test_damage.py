"""Files that are cut off, empty, swapped or have a bit flipped: refused by name, or unchanged.

Each is read as a training and a test read it, by ``prepare_data`` and ``setup``.
"""

import contextlib
import gzip
import hashlib
import random
import shutil
from pathlib import Path

import pytest
from torch import Tensor
from torchvision import datasets

import lenet as package
from lenet.data.sets.mnist import PUBLISHED
from lenet.errors import UserError
from tests.conftest import QUIET
from tests.small import DATA

IDX = ("MNIST", "FashionMNIST", "KMNIST", "QMNIST", "EMNIST")
IN_FILES = [name for name in DATA if name != "Digits"]
SUMMED = ("USPS", "CIFAR10", "CIFAR100")  # whose files have sums wherever they come from


def files_of(name: str, root: Path) -> list[Path]:
    """Name the files that are read: of EMNIST those of a split, of a folder some."""
    if name in IDX:
        data = getattr(package, name)(root=str(root))
        return [*data.files(train=True), *data.files(train=False)]
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return files[::7] if name == "ImageFolder" else files


def load(name: str) -> list[Tensor]:
    data = getattr(package, name)()
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    sets = [data.sets[part] for part in ("train", "test")]
    return [values for part in sets for values in (part.images, part.labels)]


def is_refused(name: str, file: Path, whole: list[Tensor] | None = None) -> bool:
    """Tell whether a data set is refused by the name of a file, or if not, that it is whole."""
    try:
        found = load(name)
    except UserError as e:
        return file.name in str(e)
    assert whole is not None
    assert all(a.equal(b) for a, b in zip(found, whole, strict=True))
    return False


@contextlib.contextmanager
def replaced(file: Path, content: bytes):
    before = file.read_bytes()
    file.write_bytes(content)
    yield
    file.write_bytes(before)


@contextlib.contextmanager
def flipped(file: Path, bit: int):
    """Flip a bit in place, and back."""
    for again in (False, True):
        with file.open("r+b") as stream:
            stream.seek(bit // 8)
            byte = stream.read(1)[0] ^ 1 << bit % 8
            stream.seek(bit // 8)
            stream.write(bytes([byte]))
        if not again:
            yield


@pytest.mark.parametrize("name", IN_FILES)
def test_a_file_that_is_cut_off_anywhere_is_refused_by_name(small, name):
    drawn, files = random.Random(0), files_of(name, small(name))
    whole = load(name)
    for file in files:
        content = file.read_bytes()
        for keep in (0, 1, 4, len(content) - 1, *drawn.sample(range(len(content)), 6)):
            with replaced(file, content[:keep]):
                # After its pixels a PNG has some bytes that say nothing.
                assert is_refused(name, file, whole) or name == "ImageFolder", (file.name, keep)


@pytest.mark.parametrize("name", IDX)
def test_a_bit_that_is_flipped_in_a_header_is_refused(small, name):
    for file in files_of(name, small(name)):
        for bit in range(8 * (16 if "images" in file.name else 8)):
            with flipped(file, bit):
                assert is_refused(name, file), (file.name, bit)


@pytest.mark.parametrize("name", [*IDX, *SUMMED])
def test_a_bit_that_is_flipped_anywhere_is_refused_where_there_is_a_sum(small, name):
    drawn, files = random.Random(0), files_of(name, small(name))
    if name in IDX:
        for file in files:
            Path(f"{file}.gz").write_bytes(gzip.compress(file.read_bytes()))
    whole = load(name)
    for file in files:
        for bit in drawn.sample(range(8 * file.stat().st_size), 12):
            with flipped(file, bit):
                # bzip2 has bits that mean nothing.
                assert is_refused(name, file, whole) or name == "USPS", (file.name, bit)


def test_a_bit_that_is_flipped_in_a_png_is_refused(small):
    drawn = random.Random(0)
    for file in files_of("ImageFolder", small("ImageFolder")) * 10:
        with flipped(file, bit := drawn.randrange(8 * file.stat().st_size)):
            assert is_refused("ImageFolder", file), (file.name, bit)


@pytest.mark.parametrize("name", ["MNIST", "QMNIST", "EMNIST"])
def test_a_file_in_the_place_of_another_is_refused(small, name):
    files = files_of(name, small(name))
    for place in files:
        for other in files:
            if other != place:
                with replaced(place, other.read_bytes()), pytest.raises(UserError) as caught:
                    load(name)
                assert place.name in str(caught.value)


@pytest.mark.parametrize("name", SUMMED)
def test_a_file_with_a_sum_in_the_place_of_another_is_refused(small, name, monkeypatch):
    files = files_of(name, small(name))
    if name == "USPS":  # let torchvision know these files
        sums = {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in files}
        known = {
            part: [url, file, sums[file]]
            for part, (url, file, _) in datasets.USPS.split_list.items()
        }
        monkeypatch.setattr(datasets.USPS, "split_list", known)
    load(name)
    for place, other in zip(files, files[1:] + files[:1], strict=True):
        if (content := other.read_bytes()) != place.read_bytes():
            with replaced(place, content):
                assert is_refused(name, place), place.name


@pytest.fixture
def mnist_copy(real_mnist, tmp_path, monkeypatch) -> list[Path]:
    """Copy the real MNIST, and give its files."""
    root = tmp_path / "copy"
    shutil.copytree(real_mnist / "MNIST" / "raw", root / "MNIST" / "raw")
    monkeypatch.setenv("PATH_DATASETS", str(root))
    files = [root / "MNIST" / "raw" / name for name in PUBLISHED["MNIST"]]
    for file in files:
        file.chmod(0o644)
    return files


@pytest.mark.mnist
def test_200_bits_of_the_real_mnist_that_are_flipped_are_refused_one_by_one(mnist_copy):
    drawn = random.Random(0)
    for i in range(200):
        file = mnist_copy[i % 4]
        bit = drawn.randrange(8 * file.stat().st_size)
        with flipped(file, bit):
            assert is_refused("MNIST", file), (file.name, bit)
    load("MNIST")


@pytest.mark.mnist
def test_files_of_another_data_set_of_the_same_size_are_refused_as_mnist(mnist_copy):
    for file in mnist_copy:
        content = bytearray(file.read_bytes())
        content[16:] = content[:15:-1]
        with replaced(file, content):
            assert is_refused("MNIST", file), file.name


@pytest.mark.parametrize("name", IN_FILES)
def test_no_run_is_left_of_a_training_whose_data_are_damaged(lenet, small, name):
    file = files_of(name, small(name))[-1]  # of the test images, where they are apart
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    done = lenet("fit", "--data", name, "--trainer.accelerator", "cpu", *QUIET)
    assert done.code == 2
    assert f"{file}: " in done.err or name == "ImageFolder"
    assert file.name in done.err
    assert "Traceback" not in done.err
    assert not list(Path().glob("runs/*"))
