from types import SimpleNamespace

import pytest
import torch

from lenet import MLP, MNIST, Digits, LeNet
from lenet.data.memory import TensorImages
from lenet.errors import UserError


def test_batches_are_one_index_operation_on_bytes(mnist_root):
    data = MNIST(root=str(mnist_root), val_size=20, batch_size=16)
    data.setup("fit")
    images, labels, indices = next(iter(data.train_dataloader()))
    assert images.dtype == torch.uint8
    assert images.shape == (16, 1, 28, 28)
    assert labels.dtype == torch.int64
    train = data.sets["train"]
    assert images.equal(train.images[indices])
    assert labels.equal(train.labels[indices])
    assert set(indices.tolist()) <= set(train.indices.tolist())


def test_images_without_labels_have_their_indices():
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1)
    served = TensorImages(images, None, indices=torch.tensor([4, 2, 5]))
    batch, indices = served.__getitems__([2, 0])
    assert batch.flatten().tolist() == indices.tolist() == [5, 4]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_every_training_image_is_served_once_an_epoch_and_shuffled(num_workers):
    data = Digits(batch_size=100, num_workers=num_workers)
    data.setup("fit")
    served = torch.cat([labels for _, labels, _ in data.train_dataloader()])
    in_order = data.sets["train"].labels[data.sets["train"].indices]
    assert served.bincount().equal(in_order.bincount())
    assert not served.equal(in_order)


def test_train_validation_and_test_are_disjoint_and_fixed(mnist_root):
    def split(data, seed):
        torch.manual_seed(seed)
        data.setup("fit")
        data.setup("test")
        return {name: data.sets[name].indices for name in ("train", "val", "test")}

    first = split(MNIST(root=str(mnist_root), val_size=20), seed=0)
    again = split(MNIST(root=str(mnist_root), val_size=20), seed=1)
    other = split(MNIST(root=str(mnist_root), val_size=20, split_seed=1), seed=0)
    assert not set(first["train"].tolist()) & set(first["val"].tolist())
    assert len(first["train"]) + len(first["val"]) == 120
    assert all(first[name].equal(again[name]) for name in first)
    assert not first["val"].equal(other["val"])


def test_validation_alone_gives_the_same_split_as_training():
    data = {stage: Digits() for stage in ("fit", "validate")}
    for stage, module in data.items():
        module.setup(stage)
    a, b = (module.sets["val"].indices for module in data.values())
    assert a.equal(b)


def test_small_images_are_padded_to_the_middle_or_resized():
    images = torch.full((2, 1, 28, 28), 255, dtype=torch.uint8)
    padded = MNIST().to_size(images)
    assert padded.shape == (2, 1, 32, 32)
    assert padded[:, :, 2:30, 2:30].eq(255).all()
    assert padded.sum() == images.sum()
    resized = MNIST(resize=True).to_size(images)
    torch.testing.assert_close(resized, torch.full((2, 1, 32, 32), 255.0))


def test_small_images_are_resized_to_more_than_32_pixels_unless_told_otherwise():
    images = torch.full((2, 1, 28, 28), 255, dtype=torch.uint8)
    assert MNIST(image_size=64).to_size(images).eq(255).all()
    padded = MNIST(image_size=64, resize=False).to_size(images)
    assert padded[:, :, 18:46, 18:46].eq(255).all()
    assert padded.sum() == images.sum()


def test_large_images_are_made_smaller():
    images = torch.full((2, 3, 40, 36), 7, dtype=torch.uint8)
    torch.testing.assert_close(MNIST().to_size(images), torch.full((2, 3, 32, 32), 7.0))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_lie_as_the_model_wants_them(channels):
    data = Digits()
    data.mean, data.std = (0.5,) * channels, (0.5,) * channels
    batch = (torch.zeros(4, channels, 8, 8, dtype=torch.uint8), torch.zeros(4))
    strides = {
        LeNet: (1024 * channels, 1, 32 * channels, channels),  # pixel by pixel
        MLP: (1024 * channels, 1024, 32, 1),  # channel by channel, also for another's view()
    }
    for model, expected in strides.items():
        data.trainer = SimpleNamespace(lightning_module=model(), training=False)
        images, _ = data.on_after_batch_transfer(batch, 0)
        assert images.shape == (4, channels, 32, 32)
        assert images.stride() == expected


def test_batches_of_an_evaluation_are_four_times_as_large(mnist_root):
    data = MNIST(root=str(mnist_root), batch_size=5, val_size=30)
    for stage in ("fit", "test", "predict"):
        data.setup(stage)
    assert len(next(iter(data.train_dataloader()))[0]) == 5
    for loader in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        assert [len(batch[0]) for batch in loader] == [20, 10]


def test_normalising_matches_torchvisions():
    from torchvision.transforms import functional as tv

    images = torch.randint(256, (4, 1, 32, 32), dtype=torch.uint8)
    expected = tv.normalize(images / 255, [0.1307], [0.3081])
    torch.testing.assert_close(MNIST().normalize(images.float()), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "--data.batch_size 0: must be at least 1"),
        ({"val_size": -1}, "--data.val_size -1: must be at least 0"),
        ({"elastic": -0.5}, "--data.elastic -0.5: must be at least 0"),
        ({"elastic_sigma": 0.5}, "--data.elastic_sigma 0.5: must be at least 1"),
        ({"num_workers": -1}, "--data.num_workers -1: must be at least 0"),
        ({"val_size": 5000}, "--data.val_size 5000: must be less than 1437"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(options, message):
    with pytest.raises(UserError, match=message):
        Digits(**options).setup("fit")
