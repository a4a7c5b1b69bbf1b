"""What an option that does not exist was meant to be.

First an option whose last part is the same, then what other programs call it, then a near
spelling. Where nothing is near, nothing is suggested: a far guess is worse than none.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Known", "suggest"]

# Least likeness of a misspelt name, from 0 to 1: `epoc` is 0.89 like `epoch`, `gpus` 0.55 like
# `plugins`.
NEAR = 0.75

# Options that are a class, and have options below them.
CLASSES = ("model", "data", "model.optimizer", "model.scheduler")
_FOLDER = "--trainer.default_root_dir"
# What other programs call an option, and what it is here.
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
# What has no option that would do, and what is true of it.
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
class Known:
    """The options that there are, without ``--``.

    Args:
        options: Those of this command and of the classes that it uses.
        others: Finds those of other classes, each with its classes: ``model.widths`` and
            ``["ConvNet"]``.
    """

    options: Sequence[str]
    others: Callable[[], Mapping[str, list[str]]] = dict


def suggest(typed: str, known: Known, otherwise: str = "") -> str:
    """Say what an option that does not exist was meant to be, as a sentence after a space.

    Args:
        typed: The option, without ``--``.
        known: The options that exist.
        otherwise: What to say if none is near.
    """
    group, _, name = typed.replace("-", "_").rstrip("+").lower().rpartition(".")
    groups = {_group(option) for option in known.options}
    alike = [o for o in known.options if _last(o) == name and (o not in groups or o in CLASSES)]
    if alike:
        of_group = [option for option in alike if option.rpartition(".")[0] == group]
        return _ask(of_group or alike)
    others = known.others()
    if f"{group}.{name}" in others:
        return _of(others[f"{group}.{name}"], group)
    if group in ("", "data", "model", "trainer") or group not in groups:
        if name in EXPLAINED:
            return f" {EXPLAINED[name]}"
        if name in WORDS:
            last = WORDS[name].rpartition("--")[2]
            # Of the class in use it takes no further option.
            in_use = last.partition(" ")[0] in known.options
            return _ask([last if in_use else WORDS[name]])
        for option, classes in others.items():
            if _last(option) == name:
                return _of(classes, option.partition(".")[0], f"--{option}")
    # By the last part, within a group that there is, or else by the whole.
    near = {option: option for option in known.options}
    if group in groups:
        near |= {_last(o): o for o in known.options if not group or _group(o) == group}
    written = name if group in groups else f"{group}.{name}"
    if close := difflib.get_close_matches(written, near, n=1, cutoff=NEAR):
        return _ask([near[close[0]]])
    return otherwise


def _last(option: str) -> str:
    return option.rpartition(".")[2].lower()


def _group(option: str) -> str:
    return option.rpartition(".")[0].lower()


def _ask(options: Sequence[str]) -> str:
    named = [option if option.startswith("--") else f"--{option}" for option in options[:3]]
    return f" Did you mean {' or '.join(named)}?"


def _of(classes: Sequence[str], group: str, option: str = "it") -> str:
    have = "has" if len(classes) == 1 else "have"
    first = " or ".join(f"--{group} {name}" for name in classes)
    return f" {' and '.join(classes)} {have} {option}: put {first} first."
