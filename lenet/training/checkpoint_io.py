"""Reading and writing the files of checkpoints."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from lenet.errors import UserError
from lenet.runs.weights import read_weights
from lenet.writing import atomic_write

__all__ = ["WholeCheckpointIO"]


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file next to its path, and renames it when complete.

    Lightning 2.6 writes to the system's temporary folder. If that is on a different disk, moving
    the file is a copy, and a process that is killed meanwhile leaves half a checkpoint.
    """

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load a checkpoint or a safetensors file."""
        if Path(path).suffix == ".safetensors":
            return read_weights(Path(path))
        return super().load_checkpoint(path, *args, **kwargs)

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Save a checkpoint.

        Raises:
            UserError: If the file cannot be written, for example on a full disk. The previous
                checkpoint is kept.
        """
        if "://" in str(path):  # cloud storage, which Lightning writes atomically
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        buffer = io.BytesIO()  # torch.save to a file would hide the system's error
        torch.save(checkpoint, buffer)
        try:
            with atomic_write(path) as part:
                part.write_bytes(buffer.getbuffer())
        except OSError as e:
            kept = " The previous checkpoint is kept." if path.exists() else ""
            raise UserError(
                f"{path}: cannot be saved ({e.strerror}).{kept} Free disk space, or set "
                "--trainer.default_root_dir to a different folder."
            ) from e
