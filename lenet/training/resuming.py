"""Resuming a training, possibly with different options.

Lightning restores the loops, the optimizer and the schedule of a checkpoint as they were saved.
Options of this training override them: the learning rate, the optimizer, the schedule, the batch
size or the number of images. If nothing changed, the training continues bit for bit as if it had
never stopped.
"""

import math
import sys
import warnings
from collections.abc import Collection, Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim import lr_scheduler as torch_schedulers
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR

from lenet.epoch_position import SavedPosition
from lenet.errors import UserError
from lenet.models import ImageClassifier

__all__ = ["Resuming", "carry_over"]

# Keys in a checkpoint: the sums and counts of an unfinished epoch, and the metric that
# ReduceLROnPlateau has not received yet.
UNFINISHED = "train_figures"
MONITORED = "monitored"


class Resuming(pl.Callback):
    """Save what Lightning omits from a checkpoint, and apply changed options when resuming.

    Lightning restores a checkpoint after ``on_fit_start``, so that hook edits the loaded states.
    """

    def __init__(self) -> None:
        self._checkpoint: dict[str, Any] | None = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the sums of the epoch and the metric that ReduceLROnPlateau has not received yet."""
        if isinstance(pl_module, ImageClassifier):
            checkpoint[UNFINISHED] = pl_module.epoch_so_far()
            if isinstance(batches := trainer.num_training_batches, int):
                checkpoint[UNFINISHED]["batches"] = batches  # per epoch
        for config in trainer.lr_scheduler_configs:
            metric = trainer.callback_metrics.get(config.monitor or "")
            if config.reduce_on_plateau and metric is not None:
                checkpoint[MONITORED] = float(metric)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the checkpoint until the optimizer exists."""
        if trainer.training:
            self._checkpoint = checkpoint
            _check_length(checkpoint, trainer)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Override the checkpoint's learning rate, optimizer and schedule with this training's."""
        checkpoint = self._checkpoint
        self._checkpoint = None
        if checkpoint is None or not isinstance(pl_module, ImageClassifier):
            return
        # Only the first device restores the sums, which include those of all devices.
        counts = trainer.is_global_zero
        pl_module.resume_epoch(checkpoint.get(UNFINISHED, {}), counts)
        changed, same_optimizer = _compare(checkpoint["hyper_parameters"], pl_module)
        configs = trainer.lr_scheduler_configs
        optimizer = trainer.optimizers[0]
        scheduler = configs[0].scheduler if configs else None
        if same_optimizer:
            _align(checkpoint, optimizer)
        trainer.fit_loop.setup_data()  # sets the number of batches per epoch
        position = SavedPosition(checkpoint)
        before = checkpoint.get(UNFINISHED, {}).get("batches")
        now = trainer.num_training_batches
        if before and before != now and not math.isinf(now):
            position.rescale(before, int(now), trainer.accumulate_grad_batches)
        if trainer.max_steps != -1:
            position.end_epoch()
        remaining = remaining_steps(position, checkpoint["global_step"], trainer)
        carry_over(checkpoint, optimizer, scheduler, changed, same_optimizer, remaining)


def _check_length(checkpoint: dict[str, Any], trainer: pl.Trainer) -> None:
    """Refuse a training that has already reached its end.

    Raises:
        UserError: With the option.
    """
    epochs = SavedPosition(checkpoint).epochs
    if trainer.max_epochs is not None and -1 < trainer.max_epochs < epochs:
        raise UserError(
            f"--trainer.max_epochs {trainer.max_epochs}: {epochs} epochs are already trained. Set "
            "a higher total."
        )
    if trainer.max_epochs == epochs and trainer.is_global_zero:
        print(
            f"Training is already complete at --trainer.max_epochs {epochs}. To train longer, set "
            "a higher total.",
            file=sys.stderr,
            flush=True,
        )
    if -1 < trainer.max_steps < checkpoint["global_step"]:
        raise UserError(
            f"--trainer.max_steps {trainer.max_steps}: {checkpoint['global_step']} steps are "
            "already trained. Set a higher total."
        )


def remaining_steps(position: SavedPosition, steps: int, trainer: pl.Trainer) -> int | None:
    """Return the number of optimizer steps left to train, or None if the training has no end.

    Args:
        position: Position at which the training resumes.
        steps: Number of optimizer steps already made.
        trainer: Trainer whose data is set up.
    """
    counts = []
    batches = trainer.num_training_batches
    accumulated = trainer.accumulate_grad_batches
    if trainer.max_epochs not in (None, -1) and not math.isinf(batches):
        in_epoch = math.ceil(batches / accumulated)
        done = position.batches_done(int(batches))
        made = in_epoch if done == batches else done // accumulated
        counts.append((trainer.max_epochs - position.epochs) * in_epoch - made)
    if trainer.max_steps != -1:
        counts.append(trainer.max_steps - steps)
    return max(min(counts), 0) if counts else None


def _compare(past: Mapping[str, Any], model: ImageClassifier) -> tuple[set[str], bool]:
    """Compare the options of a checkpoint's model with this training's.

    Returns:
        Which of ``lr``, ``optimizer`` and ``scheduler`` differ from the checkpoint, and whether the
        optimizer has the same class.
    """
    now = model.hparams
    # An optimizer that was given in Python as a class is not in the hyperparameters.
    given = {"optimizer": model.make_optimizer, "scheduler": model.make_scheduler}
    changed = {
        name
        for name in ("lr", "optimizer", "scheduler")
        if (name in now or given[name] is None) and now.get(name) != past.get(name)
    }
    return changed, _class_of(now.get("optimizer")) == _class_of(past.get("optimizer"))


def _class_of(spec: Any) -> Any:
    return spec.get("class_path") if isinstance(spec, dict) else "torch.optim.Adam"


def carry_over(
    checkpoint: dict[str, Any],
    optimizer: Optimizer,
    scheduler: LRScheduler | None,
    changed: Collection[str],
    same_optimizer: bool,
    remaining: int | None = None,
) -> None:
    """Replace settings in a checkpoint with those of this training.

    The saved state of an optimizer includes its learning rate and other settings, and that of a
    schedule its length. If nothing changed, the states are restored exactly. Otherwise the moments
    come from the checkpoint, the settings from this training, and the schedule is advanced to where
    it would be if it had been used from the start. OneCycleLR is advanced so that it ends with the
    training.

    Args:
        checkpoint: Loaded checkpoint, whose states are replaced before they are restored.
        optimizer: This training's optimizer in its initial state.
        scheduler: Its schedule in its initial state, if there is one.
        changed: Which of ``lr``, ``optimizer`` and ``scheduler`` differ from the checkpoint.
        same_optimizer: Whether the optimizer has the same class, so that its moments may fit.
        remaining: Number of optimizer steps left, which position OneCycleLR, since the number of
            steps per epoch may have changed. By default the steps already made position it.
    """
    saved = (checkpoint.get("optimizer_states") or [{"state": {}, "param_groups": []}])[0]
    past = next(iter(checkpoint.get("lr_schedulers") or []), {})
    if same_optimizer:  # kernels depend on this machine, not on the checkpoint
        for old, new in zip(saved["param_groups"], optimizer.param_groups, strict=False):
            old.update({name: new[name] for name in ("foreach", "fused") if name in new})
    length = getattr(scheduler, "total_steps", None)
    epochs = SavedPosition(checkpoint).epochs
    passed = epochs
    if isinstance(scheduler, (OneCycleLR, CyclicLR)):
        passed = checkpoint["global_step"]
    if length is not None and remaining is not None:
        passed = length - remaining
    moved = length is not None and passed != past.get("last_epoch")
    if changed or moved or length != past.get("total_steps"):
        groups = optimizer.param_groups
        plateau = isinstance(scheduler, torch_schedulers.ReduceLROnPlateau)
        if plateau and "num_bad_epochs" in past:
            kept = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")
            scheduler.load_state_dict({key: past[key] for key in kept})
            if "lr" not in changed:
                for group, old in zip(groups, saved["param_groups"], strict=True):
                    group["lr"] = old["lr"]
        elif scheduler is not None and not plateau:
            with warnings.catch_warnings():
                # PyTorch warns of a schedule that steps before its optimizer.
                warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
                for _ in range(passed if length is None else min(passed, length - 1)):
                    scheduler.step()
        fits = same_optimizer and _moments_fit(saved["param_groups"], groups)
        moments = saved["state"] if fits else {}
        new = optimizer.state_dict()["param_groups"]
        checkpoint["optimizer_states"] = [{"state": moments, "param_groups": new}]
        checkpoint["lr_schedulers"] = [scheduler.state_dict()] if scheduler is not None else []
    elif "num_bad_epochs" in past and past["last_epoch"] < epochs and MONITORED in checkpoint:
        # Lightning saves at the end of an epoch, before ReduceLROnPlateau receives the metric.
        assert scheduler is not None
        optimizer.load_state_dict(saved)
        scheduler.load_state_dict(past)
        scheduler.step(checkpoint[MONITORED])  # type: ignore[arg-type]
        checkpoint["optimizer_states"] = [optimizer.state_dict()]
        checkpoint["lr_schedulers"] = [scheduler.state_dict()]


def _moments_fit(saved: list[dict[str, Any]], groups: list[dict[str, Any]]) -> bool:
    # With these settings an optimizer keeps additional tensors, which an older state lacks.
    return all(
        bool(old.get(key)) == bool(new.get(key))
        for key in ("amsgrad", "momentum", "centered")
        for old, new in zip(saved, groups, strict=True)
    )


def _align(checkpoint: dict[str, Any], optimizer: Optimizer) -> None:
    """Give an optimizer's saved tensors the memory layout of its parameters.

    A fused kernel accesses both in the order of the parameter's memory.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if not any(group.get("fused") for group in optimizer.param_groups):
        return
    for saved in checkpoint["optimizer_states"]:
        numbers = [number for group in saved["param_groups"] for number in group["params"]]
        for number, parameter in zip(numbers, parameters, strict=True):
            state = saved["state"].get(number, {})
            for name, value in state.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    aligned = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
                    state[name] = aligned.detach()
