"""Weights as safetensors, the format to give away: it holds tensors and text, and no code.

The text is JSON under the key ``lenet``: class path and options of the model and of the data
module, the names of the classes, and the version that wrote it.
"""

import json
from pathlib import Path
from typing import Any

import lightning
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lenet.errors import UserError

__all__ = ["read_weights", "write_weights"]

KEY = "lenet"
LONGEST = 1 << 20  # characters of the description


def write_weights(path: Path, tensors: dict[str, Tensor], description: dict[str, Any]) -> None:
    """Write weights with a description of what they belong to.

    Args:
        path: File to write.
        tensors: The model's ``state_dict``.
        description: Under ``model`` and ``data`` their options, with the class path as
            ``_class_path``. Anything else is for people to read.
    """
    # A copy of each: tensors that share memory are refused.
    copies = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    save_file(copies, path, metadata={KEY: json.dumps(description, ensure_ascii=False)})


def read_weights(path: Path, given: str = "") -> dict[str, Any]:
    """Read weights, in the form of a Lightning checkpoint that has no training progress.

    Args:
        path: File to read.
        given: How the user named it, for error messages. By default ``--ckpt_path`` and the path.

    Raises:
        UserError: If the file is damaged, or does not describe a model of lenet.
    """
    given = given or f"--ckpt_path {path}"
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY, "")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as e:
        raise UserError(f"{given}: not a whole safetensors file ({e}). Get the file again.") from e
    try:
        described = json.loads(text) if len(text) <= LONGEST else None
    except (ValueError, RecursionError):
        described = None
    named = described if isinstance(described, dict) else {}
    owners = {name: named.get(name) for name in ("model", "data")}
    if not all(
        isinstance(owner, dict) and isinstance(owner.get("_class_path"), str)
        for owner in owners.values()
    ):
        raise UserError(
            f"{given}: does not describe a model of lenet. Take a file that "
            "`lenet export --output FILE.safetensors` wrote."
        )
    return {
        "pytorch-lightning_version": lightning.__version__,
        "epoch": 0,
        "global_step": 0,
        "state_dict": tensors,
        "hyper_parameters": owners["model"],
        "datamodule_hyper_parameters": owners["data"],
    }
