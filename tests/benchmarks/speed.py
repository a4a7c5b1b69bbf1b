"""How fast lenet is, against a bare PyTorch loop and the tutorials' way, measured in one run.

    python tests/benchmarks/speed.py                       # everything, about 50 minutes
    python tests/benchmarks/speed.py epoch start           # some of it
    python tests/benchmarks/speed.py --rounds 1 --seeds 2  # a first look

Each turn of lenet's is followed by one of what it is compared with, several times, and what counts
is the median of the ratios. lenet runs as its users run it, in a terminal with its progress bar.
The table is printed, and written as JSON with every single time. docs/benchmarks.md says how to
read it.
"""

import argparse
import json
import os
import platform
import pty
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TUTORIAL = "tests/benchmarks/tutorial.py"
CLOCK = "tests.benchmarks.clock."
MNIST, FAST = "configs/mnist.yaml", "configs/mnist-fast.yaml"
AFFINE = [
    *("--data.rotation", "10", "--data.scaling", "0.1", "--data.shear", "5"),
    *("--data.translation", "2"),
]
PYTHON = [sys.executable]
LENET = [sys.executable, "-m", "lenet"]
# What the program imports that is not its own.
IMPORTS = "import lightning.pytorch.cli, torchmetrics, torchvision, torch.utils.tensorboard"


@dataclass
class Row:
    """A line of the table.

    Args:
        what: What was measured.
        unit: Of ``ours`` and ``base``: seconds unless it says otherwise.
        ours: Each turn of lenet's.
        base: Each turn of what it is compared with, in pairs with ``ours``.
        ratio: The figure that counts.
        reach: What is to be reached, as the table says it.
        note: What else is to be known.
    """

    what: str
    ratio: str
    reach: str
    ours: list[float] = field(default_factory=list)
    base: list[float] = field(default_factory=list)
    unit: str = "s"
    note: str = ""


@dataclass
class Finished:
    """A process that has ended: its time in seconds, and the most memory it had, in MB."""

    seconds: float
    peak: float


