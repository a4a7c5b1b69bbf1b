"""The hyperparameters that a checkpoint stores: the class, and options with plain values."""

from typing import Any

__all__ = ["keep_plain"]


def keep_plain(owner: Any) -> None:
    """Add the class to the hyperparameters of a model or data module, and keep only plain values.

    A checkpoint with other values, such as a class, would not be safe to load. The command line
    can create the same object from the rest.

    Args:
        owner: The object, after ``save_hyperparameters``.
    """
    for name in [name for name, value in owner.hparams.items() if not _is_plain(value)]:
        del owner.hparams[name]
    cls = type(owner)
    owner.hparams.setdefault("_class_path", f"{cls.__module__}.{cls.__name__}")
    owner.hparams.setdefault("_instantiator", "lightning.pytorch.cli.instantiate_module")


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))
