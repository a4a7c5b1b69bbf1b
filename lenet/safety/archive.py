"""What a file must be before PyTorch is let near it: a checkpoint that claims no more than it has.

``torch.load(weights_only=True)`` runs no stranger's code, but it does what a file asks for with
what it allows: a ``bytearray`` of terabytes, a view a thousand times as large as its storage, a key
whose hash takes years. So the file's description of itself is read before, with stand-ins for all
tensors, and everything in it is counted.
"""

import io
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

from lenet.safety.unpickling import TOO_MANY, Ordered, Reader, Tensor, UnsafeError

__all__ = ["UnsafeError", "inspect"]

# Far beyond all that is trained here: ResNet-18 with Adam is described in 70 kB and 30,000 values.
MAX_DESCRIPTION = 4 << 20  # bytes
MAX_DIRECTORY = 4 << 20  # bytes, of the archive's list of its parts
MAX_VALUES = 1_000_000
MAX_DEPTH = 50
MAX_SHARING = 4  # how many times as large as the file its tensors may be: shared weights are
# Of the hyperparameters, which jsonargparse walks through several times.
MAX_HYPERPARAMETERS = 30_000
MAX_TEXT = 4096  # characters
HYPERPARAMETERS = ("hyper_parameters", "datamodule_hyper_parameters")

_TWO_LISTS = "it has more than one list of its parts, or a wrong one"
_OVERLAP = "its parts overlap or are encrypted"
# What torch.save() writes, and nothing else.
_PARTS = re.compile(
    r"[^/]+/(data\.pkl|byteorder|version|\.format_version|\.storage_alignment"
    r"|\.data/serialization_id|data/\d+)"
)


def inspect(path: Path) -> dict[str, Any] | None:
    """Look at a checkpoint as a stranger's file, without loading it.

    Takes time as it takes to read the file once, and memory for its description only.

    Returns:
        What it holds, with a stand-in for every tensor, or None if that is no dictionary.

    Raises:
        zipfile.BadZipFile: If it is not a whole file of ``torch.save``'s.
        UnsafeError: If there is more in it than plain values and tensors that it has.
    """
    with path.open("rb") as file:
        count = _check_directory(file)
        with zipfile.ZipFile(file) as archive:
            parts = _parts(archive, count)
            description = archive.read(parts.pop("data.pkl"))
            try:
                reader = Reader(description, {name: p.file_size for name, p in parts.items()})
                content = reader.load()
            except UnsafeError:
                raise
            except Exception as e:  # whatever a pickle that is none ends in
                raise zipfile.BadZipFile(str(e)) from e
            if reader.claimed > MAX_SHARING * max(path.stat().st_size, 1 << 20):
                raise UnsafeError("its tensors claim to be many times as large as the file")
            sizes: dict[int, tuple[int, int]] = {}
            _weigh(content, sizes)
            if not isinstance(content, dict):
                return None
            for name in HYPERPARAMETERS:
                _check_plain(content.get(name), name, sizes)
            callbacks = content.get("callbacks")
            for state in callbacks.values() if isinstance(callbacks, dict) else ():
                _check_paths(state)
            if archive.testzip() is not None:  # by the sums of its parts. Last, as it takes longest
                raise zipfile.BadZipFile
    return content


def _check_directory(file: io.BufferedReader) -> int:
    """Give how many parts the archive has, whose list, at its end, is there once and is short.

    Python looks for the list right before the end, PyTorch where the end says it is: each must
    find the one that the other finds.
    """
    if file.read(4) != b"PK\3\4":
        raise zipfile.BadZipFile
    length = file.seek(0, io.SEEK_END)
    file.seek(-min(98, length), io.SEEK_END)
    tail = file.read().rjust(98, b"\0")
    mark, *disks, here, count, size, start, comment = struct.unpack("<4s4H2LH", tail[-22:])
    if mark != b"PK\5\6":
        raise zipfile.BadZipFile
    end = length - 22
    if tail[-42:-38] == b"PK\6\7":  # what it says in 64 bits is what counts
        end = length - 98
        short, full = (here, count, size, start), struct.unpack("<4Q", tail[24:56])
        [place] = struct.unpack("<Q", tail[-34:-26])
        most = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
        agrees = all(a in (b, top) for a, b, top in zip(short, full, most, strict=True))
        if tail[:4] != b"PK\6\6" or place != end or not agrees:
            raise UnsafeError(_TWO_LISTS)
        here, count, size, start = full
    if size > MAX_DIRECTORY:
        raise UnsafeError(TOO_MANY)
    if start + size != end or here != count or any(disks) or comment:
        raise UnsafeError(_TWO_LISTS)
    return count


