"""Make the figures of docs/images out of a real MNIST run.

    python -m docs.make_figures [RUN]

Trains LeNet by configs/mnist.yaml and tests it, which takes two minutes, unless the folder of a run
is given that was tested; then the network of 1998, for three epochs. MNIST is looked for, or
downloaded, as always. The page of `lenet demo` is photographed in Chromium, as by its tests, where
there is one.
"""

import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from docs.lessons import draw_codes, draw_convolution, draw_distortions, draw_patch
from docs.make_screenshot import make_screenshot
from tests.browser import CHROMIUM
from tests.drawing import draw as draw_digit

DOCS = Path(__file__).parent
PICTURES = ("curves", "filters", "features", "test_confusion", "test_mistakes", "predictions")
# Digit, pen and paper of each drawing.
DRAWINGS = (
    *((0, "pencil", "grain"), (1, "pen", "dusty"), (2, "soft", "dark"), (3, "pen", "shadow")),
    *((4, "thin", "white"), (5, "pen", "gradient"), (6, "soft", "gray"), (8, "thick", "colored")),
)


def call(*arguments: str | Path) -> None:
    """Run a command of the program's."""
    subprocess.run([sys.executable, "-m", "lenet", *map(str, arguments)], check=True)


def take(picture: Path, name: str, colors: int | None = 128) -> None:
    """Take over a picture, in no more colors than it needs, or in all of them."""
    with Image.open(picture) as image:
        few = image.convert("RGB")
        if colors is not None:
            few = few.quantize(colors, dither=Image.Dither.NONE)
        few.save(DOCS / "images" / f"{name}.png", optimize=True)


def predict_drawings(run: Path, folder: Path) -> Path:
    """Draw digits with several pens on several papers, and have them read."""
    folder.mkdir()
    rng = np.random.default_rng(4)
    for digit, pen, paper in DRAWINGS:
        name = paper if pen in ("pen", "soft") else pen
        draw_digit(digit, pen, paper, rng).image.save(folder / f"{digit} {name}.png")
    call("predict", "--ckpt_path", run, "--data.predict_path", folder)
    return run / "own" / "predictions.png"


def train_lenet5(folder: Path) -> Path:
    """Train the network of 1998 for three epochs, which is enough to see what it does."""
    config = DOCS.parent / "configs" / "lenet5-1998.yaml"
    short = ("--trainer.max_epochs", "3", "--trainer.default_root_dir", folder)
    call("fit", "--config", config, *short)
    return folder / "LeNet5-MNIST-1"


def main() -> None:
    """Make all of them."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "LeNet-MNIST-1"
        if len(sys.argv) > 1:
            shutil.copytree(sys.argv[1], run)  # which stays as it is
        else:
            config = DOCS.parent / "configs" / "mnist.yaml"
            call("run", "--config", config, "--trainer.default_root_dir", folder)
        for name in PICTURES:
            take(run / f"{name}.png", name)
        made, lenet5 = Path(folder) / "made.png", train_lenet5(Path(folder))
        lessons = {
            "patch": partial(draw_patch, run),
            "convolution": partial(draw_convolution, run),
            "distortions": draw_distortions,
            "codes": partial(draw_codes, lenet5),
        }
        for name, lesson in lessons.items():
            lesson(made)
            take(made, name, colors=None)  # gray beside red and blue, which mean something
        take(predict_drawings(run, Path(folder) / "drawn"), "own")
        if CHROMIUM is None:
            print("docs/images/demo.png is left as it is: there is no chromium.")
        else:
            make_screenshot(run)


main()
