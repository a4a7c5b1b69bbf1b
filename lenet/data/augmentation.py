"""Random distortions of training images, computed per batch on its device."""

import math
from dataclasses import astuple, dataclass

import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from lenet.epoch_position import batches_trained

__all__ = ["Distortions", "batch_generator"]


def batch_generator(trainer: pl.Trainer, seed: int) -> torch.Generator:
    """Seed by the run's seed and the batch, so that a resumed training sees the same images."""
    batch = batches_trained(trainer) * trainer.world_size + trainer.global_rank
    return torch.Generator().manual_seed((1_000_003 * seed + batch) % 2**62)


@dataclass(frozen=True)
class Distortions:
    """Random distortions around the center of an image, different for each image.

    Reference:
        Elastic distortions follow Simard, Steinkraus and Platt. Best practices for
        convolutional neural networks applied to visual document analysis. ICDAR, 2003.

    Args:
        rotation: Maximum angle in either direction, in degrees.
        scaling: Maximum scaling, as a fraction: 0.1 scales by 0.9 to 1.1.
        shear: Maximum shear of vertical lines in either direction, in degrees.
        translation: Maximum shift along each axis, in pixels.
        elastic: Standard deviation of each pixel's shift along each axis, in pixels.
        elastic_sigma: Smoothness of these shifts: sigma of the Gaussian, in pixels.
    """

    rotation: float = 0.0
    scaling: float = 0.0
    shear: float = 0.0
    translation: float = 0.0
    elastic: float = 0.0
    elastic_sigma: float = 4.0

    def __bool__(self) -> bool:
        return any(astuple(self)[:-1])

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Distort floating-point images ``(N, C, H, W)`` with a single bilinear interpolation.

        Args:
            images: The images. Pixels from outside an image are 0.
            generator: Source of the random numbers, on the CPU. By default PyTorch's global one.
        """
        grid = self._affine(images, generator)
        if self.elastic:
            grid = grid + self._elastic(images, generator)
        return F.grid_sample(images, grid, align_corners=False)

    def _affine(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return the source ``(N, H, W, 2)`` of each pixel, in coordinates in [-1, 1]."""
        shift = self.translation
        maximum = torch.tensor([self.rotation, self.scaling, self.shear, shift, shift])
        amounts = (2 * torch.rand(len(images), 5, generator=generator) - 1) * maximum
        amounts = amounts.to(images.device, non_blocking=True)
        angle, slant = (amounts[:, i] * (math.pi / 180) for i in (0, 2))
        size = 1 / (1 + amounts[:, 1])
        cos, sin, tan = angle.cos() * size, angle.sin() * size, slant.tan()
        # The sampling grid needs the inverse of the transformation.
        x = 2 * amounts[:, 3] / images.shape[3]
        y = 2 * amounts[:, 4] / images.shape[2]
        rows = torch.stack([cos, cos * tan - sin, x, sin, sin * tan + cos, y], dim=1)
        return F.affine_grid(rows.view(-1, 2, 3), list(images.shape), align_corners=False)

    def _elastic(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return smooth random shifts ``(N, H, W, 2)``, in the same coordinates.

        Instead of smoothing one random number per pixel, this sums random numbers on a coarser
        grid, sigma apart, with Gaussian weights. That needs a fifth of the random numbers.
        """
        height, width = (_weights(side, self.elastic_sigma) for side in images.shape[2:])
        knots = torch.randn(len(images), 2, height.shape[1], width.shape[1], generator=generator)
        knots = knots.to(images.device, non_blocking=True)
        field = height.to(knots) @ knots @ width.T.to(knots)  # (N, 2, H, W), variance 1
        x, y = (2 * self.elastic / side for side in (images.shape[3], images.shape[2]))
        return torch.stack([x * field[:, 0], y * field[:, 1]], dim=3)


def _weights(side: int, sigma: float) -> Tensor:
    """Return the weight ``(side, K)`` of each of the grid points, sigma apart, for each pixel."""
    reach = 3 * sigma
    knots = torch.arange(-reach, side + reach + sigma, sigma)
    distance = torch.arange(side).unsqueeze(1) - knots
    weights = torch.exp(-distance.square() / (2 * sigma**2))
    return weights / weights.norm(dim=1, keepdim=True)
