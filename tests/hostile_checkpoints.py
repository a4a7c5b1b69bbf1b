"""Checkpoints as a stranger would make them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


class Call:
    """What a pickle says to call when it is loaded, and with what."""

    def __init__(self, function: Callable[..., Any], *args: Any):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def saved(content: Any, path: str = "hostile.ckpt") -> Path:
    torch.save(content, path)
    return Path(path)
