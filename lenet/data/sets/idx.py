"""IDX, the format of MNIST and its relatives: a header with type and sizes, then the values."""

import contextlib
import os
import zlib
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


def read_idx(file: Path, published: tuple[int, int] | None = None) -> Tensor:
    """Read a file's values, ``uint8`` or ``int32``, once: torchvision would hold them twice.

    Args:
        file: The file.
        published: Size in bytes and CRC-32 of the published file. A file of another size is your
            own. The archive beside it, if it was downloaded, has the same of its content.

    Raises:
        UserError: If its length, its name or its sum is not what it should be, or it cannot be
            read.
    """
    dtype, sizes = check_idx(file)
    start = 4 + 4 * len(sizes)
    try:
        with file.open("rb") as stream:
            header = stream.read(start)
            values = np.fromfile(stream, dtype)
    except OSError as e:
        raise UserError(f"{file}: cannot be read ({e.strerror}).") from e
    for expected in (published, _archived(file)):
        if expected is not None and expected[0] == start + values.nbytes:
            if (crc := zlib.crc32(values.data, zlib.crc32(header))) != expected[1]:
                raise UserError(
                    f"{file}: is damaged or another file: its CRC-32 is {crc:08x}, that of the "
                    f"published one {expected[1]:08x}. Delete it to have it downloaded again."
                )
            break
    native = values.astype(dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(native.reshape(sizes))


def _archived(file: Path) -> tuple[int, int] | None:
    """Give bytes and CRC-32 of what the .gz beside a file holds, which it ends with (RFC 1952)."""
    with contextlib.suppress(OSError), open(f"{file}.gz", "rb") as stream:
        stream.seek(-8, os.SEEK_END)
        crc, size = np.frombuffer(stream.read(), "<u4").tolist()
        return size, crc
    return None
