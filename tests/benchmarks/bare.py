"""The bound: what the arithmetic costs in a plain PyTorch loop over tensors in memory.

Images are normalised beforehand, and nothing is logged, validated or kept. Adam is PyTorch's by
default, and images lie as they come, channel by channel.
"""

import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["infer", "train"]


def train(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    batch_size: int,
    lr: float = 1e-3,
    tuned: bool = False,
) -> float:
    """Train for one epoch of images ``(N, C, H, W)``, counting one accuracy a step.

    Args:
        network: Maps images to logits.
        images: All images, normalised.
        labels: Their classes.
        batch_size: Images in a step.
        lr: Learning rate.
        tuned: Whether images lie pixel by pixel, and Adam is fused.

    Returns:
        The time that it took, in seconds.
    """
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr, fused=tuned or None)
    layout = torch.channels_last if tuned else torch.contiguous_format
    start = time.perf_counter()
    order = torch.randperm(len(images), device=images.device)
    correct = torch.zeros((), dtype=torch.long, device=images.device)
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        logits = network(images[chosen].to(memory_format=layout))
        loss = F.cross_entropy(logits, labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        correct += (logits.argmax(dim=1) == labels[chosen]).sum()
    correct.item()
    return time.perf_counter() - start


@torch.no_grad()
def infer(network: nn.Module, images: Tensor, labels: Tensor, batch_size: int) -> float:
    """Count the right ones of images ``(N, C, H, W)``.

    Returns:
        The time that it took, in seconds.
    """
    network.eval()
    start = time.perf_counter()
    correct = torch.zeros((), dtype=torch.long, device=images.device)
    for first in range(0, len(images), batch_size):
        logits = network(images[first : first + batch_size])
        correct += (logits.argmax(dim=1) == labels[first : first + batch_size]).sum()
    correct.item()
    return time.perf_counter() - start
