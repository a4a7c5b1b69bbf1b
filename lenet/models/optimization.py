"""PyTorch's optimizers and learning-rate schedules, by name, with a single learning rate.

``--model.lr`` is the only learning rate. It is the second argument of every optimizer and the peak
of OneCycleLR.
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
    """Infer from the name of a metric whether lower (min) or higher (max) is better.

    Only the words of the last part are used: top5 and accuracy for ``val/top5_accuracy``.

    Args:
        monitor: Name of the metric.
        option: Option that monitors the metric, such as ``checkpoint``.

    Raises:
        UserError: If the name does not contain a known word.
    """
    last = monitor.rpartition("/")[2]
    parts = re.findall(r"[A-Z]+[0-9]*(?![a-z])|[A-Z]?[a-z]+[0-9]*", last)  # BinaryAUROC is two
    words = {word.lower() for word in parts}
    less, more = words & _LESS_IS_BETTER, words & _MORE_IS_BETTER
    if bool(less) == bool(more):
        always = [f"{stage}/{name}" for stage in ("train", "val") for name in ("loss", "accuracy")]
        raise UserError(
            f"--{option}.monitor {monitor}: cannot infer from this name whether lower or higher is "
            f"better. Add --{option}.mode min or --{option}.mode max.{nearest(monitor, always)}"
        )
    return "min" if less else "max"


class ReduceLROnPlateau(torch_schedulers.ReduceLROnPlateau):
    """PyTorch's schedule that lowers the learning rate when a metric stops improving.

    Args:
        optimizer: Optimizer whose learning rate is lowered.
        monitor: Logged metric to monitor, once per epoch.
        mode: Whether lower (min) or higher (max) is better. By default min for a loss or an error,
            max for an accuracy, F1, AUROC and similar. Required for metrics with other names.
        factor: Factor by which the learning rate is multiplied.
        patience: Number of epochs without improvement before the learning rate is lowered.
        threshold: Minimum change that counts as an improvement.
        threshold_mode: Whether the threshold is relative to the best value or absolute.
        cooldown: Number of epochs to wait after lowering the learning rate.
        min_lr: Minimum learning rate.
        eps: Minimum change of the learning rate. Smaller changes are skipped.

    Raises:
        UserError: If the mode is required and missing.
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


# Makes an optimizer from parameters and a learning rate. jsonargparse builds the factory from a
# class path and offers no options for the leading arguments that are listed here.
OptimizerFactory = Callable[[Iterable, float], Optimizer]
# OneCycleLR also takes its peak and its number of steps. Our ReduceLROnPlateau is listed before
# PyTorch's LRScheduler, so that the name means our class.
SchedulerFactory = (
    Callable[[Optimizer, float, int], OneCycleLR]
    | Callable[[Optimizer], ReduceLROnPlateau]
    | Callable[[Optimizer], LRScheduler]
)


def _class_made(factory: Any) -> type | None:
    # A factory from a class path is a partial: its first arguments are a maker and the class.
    parts = (factory, getattr(factory, "func", None), *getattr(factory, "args", ()))
    return next((part for part in parts if isinstance(part, type)), None)


def _makes(factory: Any, cls: type) -> bool:
    made = _class_made(factory)
    return made is not None and issubclass(made, cls)


def _is_pytorchs(factory: Any) -> bool:
    """Return whether a factory makes a class of PyTorch that calls no custom code."""
    made = _class_made(factory)
    if made is None or issubclass(made, (LambdaLR, MultiplicativeLR)):
        return False
    return f"{made.__module__}.".startswith(("torch.optim.", "lenet."))


@contextlib.contextmanager
def refusals_of(option: str, factory: Any) -> Iterator[None]:
    """Report errors of a PyTorch class as a ``UserError`` that names the option.

    Args:
        option: The option that chooses the class.
        factory: Makes the optimizer or the schedule.

    Raises:
        UserError: With PyTorch's message.
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
    """Try one step of an optimizer and a schedule on a dummy parameter.

    PyTorch checks some options only at the first step: ``SparseAdam`` raises for dense gradients,
    ``StepLR`` for a ``step_size`` of 0. Trying a step reports them before training starts.

    Args:
        make_optimizer: Makes the optimizer.
        make_scheduler: Makes the schedule, or None.
        parameter: A parameter of the model, for its device and dtype.
        lr: Learning rate.
        total_steps: Returns the number of optimizer steps of the whole training.

    Raises:
        UserError: With PyTorch's message.
    """
    if not _is_pytorchs(make_optimizer):
        return
    # Some optimizers accept only matrices.
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
    optimizer.step(closure)  # the schedule warns unless the optimizer steps first
    with refusals_of("--model.scheduler", make_scheduler):
        config["scheduler"].step(*([0.0] if "monitor" in config else []))


def check_schedule(factory: Any) -> None:
    """Refuse schedule options that the training sets itself, and a missing mode.

    Raises:
        UserError: With the option.
    """
    options = getattr(factory, "keywords", {})
    if _makes(factory, ReduceLROnPlateau) and "monitor" in options and not options.get("mode"):
        best_mode(options["monitor"], "model.scheduler")
    for name in ("max_lr", "total_steps", "epochs", "steps_per_epoch"):
        value = options.get(name)
        if value is not None and _makes(factory, OneCycleLR):
            raise UserError(
                f"--model.scheduler.{name} {value}: cannot be set. OneCycleLR peaks at --model.lr "
                "and spans the whole training. Leave this option out."
            )


def schedule(
    factory: Callable[..., LRScheduler],
    optimizer: Optimizer,
    lr: float,
    total_steps: Callable[[], int],
) -> dict[str, Any]:
    """Return the learning-rate scheduler configuration that Lightning expects.

    Args:
        factory: Makes the schedule: a class, a partial of one, or a factory from jsonargparse.
        optimizer: The optimizer to schedule.
        lr: Peak learning rate of OneCycleLR.
        total_steps: Returns the number of optimizer steps of the whole training, for OneCycleLR.
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
