"""Suggestions for options that do not exist.

Tries an option with the same last part, then names in other programs, then similar spellings. If
nothing is similar, nothing is suggested, since a bad guess is worse than none.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from lenet.cli.first_look import CLASSES

__all__ = ["KnownOptions", "suggest"]

# Minimum similarity of a misspelled name, from 0 to 1: 0.89 for `epoc` and `epoch`, 0.55 for
# `gpus` and `plugins`.
NEAR = 0.75

_FOLDER = "--trainer.default_root_dir"
# Names of options in other programs, and the options here.
WORDS = {
    "accumulation_steps": "--trainer.accumulate_grad_batches",
    "amp": "--trainer.precision 16-mixed",
    "arch": "--model",
    "architecture": "--model",
    "backbone": "--model",
    "batch": "--data.batch_size",
    "bs": "--data.batch_size",
    "checkpoint": "--ckpt_path",
    "checkpoint_path": "--ckpt_path",
    "ckpt": "--ckpt_path",
    "clip": "--trainer.gradient_clip_val",
    "clip_grad": "--trainer.gradient_clip_val",
    "cpu": "--trainer.accelerator cpu",
    "cuda": "--trainer.accelerator gpu",
    "data_dir": "--data.root",
    "data_path": "--data.root",
    "dataset": "--data",
    "datasets": "--data",
    "decay": "--model.optimizer AdamW --model.optimizer.weight_decay",
    "device": "--trainer.accelerator",
    "early_stopping": "--early_stopping.patience",
    "epoch": "--trainer.max_epochs",
    "epochs": "--trainer.max_epochs",
    "fp16": "--trainer.precision 16-mixed",
    "gpu": "--trainer.accelerator gpu",
    "gpus": "--trainer.devices",
    "grad_clip": "--trainer.gradient_clip_val",
    "image": "--data.predict_path",
    "images": "--data.predict_path",
    "img_size": "--data.image_size",
    "imgsz": "--data.image_size",
    "input": "--data.predict_path",
    "learning_rate": "--model.lr",
    "log_dir": _FOLDER,
    "lr_scheduler": "--model.scheduler",
    "max_grad_norm": "--trainer.gradient_clip_val",
    "mixed_precision": "--trainer.precision 16-mixed",
    "momentum": "--model.optimizer SGD --model.optimizer.momentum",
    "n_epochs": "--trainer.max_epochs",
    "nesterov": "--model.optimizer SGD --model.optimizer.nesterov",
    "num_epochs": "--trainer.max_epochs",
    "num_gpus": "--trainer.devices",
    "optim": "--model.optimizer",
    "out": _FOLDER,
    "output": _FOLDER,
    "output_dir": _FOLDER,
    "pretrained": "--model TorchvisionModel --model.weights DEFAULT",
    "random_seed": "--seed_everything",
    "restore": "--ckpt_path last",
    "resume": "--ckpt_path last",
    "resume_from": "--ckpt_path",
    "resume_from_checkpoint": "--ckpt_path",
    "save_dir": _FOLDER,
    "sched": "--model.scheduler",
    "seed": "--seed_everything",
    "source": "--data.predict_path",
    "steps": "--trainer.max_steps",
    "val_split": "--data.val_size",
    "wandb": "--trainer.logger WandbLogger",
    "wd": "--model.optimizer AdamW --model.optimizer.weight_decay",
    "weight_decay": "--model.optimizer AdamW --model.optimizer.weight_decay",
    "workers": "--data.num_workers",
}
# Options that other programs have and this one lacks, with an explanation.
_FLIPS = ("flip", "hflip", "horizontal_flip", "random_flip", "vertical_flip", "vflip")
EXPLAINED = {
    **dict.fromkeys(("compile", "torch_compile"), "Models are not compiled."),
    **dict.fromkeys(_FLIPS, "Images are never flipped."),
    **dict.fromkeys(
        ("name", "run_name"),
        f"A run is named after its model and data. {_FOLDER} names the folder of all runs.",
    ),
}


@dataclass(frozen=True)
class KnownOptions:
    """The options that exist, without ``--``.

    Args:
        options: Those of this command and of the classes that it uses.
        of_classes: Gives those of all classes, each with the names of its classes:
            ``model.widths`` and ``["ConvNet"]``.
    """

    options: Sequence[str]
    of_classes: Callable[[], Mapping[str, list[str]]] = dict


@dataclass(frozen=True)
class _Unknown:
    """An option that does not exist: ``trainer.max_epoch`` is ``max_epoch`` of ``trainer``."""

    group: str
    name: str
    known: KnownOptions

    @cached_property
    def groups(self) -> set[str]:
        return {_group(option) for option in self.known.options}

    @cached_property
    def of_classes(self) -> Mapping[str, list[str]]:
        return self.known.of_classes()

    @property
    def may_be_of_another_program(self) -> bool:
        return self.group in ("", "data", "model", "trainer") or self.group not in self.groups


def suggest(typed: str, known: KnownOptions, otherwise: str = "") -> str:
    """Return a suggestion for an option that does not exist, as a sentence after a space.

    Args:
        typed: The option, without ``--``.
        known: The options that exist.
        otherwise: Text to return without a suggestion.
    """
    group, _, name = typed.replace("-", "_").rstrip("+").lower().rpartition(".")
    unknown = _Unknown(group, name, known)
    return next(filter(None, (attempt(unknown) for attempt in _ATTEMPTS)), otherwise)


def _same_in_another_group(unknown: _Unknown) -> str:
    same = [
        option
        for option in unknown.known.options
        if _last(option) == unknown.name and (option not in unknown.groups or option in CLASSES)
    ]
    return _ask([option for option in same if _group(option) == unknown.group] or same)


def _of_another_class(unknown: _Unknown) -> str:
    classes = unknown.of_classes.get(f"{unknown.group}.{unknown.name}", [])
    return _put_first(classes, unknown.group)


def _of_another_program(unknown: _Unknown) -> str:
    if not unknown.may_be_of_another_program:
        return ""
    if unknown.name in EXPLAINED:
        return f" {EXPLAINED[unknown.name]}"
    option = WORDS.get(unknown.name, "")
    last = option.rpartition("--")[2]
    # An option of the class in use needs no class before it.
    in_use = last.partition(" ")[0] in unknown.known.options
    return _ask([last if in_use else option])


def _same_of_another_class(unknown: _Unknown) -> str:
    if not unknown.may_be_of_another_program:
        return ""
    for option, classes in unknown.of_classes.items():
        if _last(option) == unknown.name:
            return _put_first(classes, option.partition(".")[0], f"--{option}")
    return ""


def _nearly_the_same(unknown: _Unknown) -> str:
    """Compare the last part within a group that exists, or else the whole."""
    if not unknown.group:
        top = [option for option in unknown.known.options if "." not in option]
        if close := difflib.get_close_matches(unknown.name, top, 1, NEAR):
            return _ask(close)
    near = {option: option for option in unknown.known.options}
    name = f"{unknown.group}.{unknown.name}"
    if unknown.group in unknown.groups:
        name = unknown.name
        for option in unknown.known.options:
            if unknown.group in ("", _group(option)):
                near[_last(option)] = option
    return _ask([near[close] for close in difflib.get_close_matches(name, near, 1, NEAR)])


# The first non-empty suggestion is used.
_ATTEMPTS = (
    _same_in_another_group,
    _of_another_class,
    _of_another_program,
    _same_of_another_class,
    _nearly_the_same,
)


def _last(option: str) -> str:
    return option.rpartition(".")[2].lower()


def _group(option: str) -> str:
    return option.rpartition(".")[0].lower()


def _ask(options: Sequence[str]) -> str:
    named = [option if option.startswith("--") else f"--{option}" for option in options[:3]]
    return f" Did you mean {' or '.join(named)}?" if any(options) else ""


def _put_first(classes: Sequence[str], group: str, option: str = "it") -> str:
    if not classes:
        return ""
    have = "has" if len(classes) == 1 else "have"
    first = " or ".join(f"--{group} {name}" for name in classes)
    return f" {' and '.join(classes)} {have} {option}: put {first} first."
