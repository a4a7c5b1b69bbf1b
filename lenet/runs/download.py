"""Weights at an address: fetched once, into a folder of their own among the runs.

Only safetensors are fetched, which hold no code.
"""

import hashlib
import http.client
import os
import re
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from lenet.errors import UserError
from lenet.runs.weights import read_weights

__all__ = ["fetch"]

MAX_SIZE = 2 << 30  # bytes. The largest network of torchvision has 1.3 GB.
TIMEOUT = 30  # seconds of silence
# All that is needed, and no handler for file:// or ftp://, which a redirection could lead to.
_HANDLERS = (
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.UnknownHandler,
)


def fetch(url: str, root: str | Path) -> Path:
    """Download weights, unless they have been downloaded before.

    Args:
        url: Address of a safetensors file, with ``http`` or ``https``.
        root: Folder of the runs.

    Returns:
        ``<root>/downloads/<host>-<hash of the address>/<name>``. Results go to the same folder.

    Raises:
        UserError: If the file cannot be fetched or is not safetensors. Nothing is kept of it.
    """
    said = f"--ckpt_path {url}"
    try:
        parts = urlsplit(url)
        host, name = parts.hostname or "", parts.path.rpartition("/")[2]
    except ValueError as e:
        raise UserError(f"{said}: no address, {e}.") from e
    if parts.scheme.lower() not in ("http", "https") or not host:
        raise UserError(
            f"{said}: only http and https addresses can be fetched. Download it and name the file."
        )
    digest = hashlib.sha256(url.encode(errors="replace")).hexdigest()[:8]
    folder = Path(root).expanduser().absolute() / "downloads"
    folder /= f"{re.sub(r'[^a-z0-9.-]', '_', host)[:40]}-{digest}"
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", name.removesuffix(".safetensors")).strip(".")
    path = folder / f"{name[-60:] or 'weights'}.safetensors"
    if path.is_file():
        return path
    print(f"Downloading {url} to {path}", file=sys.stderr, flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as temporary:
            file = Path(temporary) / path.name
            _download(url, file)
            read_weights(file, said)
            os.replace(file, path)
    except UserError:
        raise
    except (OSError, OverflowError, http.client.HTTPException, ValueError) as e:
        reason = e.reason if isinstance(e, urllib.error.URLError) else e
        raise UserError(f"{said}: cannot be downloaded, {reason or type(e).__name__}.") from e
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()
    return path


def _download(url: str, path: Path) -> None:
    """Write what is at an address into a file, as long as it can be safetensors."""
    opener = urllib.request.OpenerDirector()
    for handler in _HANDLERS:
        opener.add_handler(handler())
    with opener.open(url, timeout=TIMEOUT) as answer, path.open("wb") as file:
        if urlsplit(url).scheme.lower() == "https" != urlsplit(answer.url).scheme.lower():
            raise ValueError("it leads from https to http")
        promised = int(answer.headers.get("Content-Length") or 0)
        if promised > MAX_SIZE:
            raise ValueError(f"it is larger than {MAX_SIZE >> 30} GB")
        size = 0
        while chunk := answer.read1(1 << 20):
            # The length of the header in 8 bytes, then the header, which is JSON.
            if size == 0 and chunk[8:9] not in (b"", b"{"):
                kind = re.sub(r"[^\w/.+-]", "", answer.headers.get_content_type())[:40]
                raise ValueError(f"it is {kind}, not safetensors")
            size += len(chunk)
            if size > MAX_SIZE:
                raise ValueError(f"it is larger than {MAX_SIZE >> 30} GB")
            file.write(chunk)
        if size < promised:
            raise ValueError(f"it ended after {size:,} of {promised:,} bytes")
