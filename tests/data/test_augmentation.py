from types import SimpleNamespace

import torch

from lenet import Digits
from lenet.data.augmentation import random_affine


def dot(row: int, column: int) -> torch.Tensor:
    images = torch.zeros(1, 1, 9, 9)
    images[0, 0, row, column] = 1.0
    return images


def extreme(value: float):
    """Make every random number the one that gives the greatest amount, or the least."""

    def rand(*shape, generator=None):
        return torch.full(shape, value)

    return rand


def where(images: torch.Tensor) -> tuple[int, int]:
    return divmod(int(images.flatten().argmax()), 9)


def test_nothing_is_done_by_amounts_of_zero():
    images = torch.rand(4, 3, 8, 8)
    torch.testing.assert_close(random_affine(images, 0, 0, 0, 0), images, atol=1e-5, rtol=0)


def test_each_amount_does_what_it_is_named_for(monkeypatch):
    monkeypatch.setattr(torch, "rand", extreme(1.0))
    assert where(random_affine(dot(4, 7), 90, 0, 0, 0)) in {(1, 4), (7, 4)}
    assert where(random_affine(dot(4, 6), 0, 0.5, 0, 0)) == (4, 7)
    row, column = where(random_affine(dot(1, 4), 0, 0, 45, 0))
    assert row == 1
    assert abs(column - 4) == 3
    assert where(random_affine(dot(4, 4), 0, 0, 0, 2)) in {(2, 2), (6, 6)}


def test_every_image_gets_amounts_of_its_own():
    images = dot(2, 6).expand(16, 1, 9, 9)
    distorted = random_affine(images, 20, 0.2, 10, 1)
    assert len({image.numpy().tobytes() for image in distorted}) == 16


def test_only_training_images_are_distorted_and_by_seed_and_step_alone():
    class Training:
        training, world_size, global_rank, lightning_module = True, 1, 0, None
        fit_loop = SimpleNamespace(total_batch_idx=3)

    data = Digits(rotation=20)
    batch = (torch.randint(255, (2, 1, 8, 8), dtype=torch.uint8), torch.zeros(2))
    plain = data.on_after_batch_transfer(batch, 0)[0]
    data.trainer = Training()  # type: ignore[assignment]
    first = data.on_after_batch_transfer(batch, 0)[0]
    assert not first.equal(plain)
    torch.rand(5)
    assert data.on_after_batch_transfer(batch, 0)[0].equal(first)
    Training.fit_loop.total_batch_idx = 4
    assert not data.on_after_batch_transfer(batch, 0)[0].equal(first)
    Training.training = False
    assert data.on_after_batch_transfer(batch, 0)[0].equal(plain)
