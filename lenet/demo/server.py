"""Serving the page on this machine."""

import errno
import os
import socket
import sys
import time
import webbrowser
from pathlib import Path

from lenet.data import ImageDataModule
from lenet.errors import UserError
from lenet.models import ImageClassifier

__all__ = ["free_port", "serve"]

FIRST_PORT = 7860
LAST_PORT = 7959  # Gradio's default range
FONTS = ("system-ui", "sans-serif")
FIXED_FONTS = ("ui-monospace", "monospace")


def serve(
    model: ImageClassifier,
    data: ImageDataModule,
    checkpoint: Path | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
    once: bool = False,
) -> None:
    """Serve the page of a trained model until Ctrl-C.

    Args:
        model: The trained model.
        data: Data module that it was trained on.
        checkpoint: File of its weights, shown on the page.
        host: Address to listen on.
        port: Port to listen on. 0 means any free port. By default the first free port of Gradio's
            range.
        open_browser: Whether to open the page in a browser, if there is a screen.
        once: Whether to stop as soon as the server runs.

    Raises:
        UserError: If Gradio is missing, or the address or port is not available.
    """
    data.match_size(model)
    # No telemetry and no version checks. Gradio reads these variables when it is imported.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        from gradio.themes import Default
    except ModuleNotFoundError as e:
        raise UserError(
            f"lenet demo needs Gradio ({e.name} is missing). Run pip install 'lenet[demo]'."
        ) from e
    from lenet.demo.page import Page
    from lenet.demo.reader import Reader

    port = free_port(host, port)
    name = f"[{host}]" if ":" in host else host  # IPv6 addresses need brackets in a URL
    page = Page(Reader(model, data), checkpoint).build()
    # Gradio checks its own server with a request that must not go through a proxy.
    os.environ["NO_PROXY"] = f"{os.environ.get('NO_PROXY', '')},{host},localhost,127.0.0.1"
    page.launch(
        server_name=name,
        server_port=port,
        share=False,
        inbrowser=False,
        prevent_thread_lock=True,
        quiet=True,
        show_error=True,
        ssr_mode=False,  # needs Node
        footer_links=[],
        theme=Default(font=FONTS, font_mono=FIXED_FONTS),
        css_paths=Path(__file__).parent / "page.css",
    )
    url = f"http://{name}:{port}"
    try:
        print(f"Serving the page at {url}. Press Ctrl-C to stop.", flush=True)
        if once:
            return
        if open_browser and _has_screen():
            webbrowser.open(url)
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print("\nStopped.", flush=True)
    finally:
        page.close(verbose=False)


def free_port(host: str, port: int | None) -> int:
    """Find the port to listen on.

    Raises:
        UserError: If the port is in use, or the address does not belong to this machine.
    """
    if port is not None and not 0 <= port <= 65535:
        raise UserError(f"--port {port}: must be from 0 to 65535.")
    for candidate in range(FIRST_PORT, LAST_PORT + 1) if port is None else [port]:
        try:
            family = socket.getaddrinfo(host, candidate, type=socket.SOCK_STREAM)[0][0]
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                if os.name != "nt":  # on Windows it would allow a port that is in use
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, candidate))
                return probe.getsockname()[1]
        except OSError as e:
            if e.errno == errno.EACCES:
                raise UserError(
                    f"--port {candidate}: not permitted. Use a port from 1024 to 65535."
                ) from e
            if e.errno != errno.EADDRINUSE:
                raise UserError(
                    f"--host {host}: not an address of this machine ({e.strerror}). Leave it out "
                    "to serve only this machine, or use --host 0.0.0.0 to serve the network."
                ) from e
    if port is None:
        raise UserError(
            f"all ports from {FIRST_PORT} to {LAST_PORT} are in use. Use --port 0 for any free one."
        )
    raise UserError(f"--port {port}: already in use. Leave it out for the next free port.")


def _has_screen() -> bool:
    """Return whether there is a screen. A browser in the terminal does not count."""
    if sys.platform in ("win32", "darwin", "cygwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
