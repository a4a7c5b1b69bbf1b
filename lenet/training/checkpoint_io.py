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
    """Save a checkpoint to a temporary file, and move it to its place when it is whole.

    Lightning 2.6 saves to the system's folder for temporary files, and moving a file from another
    disk is a copy: killed meanwhile, it leaves half a checkpoint.
    """

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Load a checkpoint, or weights alone."""
        if Path(path).suffix == ".safetensors":
            return read_weights(Path(path))
        return super().load_checkpoint(path, *args, **kwargs)

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Save a checkpoint.

        Raises:
            UserError: If that fails, such as on a full disk. The previous one is kept.
        """
        if "://" in str(path):  # a bucket, which Lightning writes whole
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        buffer = io.BytesIO()  # torch.save to a file would hide the system's error in its own
        torch.save(checkpoint, buffer)
        try:
            with atomic_write(path) as part:
                part.write_bytes(buffer.getbuffer())
        except OSError as e:
            kept = " The previous one is still there, and whole." if path.exists() else ""
            raise UserError(
                f"{path}: cannot be saved ({e.strerror}).{kept} Make room, or name another folder "
                "with --trainer.default_root_dir."
            ) from e