class Bench:
    """The measurements, one a method.

    Args:
        rounds: Turns of each, or a few more where they are short.
        seeds: Trainings of the fast configuration.
        about: What is known of the machine.
        folder: Folder for the runs.
    """

    def __init__(self, rounds: int, seeds: int, about: dict[str, Any], folder: Path):
        self.about = about
        self.rounds, self.seeds, self.folder = rounds, seeds, folder
        self.output = folder / "clock.json"

    def epoch(self) -> Iterator[Row]:
        """An epoch with everything on, against the bare loop."""
        for against, what in (
            ("bare", "an epoch of mnist.yaml with everything on, against bare"),
            ("tuned", "the same, against bare with channels-last and fused Adam"),
        ):
            found = self.clocked("EpochClock", MNIST, 3 * self.rounds + 1, against=against)
            reach = "at most 1.20 times, beyond 1.05" if against == "bare" else "for information"
            yield Row(what, times(*found), reach, *found)

    def tutorial(self) -> Iterator[Row]:
        """An epoch with everything on, against the tutorials' way."""
        for batch_size in (64, 32):
            options = ["--data.batch_size", str(batch_size)]
            ours, base = [], []
            for _ in range(self.rounds):
                found = self.clocked("EpochClock", MNIST, 2, *options, against="nothing")
                ours += found[0]
                self.terminal(PYTHON, TUTORIAL, self.output, batch_size, 1)
                base += json.loads(self.output.read_text())["epochs"]
            what = f"the same, against tutorial, both at batch {batch_size}"
            yield Row(what, faster(ours, base), "at least 4 times as fast, beyond 6", ours, base)

    def fast(self) -> Iterator[Row]:
        """The fast configuration: accuracy and training time."""
        ours, base, accuracies = [], [], []
        for seed in range(self.seeds):
            run = self.folder / f"fast-{seed}"
            options = ["--seed_everything", str(seed), "--trainer.default_root_dir", str(run)]
            found = self.clocked("TrainingClock", FAST, None, *options, verb="run")
            ours, base = ours + found[0], base + found[1]
            result = next(run.glob("*/test.json"))
            accuracies.append(100 * json.loads(result.read_text())["test/accuracy"])
        mean = statistics.mean(accuracies)
        spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
        what = f"mnist-fast.yaml: mean test accuracy of {self.seeds} seeds"
        least = f"{min(accuracies):.2f} to {max(accuracies):.2f}"
        figure = f"{mean:.2f} +- {spread:.2f} %"
        yield Row(what, figure, "at least 99.0 %", accuracies, unit="%", note=least)
        ratio = statistics.median(a / b for a, b in zip(ours, base, strict=True))
        what = "mnist-fast.yaml: training time, in epochs of bare at batch 64"
        yield Row(what, f"{ratio:.2f} epochs", "at most 2 epochs, beyond 1", ours, base)

    def cold(self) -> Iterator[Row]:
        """A whole cold process of the fast configuration, against the tutorials' program."""
        ours, base, epochs = [], [], []
        for _ in range(self.rounds):
            root = ["--trainer.default_root_dir", self.folder]
            ours.append(self.terminal(LENET, "run", "--config", FAST, *root).seconds)
            whole = self.terminal(PYTHON, TUTORIAL, self.output, 64, 30, 0.99).seconds
            found = json.loads(self.output.read_text())
            base.append(whole - found["not_counted"])
            epochs.append(f"{len(found['epochs'])} ({100 * found['accuracies'][-1]:.2f} %)")
        what = "mnist-fast.yaml, cold process, fit and test, against tutorial until 99.0 %"
        reach = "at least 12 times as fast, beyond 25"
        note = f"epochs of tutorial: {', '.join(epochs)}"
        yield Row(what, faster(ours, base), reach, ours, base, note=note)

    def evaluation(self) -> Iterator[Row]:
        """Evaluation of 10,000 images, against bare inference."""
        self.clocked("EpochClock", MNIST, 1, against="nothing")
        for verb in ("test", "predict"):
            ours, base = [], []
            for _ in range(2 * self.rounds):
                found = self.clocked("EvaluationClock", None, None, verb=verb)
                ours += found[0]
                base.append(statistics.median(found[1]))
            what = f"{verb} on 10,000 images without start-up, against bare inference"
            yield Row(what, times(ours, base), "at most 1.3 times, beyond 1.1", ours, base)

    def augmentation(self) -> Iterator[Row]:
        """An epoch with random distortions, against one without."""
        epochs = 2 * self.rounds + 2
        found = self.clocked("EpochClock", MNIST, epochs, *AFFINE, against="plain")
        what = "an epoch with random affine distortions, against one without"
        yield Row(what, times(*found), "at most 1.6 times, beyond 1.25", *found)

    def start(self) -> Iterator[Row]:
        """How long it takes to answer."""
        ours, base, version = [], [], []
        for _ in range(3 * self.rounds):
            version.append(self.terminal(LENET, "--version").seconds)
            ours.append(self.terminal(LENET, "fit", "--help").seconds)
            base.append(self.terminal(PYTHON, "-c", "import lightning.pytorch.cli").seconds)
        figure = f"{statistics.median(version):.3f} s"
        yield Row("lenet --version", figure, "0.2 s, beyond 0.05 s", version)
        what = "lenet fit --help, against importing lightning.pytorch.cli"
        yield Row(what, times(ours, base), "at most 1.25 times, beyond 1", ours, base)

    def memory(self) -> Iterator[Row]:
        """Memory of a training."""
        ours, base = [], []
        for _ in range(self.rounds):
            root = ["--trainer.default_root_dir", self.folder, "--trainer.max_epochs", "1"]
            ours.append(self.terminal(LENET, "fit", "--config", MNIST, *root).peak)
            base.append(self.terminal(PYTHON, "-c", IMPORTS).peak)
        above = statistics.median(a - b for a, b in zip(ours, base, strict=True))
        what = "peak memory of lenet fit, above that of its imports"
        yield Row(what, f"{above:.0f} MB", "250 MB, beyond 120 MB", ours, base, unit="MB")

    def tenfold(self) -> Iterator[Row]:
        """Ten times the images."""
        folder = self.folder / "tenfold"
        images = write_tenfold(folder / "MNIST" / "raw")
        times_ten = ["--data.root", folder, "--data.val_size", "50000"]
        ours, base, peaks = [], [], []
        for _ in range(self.rounds):
            base += self.clocked("EpochClock", MNIST, 2, against="nothing")[0]
            one = self.last.peak
            ours += self.clocked("EpochClock", MNIST, 2, *times_ten, against="nothing")[0]
            peaks.append((self.last.peak, one))
        what = "ten times the images: time for an epoch, against ten times one"
        ratio = f"{statistics.median(a / b for a, b in zip(ours, base, strict=True)):.2f} times"
        yield Row(what, ratio, "at most 10.5 times", ours, base)
        above = statistics.median(1e6 * (ten - one) / images / 784 for ten, one in peaks)
        what = "ten times the images: memory for each further pixel"
        figure = f"{above:.2f} bytes"
        ours, base = map(list, zip(*peaks, strict=True))
        yield Row(what, figure, "data at one byte a pixel", ours, base, unit="MB")

    def gpu(self) -> Iterator[Row]:
        """An epoch on a GPU, where one is at hand."""
        if self.about["gpu"] is None:
            yield Row("one GPU", "not measured", "0.5 s, beyond 0.1 s", note="no GPU at hand")
            return
        options = ["--data.batch_size", "512"]
        found = self.clocked("EpochClock", MNIST, 3 * self.rounds + 1, *options, against="bare")
        figure = f"{statistics.median(found[0]):.2f} s"
        yield Row("an epoch at batch 512", figure, "0.5 s, beyond 0.1 s", *found)

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
        self.last = self.terminal(LENET, *args, *options)
        found = json.loads(self.output.read_text())
        self.output.unlink()
        return found["ours"], found["base"]

    def terminal(self, program: list[str], *args: Any) -> Finished:
        """Run a program in a terminal of its own, and see to it that it succeeds."""
        command = [*program, *map(str, args)]
        start = time.perf_counter()
        pid, screen = pty.fork()
        if pid == 0:
            os.chdir(ROOT)
            os.execvpe(command[0], command, {**os.environ, "COLUMNS": "100", "LINES": "40"})
        said = b""
        while True:
            try:
                part = os.read(screen, 1 << 16)
            except OSError:  # Linux says so when the other end is closed
                break
            if not part:
                break
            said += part
        _, status, usage = os.wait4(pid, 0)
        elapsed = time.perf_counter() - start
        os.close(screen)
        if status:
            raise SystemExit(f"{said.decode(errors='replace')}\n{' '.join(command)} failed")
        unit = 1e6 if sys.platform == "darwin" else 1e3  # of ru_maxrss in a MB
        return Finished(elapsed, usage.ru_maxrss / unit)


