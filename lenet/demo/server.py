"""Serves the page on this machine, until it is stopped."""

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
LAST_PORT = 7959  # Gradio's own ports
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
        model: The model, with its weights.
        data: What it was trained on.
        checkpoint: What its weights were loaded from, to be named on the page.
        host: Address to listen on.
        port: Port to listen on, 0 for any, or none for the first free one of Gradio's.
        open_browser: Whether to open the page in a browser, where there is a screen.
        once: Whether to stop as soon as it is up.

    Raises:
        UserError: If Gradio is missing, or the address or port cannot be had.
    """
    data.match_size(model)
    # Nothing is told to anybody, and nothing is asked for. Read by Gradio when it is imported.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        from gradio.themes import Default
    except ModuleNotFoundError as e:
        raise UserError(
            f"lenet demo needs Gradio ({e.name} is missing): pip install 'lenet[demo]'."
        ) from e
    from lenet.demo.page import Page
    from lenet.demo.reader import Reader

    port = free_port(host, port)
    name = f"[{host}]" if ":" in host else host  # as an address of IPv6 is written in a URL
    page = Page(Reader(model, data), checkpoint).build()
    # Gradio asks its own server whether it is up, which is no business of a proxy.
    os.environ["NO_PROXY"] = f"{os.environ.get('NO_PROXY', '')},{host},localhost,127.0.0.1"
    page.launch(
        server_name=name,
        server_port=port,
        share=False,
        inbrowser=False,
        prevent_thread_lock=True,
        quiet=True,
        show_error=True,
        ssr_mode=False,  # would need Node
        footer_links=[],
        theme=Default(font=FONTS, font_mono=FIXED_FONTS),
        css_paths=Path(__file__).parent / "page.css",
    )
    url = f"http://{name}:{port}"
    try:
        print(f"The page is at {url}. Ctrl-C stops it.", flush=True)
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
        UserError: If it is taken, or the address is none of this machine's.
    """
    if port is not None and not 0 <= port <= 65535:
        raise UserError(f"--port {port}: must be from 0 to 65535.")
    for candidate in range(FIRST_PORT, LAST_PORT + 1) if port is None else [port]:
        try:
            family = socket.getaddrinfo(host, candidate, type=socket.SOCK_STREAM)[0][0]
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                if os.name != "nt":  # where it would let a taken port pass
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, candidate))
                return probe.getsockname()[1]
        except OSError as e:
            if e.errno == errno.EACCES:
                raise UserError(f"--port {candidate}: may not be used by you. Take another.") from e
            if e.errno != errno.EADDRINUSE:
                raise UserError(
                    f"--host {host}: no address of this machine ({e.strerror}). Leave it out for "
                    "this machine alone, or give 0.0.0.0 for whoever can reach it."
                ) from e
    if port is None:
        raise UserError(
            f"all ports from {FIRST_PORT} to {LAST_PORT} are taken: give another with --port."
        )
    raise UserError(f"--port {port}: is taken. Leave it out for the next free one.")


def _has_screen() -> bool:
    """Tell whether a browser would have somewhere to open: one in the terminal is not meant."""
    if sys.platform in ("win32", "darwin", "cygwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
