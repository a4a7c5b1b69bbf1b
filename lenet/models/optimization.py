"""Optimizers and learning-rate schedules: any of PyTorch's by name, with one learning rate.

``--model.lr`` is the only learning rate: an optimizer gets it as its second argument, OneCycleLR as
its peak.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim import lr_scheduler as torch_schedulers
from torch.optim.lr_scheduler import (
    CyclicLR,
    LambdaLR,
    LRScheduler,
    MultiplicativeLR,
    OneCycleLR,
)

from lenet.errors import UserError, nearest

__all__ = [
    "OptimizerFactory",
    "ReduceLROnPlateau",
    "SchedulerFactory",
    "best_mode",
    "check_schedule",
    "refusals_of",
    "schedule",
    "try_step",
]

# Words in the names of metrics, among them those of torchmetrics.
_LESS_IS_BETTER = {
    *("loss", "error", "err", "mae", "mse", "rmse", "nll", "ece", "perplexity"),
    *("brier", "hinge", "hamming"),
}
_MORE_IS_BETTER = {
    *("accuracy", "acc", "precision", "recall", "sensitivity", "specificity", "f1", "fbeta"),
    *("auroc", "auc", "roc", "ap", "map", "iou", "jaccard", "dice", "kappa", "mcc", "matthews"),
}


def best_mode(monitor: str, option: str) -> Literal["min", "max"]:
    """Tell from its name whether less or more of a metric is better.

    The words of the last part count: those of ``val/top5_accuracy`` are top5 and accuracy.

    Args:
        monitor: Name of the metric.
        option: Option that the metric is monitored by, such as ``checkpoint``.

    Raises:
        UserError: If its name does not tell.
    """
    last = monitor.rpartition("/")[2]
    parts = re.findall(r"[A-Z]+[0-9]*(?![a-z])|[A-Z]?[a-z]+[0-9]*", last)  # BinaryAUROC is two
    words = {word.lower() for word in parts}
    less, more = words & _LESS_IS_BETTER, words & _MORE_IS_BETTER
    if bool(less) == bool(more):
        always = [f"{stage}/{name}" for stage in ("train", "val") for name in ("loss", "accuracy")]
        raise UserError(
            f"--{option}.monitor {monitor}: its name does not say whether less or more of it is "
            f"better. Add --{option}.mode min or --{option}.mode max.{nearest(monitor, always)}"
        )
    return "min" if less else "max"


class ReduceLROnPlateau(torch_schedulers.ReduceLROnPlateau):
    """Lowers the learning rate when a metric stops improving: PyTorch's, with that metric.

    Args:
        optimizer: Optimizer whose learning rate is lowered.
        monitor: Logged metric to monitor, once an epoch.
        mode: Whether less or more of it is better. By default less of a loss or an error, more of
            an accuracy, F1, AUROC and the like. Required for a metric of any other name.
        factor: Factor by which the learning rate is multiplied.
        patience: Number of epochs without improvement before the learning rate is lowered.
        threshold: Minimum change that counts as an improvement.
        threshold_mode: Whether the threshold is relative to the best value or absolute.
        cooldown: Number of epochs to wait after lowering the learning rate.
        min_lr: Minimum learning rate.
        eps: Minimum change of the learning rate. Smaller ones are not made.

    Raises:
        UserError: If the mode is needed and missing.
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
        mode = mode or best_mode(monitor, "model.scheduler")
        super().__init__(
            optimizer, mode, factor, patience, threshold, threshold_mode, cooldown, min_lr, eps
        )


# What makes an optimizer out of parameters and a learning rate. From the command line it is made
# of a class path and its options, of which jsonargparse leaves out as many as stand here.
OptimizerFactory = Callable[[Iterable, float], Optimizer]
# OneCycleLR gets its peak and its number of steps. Ours stands before PyTorch's own, which
# makes `ReduceLROnPlateau` ours by name.
SchedulerFactory = (
    Callable[[Optimizer, float, int], OneCycleLR]
    | Callable[[Optimizer], ReduceLROnPlateau]
    | Callable[[Optimizer], LRScheduler]
)


def _class_made(factory: Any) -> type | None:
    # Made of a class path, it is a partial whose arguments begin with how to make it and the class.
    parts = (factory, getattr(factory, "func", None), *getattr(factory, "args", ()))
    return next((part for part in parts if isinstance(part, type)), None)


