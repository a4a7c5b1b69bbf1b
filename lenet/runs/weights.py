"""Weights as safetensors, the format for sharing: it contains tensors and text, but no code.

The text is JSON under the key ``lenet``: class paths and options of the model and the data module,
the names of the classes, and the version of lenet.
"""

import json
from pathlib import Path
from typing import Any, TypeGuard

import lightning
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lenet.errors import UserError

__all__ = ["read_weights", "write_weights"]

KEY = "lenet"
MAX_LENGTH = 1 << 20  # characters of the description


def write_weights(path: Path, tensors: dict[str, Tensor], description: dict[str, Any]) -> None:
    """Write weights and a description of their model and data.

    Args:
        path: File to write.
        tensors: The model's ``state_dict``.
        description: The options of ``model`` and ``data``, each with its class path as
            ``_class_path``. Other keys are for information only.
    """
    # Copies, since safetensors refuses tensors that share memory.
    copies = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    save_file(copies, path, metadata={KEY: json.dumps(description, ensure_ascii=False)})


def read_weights(path: Path, name: str = "") -> dict[str, Any]:
    """Read weights, in the form of a Lightning checkpoint without training progress.

    Args:
        path: File to read.
        name: Name of the file in error messages. By default ``--ckpt_path`` and its path.

    Raises:
        UserError: If the file is damaged, or does not name its model.
    """
    name = name or f"--ckpt_path {path}"
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY, "")
            tensor_names = file.keys()
            tensors = {tensor: file.get_tensor(tensor) for tensor in tensor_names}
    except (SafetensorError, ValueError) as e:
        raise UserError(
            f"{name}: damaged or not a safetensors file ({e}). Download it again."
        ) from e
    try:
        description = json.loads(text) if len(text) <= MAX_LENGTH else None
    except (ValueError, RecursionError):
        description = None
    options = description if isinstance(description, dict) else {}
    model = options.get("model")
    data = options.get("data")
    if not (_names_a_class(model) and _names_a_class(data)):
        raise UserError(
            f"{name}: does not name its model. Use a file written by lenet export --output "
            "FILE.safetensors."
        )
    # How many processes load images is for the machine that they run on.
    data = {option: value for option, value in data.items() if option != "num_workers"}
    return {
        "pytorch-lightning_version": lightning.__version__,
        "epoch": 0,
        "global_step": 0,
        "state_dict": tensors,
        "hyper_parameters": model,
        "datamodule_hyper_parameters": data,
    }


def _names_a_class(options: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(options, dict) and isinstance(options.get("_class_path"), str)
