"""Going on from a checkpoint whose progress may be damaged, or a stranger's.

Lightning takes the loops, callbacks, optimizers and schedules of a checkpoint as they are, and
stumbles over them now or epochs later. What is of another kind than this training's own is refused
before the first batch, and what still goes wrong when it is restored is told by the file's name.
"""

import contextlib
import traceback
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lenet.errors import UserError

__all__ = ["check_like", "check_moments", "naming"]


@contextlib.contextmanager
def naming(ckpt_path: Any) -> Iterator[None]:
    """Make what fails because of a checkpoint a mistake of one line that names it.

    Raises:
        UserError: If Lightning cannot restore it, or the optimizer cannot step with what it got.
    """
    try:
        yield
    except (UserError, torch.OutOfMemoryError):
        raise
    except Exception as e:
        if ckpt_path is None or not any(map(_restores, traceback.extract_tb(e.__traceback__))):
            raise
        reason = " ".join(str(e).split())[:300].rstrip(".")
        raise UserError(
            f"--ckpt_path {ckpt_path}: cannot be restored ({type(e).__name__}: {reason}). It is "
            "damaged, or of another training than this."
        ) from e


def _restores(frame: traceback.FrameSummary) -> bool:
    file = frame.filename.replace("\\", "/")
    return (
        (file.endswith("/checkpoint_connector.py") and "dump" not in frame.name)
        or file.endswith(("/lenet/resuming.py", "/lenet/models/optimization.py"))
        or ("/torch/optim/" in file and frame.name.endswith("step"))
    )


def check_like(saved: Any, fresh: Any, name: str) -> None:
    """Refuse what a checkpoint says of a training's progress, if it is of another kind.

    Args:
        saved: What it says.
        fresh: What this training says of itself, before it has begun. None can become anything.
        name: What it is called, for the message.

    Raises:
        ValueError: With the name of the first value that cannot be.
    """
    if fresh is None or (saved is None and isinstance(fresh, (str, Tensor))):
        return
    if isinstance(fresh, dict):
        fits = isinstance(saved, dict)
    elif isinstance(fresh, (bool, str)):
        fits = isinstance(saved, type(fresh))
    elif isinstance(fresh, (list, tuple)):
        fits = isinstance(saved, (list, tuple))
    elif isinstance(fresh, Tensor):
        numel = saved.numel() if isinstance(saved, Tensor) else 1
        fits = isinstance(saved, (int, float, Tensor)) and numel == fresh.numel()
    else:
        fits = isinstance(saved, (int, float, Tensor)) or not isinstance(fresh, (int, float))
        if isinstance(fresh, int):  # of epochs, batches or steps
            fits = isinstance(saved, int) and saved >= min(fresh, 0)
    if not fits:
        raise ValueError(f"{name} cannot be {str(saved)[:40]!r}")
    if isinstance(fresh, dict):
        for key in fresh.keys() & saved.keys():
            check_like(saved[key], fresh[key], f"{name}.{key}")


def check_moments(saved: dict[str, Any], optimizer: Optimizer) -> None:
    """Refuse an optimizer's saved tensors that are of another shape than their parameters.

    A fused kernel reads and writes as many values as the parameter has, whether they are there or
    not. So what lies in memory in another order is also put in the parameter's.

    Args:
        saved: State of the optimizer, whose tensors are replaced where needed.
        optimizer: This training's.

    Raises:
        ValueError: With the number of the parameter.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    fused = any(group.get("fused") for group in optimizer.param_groups)
    numbers = [number for group in saved["param_groups"] for number in group["params"]]
    for number, parameter in zip(numbers, parameters, strict=False):
        state = saved["state"].get(number, {})
        for name, value in state.items() if fused else ():
            if not isinstance(value, Tensor) or (name == "step" and value.dim() == 0):
                continue
            if value.shape != parameter.shape:
                raise ValueError(
                    f"{name} of parameter {number} has the shape {tuple(value.shape)}, not "
                    f"{tuple(parameter.shape)}"
                )
            if value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value).detach()
