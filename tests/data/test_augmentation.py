import math
from types import SimpleNamespace

import pytest
import torch

from lenet import Digits
from lenet.data.augmentation import Distortions


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
    torch.testing.assert_close(Distortions()(images), images, atol=1e-5, rtol=0)


def test_each_amount_does_what_it_is_named_for(monkeypatch):
    monkeypatch.setattr(torch, "rand", extreme(1.0))
    assert where(Distortions(rotation=90)(dot(4, 7))) in {(1, 4), (7, 4)}
    assert where(Distortions(scaling=0.5)(dot(4, 6))) == (4, 7)
    row, column = where(Distortions(shear=45)(dot(1, 4)))
    assert row == 1
    assert abs(column - 4) == 3
    assert where(Distortions(translation=2)(dot(4, 4))) in {(2, 2), (6, 6)}


def test_every_image_gets_amounts_of_its_own():
    images = dot(2, 6).expand(16, 1, 9, 9)
    for some in (Distortions(20, 0.2, 10, 1), Distortions(elastic=1)):
        assert len({image.numpy().tobytes() for image in some(images)}) == 16


def ramp(axis: int) -> torch.Tensor:
    """Make images whose values are the places of their pixels, so that they tell of a shift."""
    places = torch.arange(48.0).view((-1, 1) if axis == 0 else (1, -1))
    return places.expand(1000, 1, 48, 48).contiguous()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("sigma", [3.0, 6.0])
def test_an_elastic_shift_is_as_large_and_as_smooth_as_it_is_said_to_be(axis, sigma):
    elastic = Distortions(elastic=0.8, elastic_sigma=sigma)
    generator = torch.Generator().manual_seed(0)
    shifts = elastic(ramp(axis), generator)[:, 0] - ramp(axis)[:, 0]
    shifts = shifts[:, 8:-8, 8:-8]  # what comes in from outside is black
    assert abs(shifts.mean()) < 0.05
    # As large at every pixel, on a knot or between them.
    deviations = shifts.std(dim=0)
    assert ((deviations > 0.65) & (deviations < 0.95)).all()
    assert abs(deviations.mean() - 0.8) < 0.02
    # Pixels are shifted alike as a Gaussian field's are: exp(-d^2 / 4 sigma^2).
    near, far = round(sigma), round(4 * sigma)
    for distance in (near, far):
        pairs = torch.stack([shifts[:, :, :-distance].flatten(), shifts[:, :, distance:].flatten()])
        alike = torch.corrcoef(pairs)[0, 1].item()
        assert abs(alike - math.exp(-((distance / sigma) ** 2) / 4)) < 0.06


def test_the_same_numbers_bend_an_image_the_same():
    images = torch.rand(2, 3, 32, 32)
    elastic = Distortions(elastic=1.0)
    one, other = (elastic(images, torch.Generator().manual_seed(i)) for i in (1, 2))
    assert not one.equal(other)
    assert one.equal(elastic(images, torch.Generator().manual_seed(1)))


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
