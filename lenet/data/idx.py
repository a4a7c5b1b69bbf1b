"""IDX, the format of MNIST and its relatives: a header with type and sizes, then the values."""

from math import prod
from pathlib import Path

from lenet.errors import UserError

__all__ = ["check_idx"]

BYTES = {8: 1, 12: 4}  # of a value, by the type in the header: unsigned bytes, and integers


def check_idx(file: Path) -> None:
    """Refuse a file whose length is not what its own header says.

    Raises:
        UserError: With the file's name and both lengths.
    """
    with file.open("rb") as stream:
        header = stream.read(16)
    kind, dimensions = header[2:4] if len(header) > 3 and header[:2] == b"\x00\x00" else (0, 0)
    start = 4 + 4 * dimensions
    if kind not in BYTES or dimensions not in (1, 2, 3) or len(header) < start:
        raise UserError(
            f"{file}: not an IDX file, by its first {min(len(header), 4)} bytes. Delete it to have "
            "it downloaded again."
        )
    sizes = (int.from_bytes(header[i : i + 4], "big") for i in range(4, start, 4))
    expected = start + BYTES[kind] * prod(sizes)
    if (size := file.stat().st_size) != expected:
        raise UserError(
            f"{file}: has {size:,} bytes where its header says {expected:,}. It is cut off or "
            "damaged: delete it to have it downloaded again."
        )
