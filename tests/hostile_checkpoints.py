"""Checkpoints as a stranger would make them."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

PLAIN = Path("plain.ckpt")


class Call:
    """What a pickle says to call when it is loaded, and with what."""

    def __init__(self, function: Callable[..., Any], *args: Any):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


def saved(content: Any, path: str = "hostile.ckpt") -> Path:
    torch.save(content, path)
    return Path(path)


def packed(archive: Path, path: str = "hostile.ckpt", **changes: bytes) -> Path:
    """Write an archive again, with other contents for some of its parts."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            name = info.filename.partition("/")[2]
            new.writestr(info.filename, changes.pop(name, None) or old.read(info))
        for name, content in changes.items():
            new.writestr(name, content)
    return Path(path)


def pickled(opcodes: bytes, path: str = "hostile.ckpt") -> Path:
    """Write an archive whose description is this program."""
    buffer = io.BytesIO()
    torch.save({}, buffer)
    Path("empty").write_bytes(buffer.getvalue())
    return packed(Path("empty"), path, **{"data.pkl": opcodes})
