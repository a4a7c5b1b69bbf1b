"""Random distortions of training images, a whole batch at once on its device."""

import math

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["batch_generator", "random_affine"]


def batch_generator(trainer: pl.Trainer) -> torch.Generator:
    """Seed by the run's seed and the batch: a resumed training sees the images it would have."""
    batch = trainer.fit_loop.total_batch_idx * trainer.world_size + trainer.global_rank
    return torch.Generator().manual_seed((1_000_003 * torch.initial_seed() + batch) % 2**62)


def random_affine(
    images: Tensor,
    rotation: float,
    scaling: float,
    shear: float,
    translation: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Turn, scale, shear and shift every image by random amounts of its own, around its middle.

    Args:
        images: Images ``(N, C, H, W)``, floating point. What comes in from outside is 0.
        rotation: Greatest angle, either way, in degrees.
        scaling: Greatest change of size, as a part of it: 0.1 gives 0.9 to 1.1 times.
        shear: Greatest angle between what was upright and the vertical, either way, in degrees.
        translation: Greatest shift along either axis, in pixels.
        generator: Source of the random numbers, on the CPU.

    Returns:
        Images of the same shape, interpolated bilinearly.
    """
    most = torch.tensor([rotation, scaling, shear, translation, translation])
    amounts = (2 * torch.rand(len(images), 5, generator=generator) - 1) * most
    amounts = amounts.to(images.device, non_blocking=True)
    angle, slant = (amounts[:, i] * (math.pi / 180) for i in (0, 2))
    size = 1 / (1 + amounts[:, 1])
    cos, sin, tan = angle.cos() * size, angle.sin() * size, slant.tan()
    # Where each pixel comes from, in coordinates of -1 to 1: the inverse of what is done to it.
    x, y = 2 * amounts[:, 3] / images.shape[3], 2 * amounts[:, 4] / images.shape[2]
    rows = torch.stack([cos, cos * tan - sin, x, sin, sin * tan + cos, y], dim=1)
    grid = F.affine_grid(rows.view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)
