"""Loading a trained model in Python."""

import importlib
from argparse import ArgumentError
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser

from lenet import runs
from lenet.errors import UserError
from lenet.models import ImageClassifier
from lenet.runs import checkpoints
from lenet.runs.trusted_names import check_names, subclasses

__all__ = ["check_shapes", "load"]


def load(ckpt_path: str | Path = "best", root: str | Path = "runs") -> ImageClassifier:
    """Load a trained model of any class, ready to predict.

    Args:
        ckpt_path: ``best`` or ``last`` of the newest run below ``root``, a run's folder, a file,
            or the address of a ``.safetensors`` file.
        root: Folder of the runs.

    Returns:
        The model on the CPU, in evaluation mode. It takes normalized images ``(N, C, H, W)`` and
        returns logits ``(N, num_classes)``.

    Raises:
        UserError: If there is no such checkpoint, or it is not safe to load. Import the class of a
            custom model before loading it.
    """
    path = runs.find_checkpoint(str(ckpt_path), root)
    checkpoint = checkpoints.read(path)
    imported = {f"{cls.__module__}.{cls.__name__}" for cls in subclasses(ImageClassifier)}
    check_names({"model": checkpoints.class_specs(checkpoint)["model"]}, path, imported)
    check_shapes(checkpoint, path)
    model = _build(checkpoint, path)
    checkpoints.load_weights(model, checkpoint, path)
    return model.eval()


def check_shapes(checkpoint: dict[str, Any], path: Path) -> None:
    """Refuse weights that do not fit the model that their file describes.

    The model is built without memory for its weights, since it may be described as very large.
    Models of other packages may need their weights to be built, and are not checked here.

    Args:
        checkpoint: The checkpoint, read, whose names are trusted.
        path: The file.

    Raises:
        UserError: With the first weight that does not fit.
    """
    if not _class_of(checkpoint, path).__module__.startswith("lenet."):
        return
    try:
        with torch.device("meta"):
            model = _build(checkpoint, path)
    except (OverflowError, RuntimeError, TypeError) as e:
        raise UserError(
            f"--ckpt_path {path}: its model cannot be built: {' '.join(str(e).split())[:200]}"
        ) from e
    checkpoints.check_fits(checkpoint, model, path)


def _class_of(checkpoint: dict[str, Any], path: Path) -> type[ImageClassifier]:
    class_path = checkpoints.class_specs(checkpoint)["model"]["class_path"]
    module, _, name = class_path.rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    if not issubclass(cls, ImageClassifier):
        raise UserError(f"{path}: {class_path} is not a subclass of ImageClassifier.")
    return cls


def _build(checkpoint: dict[str, Any], path: Path) -> ImageClassifier:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(_class_of(checkpoint, path), "model", fail_untyped=False)
    try:
        options = parser.parse_object(
            {"model": checkpoints.class_specs(checkpoint)["model"]["init_args"]}
        )
    except ArgumentError as e:
        raise UserError(f"{path}: cannot create its model: {' '.join(str(e).split())}") from e
    return parser.instantiate(options).model
