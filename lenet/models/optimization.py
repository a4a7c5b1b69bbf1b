"""Optimizers and learning-rate schedules: any of PyTorch's by name, with one learning rate.

``--model.lr`` is the only rate: an optimizer gets it as its second argument, OneCycleLR as its
peak. This also holds when a training is resumed, see :func:`carry_over`.
"""

import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim import lr_scheduler as torch_schedulers
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR

__all__ = ["OptimizerFactory", "ReduceLROnPlateau", "SchedulerFactory", "carry_over", "schedule"]


def best_mode(monitor: str) -> Literal["min", "max"]:
    """Tell whether more or less of a logged figure is better, by its name."""
    return "max" if any(word in monitor for word in ("accuracy", "precision", "recall")) else "min"


class ReduceLROnPlateau(torch_schedulers.ReduceLROnPlateau):
    """PyTorch's schedule that lowers the rate when a figure stops improving, with that figure.

    Args:
        optimizer: Optimizer whose rate is lowered.
        monitor: Logged figure that is watched, once an epoch.
        mode: Whether less or more of it is better. By default more of an accuracy, less of
            anything else.
        factor: What the rate is multiplied by.
        patience: Epochs without improvement that are let pass.
        threshold: Change that counts as an improvement.
        threshold_mode: Whether the threshold is relative to the best figure or absolute.
        cooldown: Epochs to wait after lowering the rate.
        min_lr: Rate below which it is not lowered.
        eps: Change of the rate that is too small to make.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        monitor: str = "val/loss",
        mode: Literal["min", "max"] | None = None,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ):
        self.monitor = monitor
        mode = mode or best_mode(monitor)
        super().__init__(
            optimizer, mode, factor, patience, threshold, threshold_mode, cooldown, min_lr, eps
        )


# What makes an optimizer out of parameters and a learning rate. From the command line it is made
# of a class path and its options, of which jsonargparse leaves out as many as stand here.
OptimizerFactory = Callable[[Iterable, float], Optimizer]
# OneCycleLR is given its peak and its number of steps. Ours stands before PyTorch's own, which
# makes `ReduceLROnPlateau` ours by name.
SchedulerFactory = (
    Callable[[Optimizer, float, int], OneCycleLR]
    | Callable[[Optimizer], ReduceLROnPlateau]
    | Callable[[Optimizer], LRScheduler]
)


def schedule(
    factory: Callable[..., LRScheduler], optimizer: Optimizer, lr: float, steps: int
) -> dict[str, Any]:
    """Make a learning-rate schedule, in the form that Lightning takes.

    Args:
        factory: Makes the schedule: a class, a partial of one, or what the command line gave.
        optimizer: What it drives.
        lr: Peak rate of OneCycleLR.
        steps: Optimizer steps of the whole training, the length of OneCycleLR.
    """
    # Made of a class path, it is a partial whose arguments begin with how to make it and the class.
    parts = (factory, getattr(factory, "func", None), *getattr(factory, "args", ()))
    made = next((part for part in parts if isinstance(part, type)), None)
    if made is not None and issubclass(made, OneCycleLR):
        factory = partial(factory, max_lr=lr, total_steps=steps)
    scheduler = factory(optimizer)
    config: dict[str, Any] = {"scheduler": scheduler}
    config["interval"] = "step" if isinstance(scheduler, (OneCycleLR, CyclicLR)) else "epoch"
    if isinstance(scheduler, torch_schedulers.ReduceLROnPlateau):
        config["monitor"] = getattr(scheduler, "monitor", "val/loss")
    return config


def carry_over(
    checkpoint: dict[str, Any],
    optimizer: Optimizer,
    scheduler: LRScheduler | None,
    same_settings: bool,
    same_optimizer: bool,
) -> None:
    """Let the settings of this training hold over those that a checkpoint would bring back.

    An optimizer's saved state includes its learning rate and its other settings, and a schedule's
    its length. Where nothing was changed, the checkpoint is left as it is, and the training goes on
    to the last bit. Otherwise the moments come from the checkpoint, the settings from here, and the
    schedule is taken to where it would be, had it been this one from the start.

    Args:
        checkpoint: Loaded checkpoint, whose states are replaced before they are restored.
        optimizer: This training's optimizer, as it was made.
        scheduler: Its schedule, as it was made, if there is one.
        same_settings: Whether rate, optimizer and schedule are those of the checkpoint.
        same_optimizer: Whether the optimizer is of the same class, so that its moments fit.
    """
    saved = checkpoint.get("optimizer_states") or [{"state": {}}]
    past = next(iter(checkpoint.get("lr_schedulers") or []), {})
    length = getattr(scheduler, "total_steps", None)
    if same_settings and length == past.get("total_steps"):
        return
    states = []
    if isinstance(scheduler, torch_schedulers.ReduceLROnPlateau):
        kept = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")
        scheduler.load_state_dict({key: past[key] for key in kept if key in past})
        states = [scheduler.state_dict()]
    elif scheduler is not None:
        per_step = isinstance(scheduler, (OneCycleLR, CyclicLR))
        epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        passed = checkpoint["global_step"] if per_step else epochs
        if length is not None:
            passed = min(passed, length - 1)
        with warnings.catch_warnings():
            # It takes a schedule that runs ahead of the optimizer for a mistake.
            warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
            for _ in range(passed):
                scheduler.step()
        states = [scheduler.state_dict()]
    moments = saved[0]["state"] if same_optimizer else {}
    groups = optimizer.state_dict()["param_groups"]
    checkpoint["optimizer_states"] = [{"state": moments, "param_groups": groups}]
    checkpoint["lr_schedulers"] = states