def _makes(factory: Any, cls: type) -> bool:
    made = _class_made(factory)
    return made is not None and issubclass(made, cls)


def _is_pytorchs(factory: Any) -> bool:
    """Tell whether a factory makes a class that calls no code of the user's."""
    made = _class_made(factory)
    if made is None or issubclass(made, (LambdaLR, MultiplicativeLR)):
        return False
    return f"{made.__module__}.".startswith(("torch.optim.", "lenet."))


@contextlib.contextmanager
def refusals_of(option: str, factory: Any) -> Iterator[None]:
    """Let what a class of PyTorch's refuses be a mistake of its user, under its option.

    Args:
        option: The option that chooses the class.
        factory: What makes the optimizer or the schedule.

    Raises:
        UserError: With what PyTorch says.
    """
    try:
        yield
    except UserError:
        raise
    except (ArithmeticError, AssertionError, RuntimeError, TypeError, ValueError) as e:
        made = _class_made(factory)
        if made is None or not _is_pytorchs(factory):
            raise
        reason = " ".join(str(e).split()).rstrip(".")
        raise UserError(f"{option} {made.__name__}: {reason}.") from e


def try_step(
    make_optimizer: Any,
    make_scheduler: Any,
    parameter: Tensor,
    lr: float,
    total_steps: Callable[[], int],
) -> None:
    """Take a step with an optimizer and a schedule of PyTorch's, on a parameter of its own.

    PyTorch refuses some options at the first step only: ``SparseAdam`` dense gradients, ``StepLR``
    a ``step_size`` of 0. Here they are refused before training starts.

    Args:
        make_optimizer: Makes the optimizer.
        make_scheduler: Makes the schedule, or None.
        parameter: A parameter of the model, for its device and type.
        lr: Learning rate.
        total_steps: Gives the optimizer steps of the whole training.

    Raises:
        UserError: With what PyTorch says.
    """
    if not _is_pytorchs(make_optimizer):
        return
    # Two dimensions are what every optimizer takes.
    weight = nn.Parameter(torch.ones(2, 2, device=parameter.device, dtype=parameter.dtype))

    def closure() -> Tensor:
        weight.grad = None
        loss = weight.square().sum()
        loss.backward()
        return loss

    with refusals_of("--model.optimizer", make_optimizer):
        optimizer = make_optimizer([weight], lr)
        optimizer.step(closure)
    if not _is_pytorchs(make_scheduler):
        return
    config = schedule(make_scheduler, optimizer, lr, total_steps)
    optimizer.step(closure)  # or the schedule would warn that it steps first
    with refusals_of("--model.scheduler", make_scheduler):
        config["scheduler"].step(*([0.0] if "monitor" in config else []))


def check_schedule(factory: Any) -> None:
    """Refuse options of a schedule that the training sets, and a missing mode.

    Raises:
        UserError: With the argument.
    """
    options = getattr(factory, "keywords", {})
    if _makes(factory, ReduceLROnPlateau) and "monitor" in options and not options.get("mode"):
        best_mode(options["monitor"], "model.scheduler")
    for name in ("max_lr", "total_steps", "epochs", "steps_per_epoch"):
        value = options.get(name)
        if value is not None and _makes(factory, OneCycleLR):
            raise UserError(
                f"--model.scheduler.{name} {value}: the peak of OneCycleLR is --model.lr, and its "
                "length is the training's. Leave it out."
            )


def schedule(
    factory: Callable[..., LRScheduler],
    optimizer: Optimizer,
    lr: float,
    total_steps: Callable[[], int],
) -> dict[str, Any]:
    """Make a learning-rate schedule, in the form that Lightning takes.

    Args:
        factory: Makes the schedule: a class, a partial of one, or what the command line gave.
        optimizer: What it drives.
        lr: Peak rate of OneCycleLR.
        total_steps: Gives the optimizer steps of the whole training, the length of OneCycleLR.
    """
    if _makes(factory, OneCycleLR):
        factory = partial(factory, max_lr=lr, total_steps=total_steps())
    with refusals_of("--model.scheduler", factory):
        scheduler = factory(optimizer)
    config: dict[str, Any] = {"scheduler": scheduler}
    config["interval"] = "step" if isinstance(scheduler, (OneCycleLR, CyclicLR)) else "epoch"
    if isinstance(scheduler, torch_schedulers.ReduceLROnPlateau):
        config["monitor"] = getattr(scheduler, "monitor", "val/loss")
    return config
