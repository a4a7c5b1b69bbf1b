"""Make the figures of docs/images out of a real MNIST run.

    python docs/make_figures.py [RUN]

Trains LeNet by configs/mnist.yaml and tests it, which takes two minutes, unless the folder of a run
is given that has its pictures already. MNIST is looked for, or downloaded, as always.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
PICTURES = ("curves", "filters", "features", "test_confusion", "test_mistakes")


def train(root: str) -> Path:
    """Train and measure LeNet on MNIST, and give the run's folder."""
    config = str(DOCS.parent / "configs" / "mnist.yaml")
    command = [sys.executable, "-m", "lenet", "run", "--config", config]
    subprocess.run([*command, "--trainer.default_root_dir", root], check=True)
    return Path(root) / "LeNet-MNIST-1"


def take(run: Path) -> None:
    """Take over a run's pictures, in no more colours than they need."""
    (DOCS / "images").mkdir(exist_ok=True)
    for name in PICTURES:
        with Image.open(run / f"{name}.png") as image:
            few = image.convert("RGB").quantize(128, dither=Image.Dither.NONE)
            few.save(DOCS / "images" / f"{name}.png", optimize=True)


def main() -> None:
    """Do both, or only the second where a run is given."""
    if len(sys.argv) > 1:
        take(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as root:
        take(train(root))


main()
