"""What is measured: a method a measurement, each of which gives rows of the table."""

import contextlib
import json
import os
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.table import Row, faster, times
from tests.benchmarks.terminal import PYTHON, terminal

__all__ = ["FILES", "Bench"]

LENET = [*PYTHON, "-m", "lenet"]
TUTORIAL = "tests/benchmarks/tutorial.py"
CLOCK = "tests.benchmarks.clock."
MNIST, FAST = "configs/mnist.yaml", "configs/mnist-fast.yaml"
AFFINE = [
    *("--data.rotation", "10", "--data.scaling", "0.1", "--data.shear", "5"),
    *("--data.translation", "2"),
]
# What the program imports that is not its own.
IMPORTS = "import lightning.pytorch.cli, torchmetrics, torchvision, torch.utils.tensorboard"
FILES = [
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
]


class Bench:
    """The measurements.

    Args:
        rounds: Turns of each, or a few more where they are short.
        seeds: Trainings of the fast configuration.
        gpu: Name of the GPU, if there is one.
        folder: Folder for the runs.
    """

    def __init__(self, rounds: int, seeds: int, gpu: str | None, folder: Path):
        self.rounds, self.seeds, self.gpu_name, self.folder = rounds, seeds, gpu, folder
        self.output = folder / "clock.json"
        self.peak = 0.0

    def epoch(self) -> Iterator[Row]:
        """An epoch with everything on, against the bare loop."""
        for against, what in (
            ("bare", "an epoch of mnist.yaml with everything on, against bare"),
            ("tuned", "the same, against bare with channels-last and fused Adam"),
        ):
            found = self.clocked("EpochClock", MNIST, 3 * self.rounds + 1, against=against)
            reach = "at most 1.20 times (1.05)" if against == "bare" else "for information"
            yield Row(what, times(*found), reach, *found)

    def tutorial(self) -> Iterator[Row]:
        """An epoch with everything on, against the tutorials' way."""
        for batch_size in (64, 32):
            options = ["--data.batch_size", str(batch_size)]
            ours, tuned, base = [], [], []
            for seed in range(self.rounds):
                found = self.clocked("EpochClock", MNIST, 2, *options, against="tuned")
                ours, tuned = ours + found[0], tuned + found[1]
                terminal(PYTHON, TUTORIAL, self.output, seed, batch_size, 1)
                base += json.loads(self.output.read_text())["epochs"]
            what = f"the same, against tutorial, both at batch {batch_size}"
            reach = "at least 4 times as fast (6)"
            yield Row(what, faster(ours, base), reach, ours, base)
            what = (
                f"bare with channels-last and fused Adam, against tutorial, at batch {batch_size}"
            )
            yield Row(what, faster(tuned, base), "for information: the limit", tuned, base)

    def fast(self) -> Iterator[Row]:
        """The fast configuration: accuracy and training time."""
        ours, base, accuracies = [], [], []
        for seed in range(self.seeds):
            run = self.folder / f"fast-{seed}"
            options = ["--seed_everything", str(seed), "--trainer.default_root_dir", str(run)]
            found = self.clocked("TrainingClock", FAST, None, *options, verb="run")
            ours, base = ours + found[0], base + found[1]
            [result] = run.glob("*/test.json")
            accuracies.append(100 * json.loads(result.read_text())["test/accuracy"])
        spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
        what = f"mnist-fast.yaml: mean test accuracy of {self.seeds} seeds"
        note = f"{min(accuracies):.2f} to {max(accuracies):.2f} %"
        figure = f"{statistics.mean(accuracies):.2f} +- {spread:.2f} %"
        yield Row(what, figure, "at least 99.0 %", accuracies, unit="%", note=note)
        what = "mnist-fast.yaml: training time, against an epoch of bare at batch 64"
        reach = "at most 2 epochs (1)"
        reach += "; 1 s on a GPU (0.1 s)" if self.gpu_name else ""
        yield Row(what, times(ours, base), reach, ours, base)

    def cold(self) -> Iterator[Row]:
        """A whole cold process of the fast configuration, against the tutorials' program."""
        ours, base, epochs = [], [], []
        for seed in range(self.rounds):
            root = ["--trainer.default_root_dir", self.folder]
            options = ["--config", FAST, "--seed_everything", seed, *root]
            ours.append(terminal(LENET, "run", *options).seconds)
            whole = terminal(PYTHON, TUTORIAL, self.output, seed, 64, 40, 0.99).seconds
            found = json.loads(self.output.read_text())
            base.append(whole - found["not_counted"])
            # One that never got there makes the figure a lower bound, which is said.
            reached = found["accuracies"][-1] >= 0.99
            epochs.append(f"{'' if reached else 'more than '}{len(found['epochs'])}")
        what = "mnist-fast.yaml, cold process, against tutorial to 99.0 %, both with their test"
        reach = "at least 12 times as fast (25)"
        note = f"epochs of tutorial: {', '.join(epochs)}"
        yield Row(what, faster(ours, base), reach, ours, base, note=note)

    def evaluation(self) -> Iterator[Row]:
        """Evaluation of 10,000 images, against bare inference."""
        self.clocked("EpochClock", MNIST, 1, against="nothing")
        for verb in ("test", "predict"):
            ours, base = [], []
            for _ in range(3 * self.rounds):
                found = self.clocked("EvaluationClock", None, None, verb=verb)
                ours += found[0]
                base.append(statistics.median(found[1]))
            what = f"{verb} on 10,000 images without start-up, against bare at the same batch size"
            yield Row(what, times(ours, base), "at most 1.3 times (1.1)", ours, base)

    def augmentation(self) -> Iterator[Row]:
        """An epoch with random distortions, against one without."""
        epochs = 4 * self.rounds + 2
        found = self.clocked("EpochClock", MNIST, epochs, *AFFINE, against="plain")
        what = "an epoch with random affine distortions, against one without"
        yield Row(what, times(*found), "at most 1.6 times (1.25)", *found)

    def start(self) -> Iterator[Row]:
        """How long it takes to answer."""
        ours, base, version = [], [], []
        for _ in range(3 * self.rounds):
            version.append(terminal(LENET, "--version").seconds)
            ours.append(terminal(LENET, "fit", "--help").seconds)
            base.append(terminal(PYTHON, "-c", "import lightning.pytorch.cli").seconds)
        figure = f"{statistics.median(version):.3f} s"
        yield Row("lenet --version", figure, "0.2 s (0.05 s)", version)
        what = "lenet fit --help, against importing lightning.pytorch.cli"
        yield Row(what, times(ours, base), "at most 1.25 times (1)", ours, base)

    def threads(self) -> Iterator[Row]:
        """Steps with the number of threads that is chosen, beside other busy programs."""
        for neighbors in (0, 1, 2, 4):
            ours, base = [], []
            with busy(neighbors):
                for _ in range(2 * self.rounds):
                    found = self.clocked("ThreadsClock", MNIST, 1)
                    ours, base = ours + found[0], base + found[1]
            what = f"a step beside {neighbors} busy programs, against the better of 1 and 2 threads"
            yield Row(what, times(ours, base), "at most 1.3 times", ours, base)

    def memory(self) -> Iterator[Row]:
        """Memory of a training."""
        ours, base = [], []
        for _ in range(self.rounds):
            root = ["--trainer.default_root_dir", self.folder]
            ours.append(terminal(LENET, "fit", "--config", MNIST, *root).peak)
            base.append(terminal(PYTHON, "-c", IMPORTS).peak)
        above = statistics.median(a - b for a, b in zip(ours, base, strict=True))
        what = "peak memory of lenet fit, above that of its imports"
        yield Row(what, f"{above:.0f} MB", "250 MB (120 MB)", ours, base, unit="MB")

    def tenfold(self) -> Iterator[Row]:
        """Ten times the images."""
        folder = self.folder / "tenfold"
        more = write_tenfold(folder / "MNIST" / "raw")
        times_ten = ["--data.root", folder, "--data.val_size", "50000"]
        ours, base, peaks = [], [], []
        # An epoch of ten times the images is long: it is compared with five before and five after.
        one = statistics.mean(self.clocked("EpochClock", MNIST, 5, against="nothing")[0])
        for _ in range(self.rounds):
            peak_of_one = self.peak
            ours += self.clocked("EpochClock", MNIST, 1, *times_ten, against="nothing")[0]
            peaks.append((self.peak, peak_of_one))
            before = one
            one = statistics.mean(self.clocked("EpochClock", MNIST, 5, against="nothing")[0])
            base.append((before + one) / 2)
        what = "an epoch with ten times the images, against one with all images once"
        yield Row(what, times(ours, base), "at most 10.5 times", ours, base)
        above = statistics.median(1e6 * (ten - one) / more / 784 for ten, one in peaks)
        what = "memory with ten times the images, per additional pixel"
        ours, base = map(list, zip(*peaks, strict=True))
        figure = f"{above:.2f} bytes"
        yield Row(what, figure, "one byte per pixel for the data", ours, base, unit="MB")

    def gpu(self) -> Iterator[Row]:
        """An epoch on a GPU, where one is at hand."""
        what, reach = "an epoch at batch 512 on a GPU, against bare", "0.5 s (0.1 s)"
        if self.gpu_name is None:
            yield Row(what, "not measured", reach, note="no GPU available")
            return
        options = ["--data.batch_size", "512"]
        found = self.clocked("EpochClock", MNIST, 3 * self.rounds + 1, *options, against="bare")
        figure = f"{statistics.median(found[0]):.2f} s"
        yield Row(what, figure, reach, *found, note=self.gpu_name)

    def clocked(
        self,
        clock: str,
        config: str | None,
        epochs: int | None,
        *options: Any,
        verb: str = "fit",
        against: str | None = None,
    ) -> tuple[list[float], list[float]]:
        """Run lenet with a clock in it, and give its times and those beside them."""
        args = [verb, "--trainer.callbacks+", CLOCK + clock, "--trainer.callbacks.output"]
        args.append(str(self.output))
        if against is not None:
            args += ["--trainer.callbacks.against", against]
        if config is not None:
            args += ["--config", config]
        if epochs is not None:
            args += ["--trainer.max_epochs", str(epochs), "--early_stopping.patience", "999"]
        if "--trainer.default_root_dir" not in options:
            args += ["--trainer.default_root_dir", str(self.folder)]
        self.peak = terminal(LENET, *args, *options).peak
        found = json.loads(self.output.read_text())
        self.output.unlink()
        return found["ours"], found["base"]


@contextlib.contextmanager
def busy(number: int) -> Iterator[None]:
    """Keep so many cores busy meanwhile, each with a program that only counts."""
    neighbors = [subprocess.Popen([*PYTHON, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for neighbor in neighbors:
            neighbor.kill()
            neighbor.wait()


def write_tenfold(folder: Path) -> int:
    """Write MNIST's files with the training images ten times over.

    Returns:
        The images that there are more.
    """
    source = Path(os.environ["PATH_DATASETS"]) / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name in FILES:
        content = (source / name).read_bytes()
        start = 16 if "images" in name else 8
        count = int.from_bytes(content[4:8], "big")
        if "train" in name:
            header = content[:4] + (10 * count).to_bytes(4, "big") + content[8:start]
            content = header + 10 * content[start:]
        (folder / name).write_bytes(content)
    return 9 * 60_000
