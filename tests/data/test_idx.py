"""Fashion-MNIST, Kuzushiji-MNIST, QMNIST and EMNIST, which share MNIST's format."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from lenet import EMNIST, KMNIST, QMNIST, FashionMNIST
from lenet.data.sets.idx import check_idx, read_idx
from lenet.errors import UserError
from tests.small import SPLITS, random_images, write_emnist, write_idx, write_mnist, write_qmnist


def test_classes_have_the_names_that_torchvision_has_in_its_order():
    assert [name.lower() for name in datasets.FashionMNIST.classes] == [
        name.lower() for name in FashionMNIST.classes
    ]
    assert FashionMNIST.classes[9] == "ankle boot"
    assert list(KMNIST.classes) == datasets.KMNIST.classes
    for split in SPLITS:
        names = [name for name in datasets.EMNIST.classes_split_dict[split] if name != "N/A"]
        assert list(EMNIST(split=split).classes) == names


def test_emnist_has_as_many_classes_as_published():
    found = {split: EMNIST(split=split).num_classes for split in SPLITS}
    assert found == {
        **{"byclass": 62, "bymerge": 47, "balanced": 47},
        **{"letters": 26, "digits": 10, "mnist": 10},
    }


@pytest.mark.parametrize("split", SPLITS)
def test_emnist_images_are_turned_the_right_way_up(tmp_path, split):
    write_emnist(tmp_path, split)
    images, labels = EMNIST(root=str(tmp_path), split=split).read(train=False)
    in_the_file = torch.from_numpy(random_images(62, 28, 28))
    # The file has columns where rows belong.
    assert images[:, 0].equal(in_the_file.transpose(1, 2))
    assert images.is_contiguous()
    assert labels[:3].tolist() == [0, 1, 2]


def test_emnist_letters_of_the_file_are_from_one_on(tmp_path):
    write_emnist(tmp_path, "letters")
    data = EMNIST(root=str(tmp_path), split="letters")
    _, labels = data.read(train=True)
    assert data.classes[labels[0]] == "a"
    assert (int(labels.min()), int(labels.max())) == (0, 25)
    file = data.files(train=True)[1]
    write_idx(file, np.arange(186, dtype=np.uint8) % 26)
    with pytest.raises(UserError, match="labels from 0 to 25, but those of EMNIST are from 1"):
        data.read(train=True)


def test_a_damaged_file_of_another_split_is_no_matter(tmp_path):
    for split in ("letters", "digits"):
        write_emnist(tmp_path, split)
    EMNIST(root=str(tmp_path), split="digits").files(train=True)[0].write_bytes(b"")
    EMNIST(root=str(tmp_path), split="letters").prepare_data()
    with pytest.raises(UserError, match="emnist-digits-train-images-idx3-ubyte: not an IDX file"):
        EMNIST(root=str(tmp_path), split="digits").prepare_data()


@pytest.mark.parametrize(
    ("what", "part"),
    [("test", slice(None)), ("test10k", slice(10_000)), ("test50k", slice(10_000, None))],
)
def test_qmnist_has_mnists_test_images_first_and_then_the_further_ones(tmp_path, what, part):
    write_qmnist(tmp_path, test=10_012)
    images, labels = QMNIST(root=str(tmp_path), what=what).read(train=False)
    assert images[:, 0].equal(torch.from_numpy(random_images(10_012, 28, 28)[part]))
    assert labels.equal((torch.arange(10_012) % 10)[part])
    assert len(QMNIST(root=str(tmp_path), what=what).read(train=True)[0]) == 120


def test_what_is_missing_is_named_where_it_cannot_be_downloaded(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("no network in tests")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", no_network)
    for data, file in (
        (QMNIST, "qmnist-test-labels-idx2-int"),
        (EMNIST, "emnist-balanced-test-images-idx3-ubyte"),
        (KMNIST, "t10k-labels-idx1-ubyte"),
    ):
        with pytest.raises(UserError, match="could not be downloaded") as caught:
            data(root=str(tmp_path)).prepare_data()
        assert file in str(caught.value)
        assert str(tmp_path / data.__name__ / "raw") in str(caught.value)


def test_both_halves_are_fetched(tmp_path, monkeypatch):
    asked = []

    def write(url, download_root, *args, **kwargs):
        asked.append(url.rpartition("/")[2])
        write_qmnist(Path(download_root).parent.parent)

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", write)
    write_qmnist(tmp_path)
    data = QMNIST(root=str(tmp_path))
    data.prepare_data()
    assert asked == []
    data.files(train=True)[0].unlink()
    data.prepare_data()
    assert asked[0] == "qmnist-train-images-idx3-ubyte.gz"


@pytest.mark.parametrize("cut", [0, 3, 10, -1])
def test_integers_that_are_cut_off_are_refused(tmp_path, cut):
    write_qmnist(tmp_path)
    file = QMNIST(root=str(tmp_path)).files(train=True)[1]
    check_idx(file)
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(UserError, match="qmnist-train-labels-idx2-int"):
        QMNIST(root=str(tmp_path)).read(train=True)


def test_a_file_of_another_type_is_refused(tmp_path):
    write_mnist(tmp_path, "KMNIST")
    images, labels = KMNIST(root=str(tmp_path)).files(train=True)
    labels.write_bytes(images.read_bytes())
    with pytest.raises(UserError, match="train-labels-idx1-ubyte: wrong file"):
        KMNIST(root=str(tmp_path)).read(train=True)


def test_a_part_of_qmnist_that_is_not_there_is_refused(tmp_path):
    write_qmnist(tmp_path)
    with pytest.raises(UserError, match=r"has only 30 images, too few for --data\.what test50k"):
        QMNIST(root=str(tmp_path), what="test50k").read(train=False)


def test_labels_without_columns_are_refused(tmp_path):
    write_qmnist(tmp_path)
    write_idx(QMNIST(root=str(tmp_path)).files(train=True)[1], np.zeros((120, 0), np.int32))
    with pytest.raises(UserError, match="120 images of 28x28 and 0 labels"):
        QMNIST(root=str(tmp_path)).read(train=True)


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    file = tmp_path / "train-labels-idx1-ubyte"
    with pytest.raises(UserError, match="train-labels-idx1-ubyte: cannot be read"):
        read_idx(file)


@pytest.mark.parametrize("values", [random_images(5, 3, 2), np.int32([[1, -2], [3, 2**30]])])
def test_values_are_read_as_they_were_written(tmp_path, values):
    kind = "ubyte" if values.dtype == np.uint8 else "int"
    file = tmp_path / f"values-idx{values.ndim}-{kind}"
    write_idx(file, values)
    read = read_idx(file)
    assert read.equal(torch.from_numpy(values))
    read += 1  # it can be written to
