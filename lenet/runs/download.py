"""Downloading weights from a URL, once, to a folder among the runs.

Only safetensors files are accepted, which cannot contain code.
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

MAX_SIZE = 2 << 30  # bytes: the largest network of torchvision has 1.3 GB
TIMEOUT = 30  # seconds without data


def fetch(url: str, root: str | Path) -> Path:
    """Download weights, unless they have been downloaded before.

    Args:
        url: ``http`` or ``https`` URL of a safetensors file.
        root: Folder of the runs.

    Returns:
        ``<root>/downloads/<host>-<hash of the URL>/<name>``. Results go to the same folder.

    Raises:
        UserError: If the file cannot be downloaded or is not a safetensors file. It is not kept.
    """
    option = f"--ckpt_path {url}"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        name = parts.path.rpartition("/")[2]
    except ValueError as e:
        raise UserError(f"{option}: not a valid URL ({e}).") from e
    if parts.scheme not in ("http", "https") or not host:
        raise UserError(
            f"{option}: only http and https URLs can be downloaded. Download the file yourself and "
            "give its path."
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
            read_weights(file, option)
            os.replace(file, path)
    except UserError:
        raise
    except (OSError, OverflowError, http.client.HTTPException, ValueError) as e:
        reason = e.reason if isinstance(e, urllib.error.URLError) else e
        raise UserError(f"{option}: cannot be downloaded: {reason or type(e).__name__}.") from e
    finally:
        if not any(folder.iterdir()):
            folder.rmdir()
    return path


def _download(url: str, path: Path) -> None:
    """Download a URL to a file, up to the size limit."""
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, path.open("wb") as file:
        scheme = urlsplit(answer.url).scheme
        if scheme not in (urlsplit(url).scheme, "https"):  # from https to http, or to ftp
            raise ValueError(f"it redirects to {scheme}")
        if answer.headers.get_content_type() == "text/html":
            raise ValueError("it is a web page, not safetensors")
        if int(answer.headers.get("Content-Length") or 0) > MAX_SIZE:
            raise ValueError(f"it is larger than {MAX_SIZE >> 30} GB")
        size = 0
        while chunk := answer.read1(1 << 20):
            size += len(chunk)
            if size > MAX_SIZE:
                raise ValueError(f"it is larger than {MAX_SIZE >> 30} GB")
            file.write(chunk)
