import numpy as np
import pytest

from lenet import USPS
from lenet.errors import UserError
from tests.small import random_images, write_usps


def test_pixels_and_digits_are_those_of_the_file(tmp_path):
    write_usps(tmp_path)
    for train, count in ((True, 60), (False, 20)):
        images, labels = USPS(root=str(tmp_path)).read(train)
        written = random_images(count, 256).reshape(count, 1, 16, 16).astype(int)
        # Six digits are written, and torchvision cuts off what is below a whole step.
        assert np.abs(images.numpy().astype(int) - written).max() <= 1
        assert labels.tolist() == [i % 10 for i in range(count)]


def test_images_are_resized_unless_told_otherwise(tmp_path):
    write_usps(tmp_path)
    data = USPS(root=str(tmp_path))
    images, _ = data.read(train=False)
    assert (data.to_size(images)[:, :, 0] > 0).any()
    padded = USPS(root=str(tmp_path), resize=False).to_size(images)
    assert not padded[:, :, :8].any()


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    write_usps(tmp_path)
    file = tmp_path / "usps.t.bz2"
    file.write_bytes(file.read_bytes()[:-40] if content is None else content)
    with pytest.raises(UserError, match=r"usps\.t\.bz2"):
        USPS(root=str(tmp_path)).read(train=False)


def test_what_is_missing_is_named_where_it_cannot_be_downloaded(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("no network in tests")

    monkeypatch.setattr("torchvision.datasets.usps.download_url", no_network)
    with pytest.raises(UserError, match=r"USPS is not in .*no network.*usps\.bz2"):
        USPS(root=str(tmp_path)).prepare_data()
