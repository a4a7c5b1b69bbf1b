"""Going on from a checkpoint whose progress may be damaged, or a stranger's.

Lightning takes the loops, callbacks, optimizers and schedules of a checkpoint as they are, and
stumbles over them now or epochs later. What is of another kind than this training's own is refused
before the first batch, and what still goes wrong when it is restored is told by the file's name.
"""

import contextlib
import math
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.optim import Optimizer

from lenet.errors import UserError

__all__ = [
    "SO_FAR",
    "check_optimizer",
    "check_progress",
    "naming",
    "place_in_epoch",
    "remaining_steps",
]

MAX_STEPS = 10**8
RESTORING = (
    "check_progress",
    "check_optimizer",
    "place_in_epoch",
    "remaining_steps",
    "carry_over",
)
# Folders of the packages whose frames tell where something failed. A model may be in a folder of
# the same name.
TORCH = Path(torch.__file__).parent
LIGHTNING = Path(pl.__file__).parent
SO_FAR = "train_figures"  # of an epoch that is interrupted, in its checkpoint


@contextlib.contextmanager
def naming(trainer: pl.Trainer) -> Iterator[None]:
    """Make what fails because of a checkpoint a mistake of one line that names it.

    Raises:
        UserError: If Lightning cannot restore it, or the optimizer cannot step with what it got.
    """
    try:
        yield
    except (UserError, MisconfigurationException, OSError, torch.OutOfMemoryError):
        raise
    except Exception as e:
        if trainer.ckpt_path is None or not _restores(e):
            raise
        said = " ".join(str(e).split())[:300].rstrip(".")
        reason = said if type(e) is ValueError else f"{type(e).__name__}: {said}"
        raise UserError(
            f"--ckpt_path {trainer.ckpt_path}: cannot be restored ({reason}). It is damaged, or of "
            "another training than this."
        ) from e


def _restores(e: Exception) -> bool:
    """Tell whether something fails because of what was restored, by where it does."""
    frames = [(Path(f.filename), f.name) for f in traceback.extract_tb(e.__traceback__)]
    # By what fails at once. Saving is of the same file of Lightning's.
    connector = LIGHTNING / "trainer" / "connectors" / "checkpoint_connector.py"
    for file, name in frames:
        if name in RESTORING or (file == connector and name.lstrip("_").startswith("re")):
            return True
    # By what fails later: a step of the optimizer, or a callback that counts. What they call of
    # PyTorch belongs to them, but not the model, which is called from within an optimizer.
    for file, name in reversed(frames):
        if file.is_relative_to(TORCH / "optim"):
            return True
        if not file.is_relative_to(TORCH):
            in_callback = file.is_relative_to(LIGHTNING / "callbacks")
            counts = in_callback or name == "check_monitor_top_k"
            return counts and type(e) in (AttributeError, KeyError, TypeError)
    return False


def check_progress(checkpoint: dict[str, Any], trainer: pl.Trainer) -> None:
    """Refuse what a checkpoint says of loops and callbacks, if it is of another kind.

    Raises:
        ValueError: With the name of the first value that cannot be.
        UserError: If there are no epochs left to train.
    """
    callbacks = {callback.state_key: callback.state_dict() for callback in trainer.callbacks}  # pyright: ignore[reportAttributeAccessIssue]
    _check_like(checkpoint["callbacks"], callbacks, "callbacks")
    figures = {"lr": 0.0, "loss": 0.0, "correct": 0, "count": 0}
    _check_like(checkpoint.get(SO_FAR), figures, SO_FAR)
    batches = (checkpoint.get(SO_FAR) or {}).get("batches", 0)  # older ones do not have it
    _check_like(batches, 0, f"{SO_FAR}.batches", counts=True)
    loop = checkpoint["loops"]["fit_loop"]
    _check_like(loop, trainer.fit_loop.state_dict(), "loops.fit_loop", counts=True)
    _check_like(checkpoint["global_step"], 0, "global_step", counts=True)
    for name, state in checkpoint["callbacks"].items():
        for path, score in (state.get("best_k_models") or {}).items():
            _check_like(score, 0.0, f"callbacks.{name}.best_k_models.{path}")
    epochs = loop["epoch_progress"]["current"]["processed"]
    if trainer.max_epochs is not None and -1 < trainer.max_epochs < epochs:
        raise UserError(
            f"--trainer.max_epochs {trainer.max_epochs}: training has come to {epochs} epochs "
            "already. Give more, counted from its beginning."
        )
    if -1 < trainer.max_steps < checkpoint["global_step"]:
        raise UserError(
            f"--trainer.max_steps {trainer.max_steps}: training has made "
            f"{checkpoint['global_step']} steps already. Give more, counted from its beginning."
        )


