"""The page in a real browser: Debian's Chromium without a screen, with the internet cut off."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CHROMIUM = shutil.which("chromium")
LAPTOP = {"width": 1280, "height": 800}
# Strokes of the mouse, through points of the canvas from 0 to 100.
THREE = [[(30, 22), (50, 15), (67, 27), (60, 42), (45, 47), (64, 55), (68, 70), (52, 83), (30, 77)]]
SEVEN = [[(27, 20), (70, 18), (57, 48), (45, 82)]]


class Server:
    """``lenet demo`` as its user starts it, in a process of its own, and stops it with Ctrl-C."""

    def __init__(self, run: Path, data: Path):
        options = ["--ckpt_path", run.name, "--port", "0", "--open_browser", "false"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lenet", "demo", *options],
            cwd=run.parent,
            env={**os.environ, "PATH_DATASETS": str(data)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        found = re.search(r"http://\S+:\d+", said)
        if found is None:
            raise RuntimeError(said + self.stop()[1])
        self.url = found[0]

    def stop(self) -> tuple[str, str]:
        self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=20)


@contextmanager
def opened(url: str, colors: str = "light", scale: int = 1) -> Iterator[Any]:
    """Open a page that reaches nothing but this machine, and see to it that it tries nothing."""
    from playwright.sync_api import sync_playwright

    outside: list[str] = []

    def allow_here(route: Any) -> None:
        if urlsplit(route.request.url).hostname == "127.0.0.1":
            route.continue_()
        else:
            outside.append(route.request.url)
            route.abort()

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(
            viewport=LAPTOP, color_scheme=colors, device_scale_factor=scale
        )
        context.route("**/*", allow_here)
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        page.wait_for_selector(".answer")
        yield page
        browser.close()
    assert not outside
    assert not errors


def draw(page: Any, strokes: Sequence[Sequence[tuple[float, float]]], lift: bool = True) -> None:
    """Draw on the canvas with the mouse."""
    box = page.locator("canvas").bounding_box()
    for stroke in strokes:
        points = [
            (box["x"] + x * box["width"] / 100, box["y"] + y * box["height"] / 100)
            for x, y in stroke
        ]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=6)
        if lift:
            page.mouse.up()


def wait_for_answer(page: Any, answer: str) -> None:
    page.wait_for_function(
        "answer => document.querySelector('.said b').textContent === answer",
        arg=answer,
        timeout=5000,
    )
