"""Loading a trained model in Python."""

import importlib
from argparse import ArgumentError
from pathlib import Path

from jsonargparse import ArgumentParser

from lenet import runs
from lenet.errors import UserError
from lenet.models import ImageClassifier
from lenet.runs import checkpoints
from lenet.runs.trusted_names import check_names, subclasses

__all__ = ["load"]


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
    spec = checkpoints.class_specs(checkpoint)["model"]
    imported = {f"{cls.__module__}.{cls.__name__}" for cls in subclasses(ImageClassifier)}
    check_names({"model": spec}, path, imported)
    module, _, name = spec["class_path"].rpartition(".")
    cls = getattr(importlib.import_module(module), name)
    if not issubclass(cls, ImageClassifier):
        raise UserError(f"{path}: {spec['class_path']} is not a subclass of ImageClassifier.")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, "model", fail_untyped=False)
    try:
        options = parser.parse_object({"model": spec["init_args"]})
    except ArgumentError as e:
        raise UserError(f"{path}: cannot create its model: {' '.join(str(e).split())}") from e
    model = parser.instantiate(options).model
    checkpoints.load_weights(model, checkpoint, path)
    return model.eval()
