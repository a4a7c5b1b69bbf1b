"""IDX, the format of MNIST and its relatives: a header with type and sizes, then the values."""

from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lenet.errors import UserError

__all__ = ["check_idx", "read_idx"]

# By the type in the header. A file's name says both: ...-idx3-ubyte has three dimensions of bytes.
TYPES = {8: np.dtype("u1"), 12: np.dtype(">i4")}
NAMES = {8: "ubyte", 12: "int"}


def check_idx(file: Path) -> tuple[np.dtype, list[int]]:
    """Refuse a file whose length or name is not what its own header says.

    Returns:
        The type of its values, and the sizes of its dimensions.

    Raises:
        UserError: With the file's name and what is wrong.
    """
    try:
        with file.open("rb") as stream:
            header = stream.read(16)
    except OSError as e:
        raise UserError(f"{file}: cannot be read ({e.strerror}).") from e
    kind, dimensions = header[2:4] if len(header) > 3 and header[:2] == b"\x00\x00" else (0, 0)
    start = 4 + 4 * dimensions
    if kind not in TYPES or dimensions not in (1, 2, 3) or len(header) < start:
        raise UserError(
            f"{file}: not an IDX file, by its first {min(len(header), 4)} bytes. Delete it to have "
            "it downloaded again."
        )
    if not file.name.endswith(name := f"-idx{dimensions}-{NAMES[kind]}"):
        raise UserError(
            f"{file}: is another file by its header, one that ends in {name}. Delete it to have "
            "it downloaded again."
        )
    sizes = [int.from_bytes(header[i : i + 4], "big") for i in range(4, start, 4)]
    expected = start + TYPES[kind].itemsize * prod(sizes)
    if (size := file.stat().st_size) != expected:
        raise UserError(
            f"{file}: has {size:,} bytes where its header says {expected:,}. It is cut off or "
            "damaged: delete it to have it downloaded again."
        )
    return TYPES[kind], sizes


def read_idx(file: Path) -> Tensor:
    """Read a file's values, ``uint8`` or ``int32``, once: torchvision would hold them twice.

    Raises:
        UserError: If its length or name is not what its own header says, or it cannot be read.
    """
    dtype, sizes = check_idx(file)
    try:
        values = np.fromfile(file, dtype, offset=4 + 4 * len(sizes))
    except OSError as e:
        raise UserError(f"{file}: cannot be read ({e.strerror}).") from e
    native = values.astype(dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(native.reshape(sizes))
