"""Loading a trained model from Python."""

from pathlib import Path

from lightning.pytorch.cli import instantiate_module

from lenet import runs
from lenet.errors import UserError
from lenet.models import ImageClassifier
from lenet.runs.checkpoints import class_specs, load_weights, read
from lenet.runs.trusted_names import check_names, subclasses

__all__ = ["load"]


def load(ckpt_path: str | Path = "best", root: str | Path = "runs") -> ImageClassifier:
    """Load a trained model, of whatever class, ready to predict.

    Args:
        ckpt_path: ``best`` or ``last`` of the newest run below ``root``, a run's folder, a file,
            or the address of a ``.safetensors`` file.
        root: Folder that the runs are in.

    Returns:
        The model on the CPU, in evaluation mode. It takes normalised images ``(N, C, H, W)`` and
        gives logits ``(N, num_classes)``.

    Raises:
        UserError: If there is no such checkpoint, or it is not safe to load. The class of a model
            of your own must have been imported before.
    """
    path = runs.find_checkpoint(str(ckpt_path), root)
    checkpoint = read(path)
    saved = checkpoint["hyper_parameters"]
    known = {f"{cls.__module__}.{cls.__name__}" for cls in subclasses(ImageClassifier)}
    check_names({"model": class_specs(checkpoint)["model"]}, path, named=known)
    options = {key: value for key, value in saved.items() if key != "_instantiator"}
    try:
        model = instantiate_module(ImageClassifier, options)
    except Exception as e:
        reason = str(e).strip().splitlines()
        raise UserError(
            f"{path}: its model cannot be made, {reason[-1] if reason else type(e).__name__}."
        ) from e
    load_weights(model, checkpoint, path)
    return model.eval()
