import numpy as np
import pytest
import torch

from lenet import CIFAR10, CIFAR100
from lenet.errors import UserError
from tests.small import random_images, write_cifar


@pytest.mark.parametrize(("data", "num_classes"), [(CIFAR10, 10), (CIFAR100, 100)])
def test_images_are_red_green_and_blue_planes(tmp_path, monkeypatch, data, num_classes):
    write_cifar(tmp_path, data.__name__, monkeypatch)
    images, labels = data(root=str(tmp_path)).read(train=False)
    planes = random_images(40, 3072).reshape(40, 3, 32, 32)
    assert np.array_equal(images.numpy(), planes)
    assert labels.equal(torch.arange(40) % num_classes)
    assert data(root=str(tmp_path)).num_classes == num_classes
    assert len(data.classes) == num_classes


def test_all_five_files_of_cifar10_are_trained_on(tmp_path, monkeypatch):
    write_cifar(tmp_path, "CIFAR10", monkeypatch)
    images, _ = CIFAR10(root=str(tmp_path)).read(train=True)
    assert images.shape == (5 * 40, 3, 32, 32)


def test_names_of_two_words_are_spelt_with_a_space():
    assert {"aquarium fish", "pickup truck", "maple tree", "sweet pepper"} < set(CIFAR100.classes)
    assert list(CIFAR100.classes) == sorted(CIFAR100.classes)
    assert CIFAR10.classes[9] == "truck"


def test_a_damaged_file_is_not_unpickled(tmp_path, monkeypatch):
    write_cifar(tmp_path, "CIFAR10", monkeypatch)
    file = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    file.write_bytes(b"cos\nsystem\n(S'touch exploded'\ntR.")
    with pytest.raises(UserError, match=r"cifar-10-batches-py.*missing or damaged"):
        CIFAR10(root=str(tmp_path)).read(train=True)


def test_what_is_missing_is_named_where_it_cannot_be_downloaded(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("no network in tests")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", no_network)
    with pytest.raises(UserError, match=r"CIFAR100 is not in .*cifar-100-python.*no network"):
        CIFAR100(root=str(tmp_path)).prepare_data()