def times(ours: list[float], base: list[float]) -> str:
    """Say how many times the baseline's time is ours."""
    return f"{statistics.median(a / b for a, b in zip(ours, base, strict=True)):.2f} times"


def faster(ours: list[float], base: list[float]) -> str:
    """Say how many times as fast we are."""
    ratio = statistics.median(b / a for a, b in zip(ours, base, strict=True))
    return f"{ratio:.1f} times as fast"


def write_tenfold(folder: Path) -> int:
    """Write MNIST's files with the training images ten times over.

    Returns:
        The images that there are more.
    """
    source = Path(os.environ.get("PATH_DATASETS", "data")) / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for file in source.glob("*-ubyte"):
        content = file.read_bytes()
        start = 16 if "images" in file.name else 8
        count = int.from_bytes(content[4:8], "big")
        if "train" in file.name:
            header = content[:4] + (10 * count).to_bytes(4, "big") + content[8:start]
            content = header + 10 * content[start:]
        (folder / file.name).write_bytes(content)
    return 9 * 60_000


def machine() -> dict[str, Any]:
    """Say what it was measured on, and with what."""
    # In a process of its own: what this one holds would count for those that it starts.
    code = (
        "import json, lightning, torch; print(json.dumps({'torch': torch.__version__, "
        "'lightning': lightning.__version__, 'threads': torch.get_num_threads(), "
        "'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else None}))"
    )
    said = subprocess.run([*PYTHON, "-c", code], capture_output=True, text=True, check=True)
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **json.loads(said.stdout),
        "commit": subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def table(rows: list[Row]) -> str:
    """Give the table as Markdown."""
    lines = ["| what | ours | compared with | figure | to be reached |", "|---|---|---|---|---|"]
    for row in rows:
        turns = [
            f"{statistics.median(each):.3g} {row.unit}" if each else ""
            for each in (row.ours, row.base)
        ]
        note = f" ({row.note})" if row.note else ""
        lines.append(f"| {row.what}{note} | {turns[0]} | {turns[1]} | {row.ratio} | {row.reach} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is named, or everything."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = [
        *("epoch", "tutorial", "fast", "cold", "evaluation", "augmentation", "start", "memory"),
        *("tenfold", "gpu"),
    ]
    parser.add_argument("names", nargs="*", metavar="WHAT", help=f"any of {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--seeds", type=int, default=20, help="trainings of mnist-fast.yaml")
    output = {"type": Path, "default": Path("speed.json"), "help": "JSON file to write"}
    parser.add_argument("--output", **output)
    args = parser.parse_args()
    if unknown := set(args.names) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(names)}")
    about, rows = machine(), list[Row]()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args.rounds, args.seeds, about, Path(folder))
        for name in args.names or names:
            measure: Callable[[], Iterator[Row]] = getattr(bench, name)
            for row in measure():
                rows.append(row)
                print(f"{row.what}: {row.ratio} ({row.reach})", flush=True)
                found = {"machine": about, "rows": [asdict(row) for row in rows]}
                args.output.write_text(json.dumps(found, indent=2) + "\n")
    print(f"\n{table(rows)}")


if __name__ == "__main__":
    main()