def _parts(archive: zipfile.ZipFile, count: int) -> dict[str, zipfile.ZipInfo]:
    """List the parts of the archive, none of which is packed, hidden or there twice."""
    if len(archive.infolist()) != count:
        raise UnsafeError(_TWO_LISTS)
    parts, end = {}, 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        name = info.filename.partition("/")[2]
        if not _PARTS.fullmatch(info.filename) or name in parts:
            raise UnsafeError("it has parts that no checkpoint has")
        # Another name, or a size and place said twice, which Python and PyTorch would choose from.
        field = struct.pack("<2H", 1, max(len(info.extra) - 4, 0))
        if info.filename != info.orig_filename or info.extra[:4] not in (b"", field):
            raise UnsafeError(_TWO_LISTS)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise UnsafeError("its parts are compressed, and so could be of any size")
        if info.header_offset < end or info.flag_bits & 1:
            raise UnsafeError(_OVERLAP)
        assert archive.fp is not None
        archive.fp.seek(info.header_offset + 26)  # in front of the part itself, where more may be
        header = 30 + sum(struct.unpack("<2H", archive.fp.read(4).ljust(4, b"\xff")))
        end = info.header_offset + header + info.file_size
        parts[name] = info
    if "data.pkl" not in parts:
        raise zipfile.BadZipFile
    if end > archive.start_dir:
        raise UnsafeError(_OVERLAP)
    if parts["data.pkl"].file_size > MAX_DESCRIPTION:
        raise UnsafeError(TOO_MANY)
    return parts


def _weigh(value: Any, weighed: dict[int, tuple[int, int]], depth: int = 0) -> tuple[int, int]:
    """Count the values in a value, each as often as a walk would come by it, and the levels.

    ``l = [l, l]``, forty times over, is of forty lists, and takes a walk for ever.
    """
    if type(value) in (str, int, float, bool, type(None), Tensor):
        return 1, 0
    if id(value) in weighed:
        return weighed[id(value)]
    if depth > MAX_DEPTH:  # where a value that holds itself ends too
        raise UnsafeError("its values are nested more deeply than any checkpoint's")
    if isinstance(value, dict):
        inner = [*value.values(), *([value.attributes] if isinstance(value, Ordered) else [])]
    elif isinstance(value, (list, tuple)):
        inner = value
    else:
        raise UnsafeError("it has values that are neither tensors nor plain")
    count, levels = 1, 0
    for part in inner:
        its_count, its_levels = _weigh(part, weighed, depth + 1)
        count, levels = count + its_count, max(levels, its_levels + 1)
    if levels > MAX_DEPTH:
        raise UnsafeError("its values are nested more deeply than any checkpoint's")
    if count > MAX_VALUES:
        raise UnsafeError(TOO_MANY)
    weighed[id(value)] = count, levels
    return count, levels


def _check_plain(values: Any, name: str, weighed: dict[int, tuple[int, int]]) -> None:
    """Refuse hyperparameters that no command line could give, before options are made of them."""
    if not isinstance(values, dict):
        return
    if weighed[id(values)][0] > MAX_HYPERPARAMETERS:
        raise UnsafeError(f"{name} has more in it than any checkpoint of lenet")
    length = 0
    todo: list[Any] = [values]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            if not all(type(key) is str for key in value):
                raise UnsafeError(f"{name} has names that are no words")
            path, args = value.get("class_path", ""), value.get("init_args") or {}
            if not isinstance(path, str) or not isinstance(args, dict):
                raise UnsafeError(f"{name} has a class that is none")
            todo += [*value, *value.values()]
        elif isinstance(value, (list, tuple)):
            todo += value
        elif isinstance(value, str):
            length += len(value)
            if len(value) > MAX_TEXT or length > MAX_DESCRIPTION:
                raise UnsafeError(f"{name} has text that is longer than any checkpoint's")
        elif isinstance(value, Tensor) or (isinstance(value, int) and abs(value) >= 1 << 63):
            raise UnsafeError(f"{name} has values that are not plain")


def _check_paths(state: Any) -> None:
    """Refuse a callback's paths that lead out of its folder.

    What ModelCheckpoint takes for older weights of its own, it deletes.
    """
    if not isinstance(state, dict):
        return
    kept = state.get("best_k_models")
    paths = [value for name, value in state.items() if str(name).endswith(("_path", "dirpath"))]
    for path in [*paths, *(kept if isinstance(kept, dict) else ())]:
        if "://" in str(path) or ".." in re.split(r"[/\\]", str(path)):
            raise UnsafeError("its callbacks name files that are not theirs")
