"""Digits drawn with several pens on several papers, read by a LeNet that was trained on MNIST."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import QUIET, Run
from tests.drawing import draw_all

CPU = ["--trainer.accelerator", "cpu", *QUIET]


def write_drawings(folder: Path) -> None:
    """Draw every digit with every pen on every paper, 400 of them, a file each."""
    folder.mkdir()
    for i, drawing in enumerate(draw_all(seed=0)):
        suffix = ".jpg" if i % 2 else ".png"
        name = f"{drawing.digit}-{drawing.pen}-{drawing.paper}{suffix}"
        drawing.image.save(folder / name, compress_level=1)  # of PNG: ten times as fast as 6


@pytest.mark.mnist
def test_a_network_reads_digits_that_are_prepared_and_few_that_are_not(lenet: Run, mnist_run):
    run = shutil.copytree(mnist_run, Path("runs/LeNet-MNIST-1"))
    write_drawings(Path("drawn"))

    def read(*options: str) -> dict[str, bool]:
        done = lenet("predict", "--data.predict_path", "drawn", *options, *CPU)
        assert done.code == 0, done.err
        with (run / "own" / "predictions.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 400
        return {
            Path(row["path"]).name: Path(row["path"]).name[0] == row["prediction"] for row in rows
        }

    right = read()
    wrong = json.dumps([name for name, is_right in right.items() if not is_right])
    assert np.mean(list(right.values())) >= 0.95, wrong
    for place in (1, 2):  # no pen and no paper is bought with the others
        for kind in {name.split(".")[0].split("-")[place] for name in right}:
            of_it = [is_right for name, is_right in right.items() if f"-{kind}" in name]
            assert np.mean(of_it) >= 0.9, (kind, wrong)
    assert np.mean(list(read("--data.raw", "true").values())) < 0.4
