"""Make docs/images/demo.png: the page of `lenet demo`, with a 3 drawn on it.

    python -m docs.make_screenshot RUN

RUN is the folder of a tested MNIST run. Needs Chromium, as the tests of the page do.
"""

import os
import sys
from pathlib import Path

from PIL import Image

from tests.browser import THREE, Server, draw, opened, wait_for_answer

IMAGE = Path(__file__).parent / "images" / "demo.png"


def make_screenshot(run: Path, path: Path = IMAGE, colors: str = "light") -> None:
    """Serve a run's page, draw on it, and take its picture in no more colors than it needs."""
    server = Server(run.absolute(), Path(os.environ.get("PATH_DATASETS", "data")).absolute())
    path.parent.mkdir(exist_ok=True)
    try:
        with opened(server.url, colors) as page:
            draw(page, THREE)
            wait_for_answer(page, "3")
            page.mouse.move(640, 5)
            page.wait_for_timeout(1000)
            page.screenshot(path=path)
    finally:
        server.stop()
    with Image.open(path) as image:
        few = image.convert("RGB").quantize(128, dither=Image.Dither.NONE)
        few.save(path, optimize=True)


if __name__ == "__main__":
    make_screenshot(Path(sys.argv[1]))