def place_in_epoch(checkpoint: dict[str, Any], trainer: pl.Trainer) -> None:
    """Keep the part of an unfinished epoch that is done where epochs now have other batches.

    An epoch has another number of batches with another batch size, other images or other devices.

    Args:
        checkpoint: Loaded checkpoint, whose number of batches is replaced before it is restored.
        trainer: Trainer, whose data is set up.
    """
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    before, now = (checkpoint.get(SO_FAR) or {}).get("batches"), trainer.num_training_batches
    if not before or before == now or math.isinf(now):
        return
    current = progress["current"]
    done = min(current["processed"] / before, 1.0)
    done = now if progress["is_last_batch"] else int(done * now)
    if done < now:
        done -= done % trainer.accumulate_grad_batches  # gradients between two steps are not saved
    ahead = current["processed"] - current["completed"]  # of what was saved during a batch
    progress["current"] = dict.fromkeys(("ready", "started", "processed"), done)
    progress["current"]["completed"] = done - ahead


def remaining_steps(checkpoint: dict[str, Any], trainer: pl.Trainer) -> int | None:
    """Count the optimizer steps that a resumed training is still to make, if it has an end.

    Args:
        checkpoint: Loaded checkpoint, after :func:`place_in_epoch`.
        trainer: Trainer, whose data is set up.
    """
    loop = checkpoint["loops"]["fit_loop"]
    counts = []
    if trainer.max_epochs not in (None, -1) and not math.isinf(trainer.num_training_batches):
        accumulated = trainer.accumulate_grad_batches
        in_epoch = math.ceil(trainer.num_training_batches / accumulated)
        epochs = loop["epoch_progress"]["current"]
        left = (trainer.max_epochs - epochs["processed"]) * in_epoch
        if epochs["processed"] < epochs["started"]:
            batches = loop["epoch_loop.batch_progress"]
            done = batches["current"]["processed"] // accumulated
            left -= in_epoch if batches["is_last_batch"] else done
        counts.append(left)
    if trainer.max_steps != -1:
        counts.append(trainer.max_steps - checkpoint["global_step"])
    return max(min(counts), 0) if counts else None


def check_optimizer(
    checkpoint: dict[str, Any], optimizer: Optimizer, scheduler: Any, same_optimizer: bool
) -> None:
    """Refuse the saved state of an optimizer and its schedule, if it is of another kind.

    Raises:
        ValueError: With the name of the first value that cannot be.
    """
    if not checkpoint["optimizer_states"]:
        raise ValueError("optimizer_states is empty")
    for saved in checkpoint["optimizer_states"] if same_optimizer else ():
        groups = optimizer.state_dict()["param_groups"]
        _check_like(saved["param_groups"], groups, "optimizer_states.param_groups")
        _check_moments(saved, optimizer)
    fresh = None if scheduler is None else scheduler.state_dict()
    for saved in checkpoint["lr_schedulers"]:
        _check_like(saved, fresh, "lr_schedulers")


def _check_like(saved: Any, fresh: Any, name: str, counts: bool = False) -> None:
    """Refuse a value that is of another kind than this training's own, where it has one.

    Numbers are of one kind, unless they count: then they are whole, not negative, and no larger
    than what a schedule that was changed can be taken to step by step.
    """
    inner: list[Any] = []
    if isinstance(fresh, dict):
        fits = isinstance(saved, dict)
        inner = [(key, saved[key], fresh[key]) for key in fresh if fits and key in saved]
    elif isinstance(fresh, (list, tuple)):
        fits = isinstance(saved, (list, tuple))
        inner = [(i, value, fresh[0]) for i, value in enumerate(saved)] if fits and fresh else []
    elif isinstance(fresh, str):
        fits = isinstance(saved, str)
    elif isinstance(fresh, Tensor) and fresh.numel() > 1:
        fits = isinstance(saved, Tensor) and (saved.shape, saved.dtype) == (
            fresh.shape,
            fresh.dtype,
        )
    elif isinstance(fresh, (bool, int, float, Tensor)):
        fits = (
            (isinstance(saved, int) and abs(saved) < 1 << 63)
            or isinstance(saved, float)
            or (isinstance(saved, Tensor) and saved.numel() == 1 and not saved.is_complex())
        )
        if counts:
            fits = isinstance(saved, int) and 0 <= saved <= MAX_STEPS
    else:
        fits = True
    if not fits and (counts or saved is not None):
        raise ValueError(f"{name} cannot be {str(saved)[:40]!r}")
    for key, value, own in inner:
        _check_like(value, own, f"{name}.{key}", counts)


def _check_moments(saved: dict[str, Any], optimizer: Optimizer) -> None:
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
