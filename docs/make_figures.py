"""Make the figures of docs/images out of a real MNIST run.

    python docs/make_figures.py [RUN]

Trains LeNet by configs/mnist.yaml and tests it, which takes two minutes, unless the folder of a run
is given that was tested. MNIST is looked for, or downloaded, as always. The page of `lenet demo` is
photographed in Chromium, as by its tests, where there is one.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

from docs.make_screenshot import make_screenshot  # noqa: E402
from lenet import MNIST, load  # noqa: E402
from lenet.callbacks.drawing import draw, show  # noqa: E402
from tests.browser import CHROMIUM  # noqa: E402
from tests.drawing import draw as draw_digit  # noqa: E402

PICTURES = ("curves", "filters", "features", "test_confusion", "test_mistakes", "predictions")
# Digit, pen and paper of each drawing.
DRAWINGS = (
    *((0, "pencil", "grain"), (1, "pen", "dusty"), (2, "soft", "dark"), (3, "pen", "shadow")),
    *((4, "thin", "white"), (5, "pen", "gradient"), (6, "soft", "grey"), (8, "thick", "coloured")),
)


def call(*arguments: str | Path) -> None:
    """Run a command of the program's."""
    subprocess.run([sys.executable, "-m", "lenet", *map(str, arguments)], check=True)


def take(picture: Path, name: str) -> None:
    """Take over a picture, in no more colours than it needs."""
    with Image.open(picture) as image:
        few = image.convert("RGB").quantize(128, dither=Image.Dither.NONE)
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


def draw_convolution(run: Path, path: Path) -> None:
    """Draw what two kernels of the first layer make of a test image: sums, activation, pooling."""
    model, data = load(run), MNIST()
    images = data.to_size(data.read(train=False)[0][:1])  # a 7
    with torch.no_grad():
        pixels = data.normalize(images, model.input_range)
        layers = list(model.network)[:3]
        sums, kept, pooled = (nn.Sequential(*layers[: i + 1])(pixels)[0] for i in range(3))
    kernels = layers[0].weight.detach()[:, 0]
    # The two kernels that are the most unlike each other.
    alike = torch.corrcoef(kernels.flatten(1))
    chosen = divmod(int(alike.argmin()), len(kernels))

    def picture(figure: Figure) -> None:
        titles = ("image", "kernel", "convolution", "activation", "pooling")
        for row, axes in zip(chosen, figure.subplots(2, len(titles)), strict=True):
            maps = (images[0, 0], kernels[row], sums[row], kept[row], pooled[row])
            for axis, title, shown in zip(axes, titles, maps, strict=True):
                limit = float((kernels if title == "kernel" else sums)[row].abs().max())
                grey = {"cmap": "gray", "vmin": 0, "vmax": 255}
                signed = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
                show(axis, shown, **(grey if title == "image" else signed))
                height, width = shown.shape
                axis.set_title(f"{title}\n{height}x{width}")

    draw(path, (8.2, 3.7), picture)


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
        draw_convolution(run, Path(folder) / "convolution.png")
        take(Path(folder) / "convolution.png", "convolution")
        take(predict_drawings(run, Path(folder) / "drawn"), "own")
        if CHROMIUM is None:
            print("docs/images/demo.png is left as it is: there is no chromium.")
        else:
            make_screenshot(run)


main()
