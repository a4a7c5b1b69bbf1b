"""Reading IDX files, the format of MNIST: a header with type and sizes, then the values."""

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

# By the type in the header. File names contain both: ...-idx3-ubyte has 3 dimensions of bytes.
TYPES = {8: np.dtype("u1"), 12: np.dtype(">i4")}
NAMES = {8: "ubyte", 12: "int"}


def check_idx(file: Path) -> tuple[np.dtype, list[int]]:
    """Refuse a file whose length or name does not match its header.

    Returns:
        The type of the values, and the sizes of the dimensions.

    Raises:
        UserError: With the name of the file and the problem.
    """
    try:
        with file.open("rb") as stream:
            header = stream.read(16)
    except OSError as e:
        raise UserError(f"{file}: cannot be read ({e.strerror}).") from e
    kind, dimensions = header[2:4] if len(header) > 3 and header[:2] == b"\x00\x00" else (0, 0)
    start = 4 + 4 * dimensions
    if kind not in TYPES or dimensions not in (1, 2, 3) or len(header) < start:
        raise UserError(f"{file}: not an IDX file (wrong header). Delete it to download it again.")
    if not file.name.endswith(name := f"-idx{dimensions}-{NAMES[kind]}"):
        raise UserError(
            f"{file}: wrong file: its header is that of a file that ends in {name}. Delete it to "
            "download it again."
        )
    sizes = [int.from_bytes(header[i : i + 4], "big") for i in range(4, start, 4)]
    expected = start + TYPES[kind].itemsize * prod(sizes)
    if (size := file.stat().st_size) != expected:
        raise UserError(
            f"{file}: damaged or incomplete: has {size:,} bytes instead of {expected:,}. Delete it "
            "to download it again."
        )
    return TYPES[kind], sizes


def read_idx(file: Path, published: tuple[int, int] | None = None) -> Tensor:
    """Read the values of a file, ``uint8`` or ``int32``, with half the memory of torchvision.

    Args:
        file: The file.
        published: Size in bytes and CRC-32 of the published file. They are compared only if the
            size matches, since a file of a different size is the user's. A downloaded archive next
            to the file is used in the same way.

    Raises:
        UserError: If the length, name or checksum is wrong, or the file cannot be read.
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
                    f"{file}: damaged or wrong file: its CRC-32 is {crc:08x} instead of "
                    f"{expected[1]:08x}. Delete it to download it again."
                )
            break
    native = values.astype(dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(native.reshape(sizes))


def _archived(file: Path) -> tuple[int, int] | None:
    """Return size and CRC-32 of the content of the .gz next to a file, from its end (RFC 1952)."""
    with contextlib.suppress(OSError), open(f"{file}.gz", "rb") as stream:
        stream.seek(-8, os.SEEK_END)
        crc, size = np.frombuffer(stream.read(), "<u4").tolist()
        return size, crc
    return None
