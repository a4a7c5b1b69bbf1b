"""How accurate a configuration is: the mean of several seeds, each trained on all images.

    python tests/benchmarks/accuracy.py configs/mnist-best.yaml --seeds 10

Every seed is trained through lenet's command line with ``--data.val_size 0``, for as long as the
configuration says, and its last weights are tested once. Runs are kept in build/accuracy: what was
interrupted goes on where it stopped, and what is done is not done again. The table of
docs/results.md gets its line when there are ten seeds or more.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.terminal import PYTHON, ROOT, commit, machine

ENOUGH = 10  # seeds for a line in the table


def main() -> None:
    """Measure a configuration."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("config", type=Path, help="configuration to measure")
    parser.add_argument("--seeds", type=int, default=10, help="seeds, from 0 on")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="trainings at a time")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "accuracy", help="folder")
    parser.add_argument("--table", type=Path, default=ROOT / "docs" / "results.md", help="to write")
    args = parser.parse_args()
    folder = args.output / args.config.stem
    try:
        keep_config(args.config, folder)
    except ValueError as e:
        parser.error(str(e))
    with ThreadPoolExecutor(args.jobs) as pool:
        found = list(pool.map(lambda seed: measure(args.config, seed, folder), range(args.seeds)))
    kept = {"machine": machine(), "seeds": found}
    (folder / "results.json").write_text(json.dumps(kept, indent=2) + "\n")
    line = row(args.config, found)
    print(line)
    if len(found) >= ENOUGH:
        text = args.table.read_text(encoding="utf-8")
        args.table.write_text(replace_row(text, line), encoding="utf-8")


def keep_config(config: Path, folder: Path) -> None:
    """Keep the configuration beside its runs.

    Raises:
        ValueError: If runs of another one are there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept, text = folder / config.name, config.read_text()
    if kept.exists() and _settings(kept.read_text()) != _settings(text):
        raise ValueError(f"{folder}: has runs of another {config.name}. Move it, or use --output.")
    kept.write_text(text)


def _settings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def lenet(args: list[str], log: Path) -> None:
    """Run a command of lenet in a process with one thread, and add what it says to a log.

    Raises:
        SystemExit: If it fails.
    """
    with log.open("a") as file:
        done = subprocess.run(
            [*PYTHON, "-m", "lenet", *args],
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"lenet {' '.join(args)} failed: see {log}")


def measure(
    config: Path, seed: int, folder: Path, run: Callable[[list[str], Path], None] = lenet
) -> dict[str, Any]:
    """Train and test one seed, as far as that is not done.

    Returns:
        Its ``seed``, ``accuracy`` on the test images in percent, the ``seconds`` of its commands,
        and the ``commit`` that began it.
    """
    root = folder / f"seed-{seed}"
    root.mkdir(exist_ok=True)
    where = ["--trainer.default_root_dir", str(root.absolute())]
    clock, log, begun = root / "seconds.json", root / "log.txt", root / "commit.txt"

    def timed(*args: str) -> None:
        start = time.monotonic()
        try:
            run([*args, *where, "--trainer.enable_progress_bar", "false"], log)
        finally:
            before = json.loads(clock.read_text()) if clock.exists() else []
            clock.write_text(json.dumps([*before, time.monotonic() - start]))

    if not list(root.glob("*/test.json")):
        if list(root.glob("*/checkpoints/last.ckpt")):
            timed("fit", "--ckpt_path", "last")
        else:
            begun.write_text(commit())
            options = ["--seed_everything", str(seed), "--data.val_size", "0"]
            timed("fit", "--config", str(config.absolute()), *options)
        timed("test", "--ckpt_path", "best")
    [result] = root.glob("*/test.json")
    accuracy = 100 * json.loads(result.read_text())["test/accuracy"]
    seconds = sum(json.loads(clock.read_text()))
    begun_by = begun.read_text() if begun.exists() else "unknown"
    return {"seed": seed, "accuracy": accuracy, "seconds": seconds, "commit": begun_by}


def row(config: Path, found: list[dict[str, Any]]) -> str:
    """Give the line of the table: mean, deviation, interval, all seeds, time, and the commits."""
    accuracies = [seed["accuracy"] for seed in found]
    mean = statistics.mean(accuracies)
    deviation = interval = "-"
    if len(accuracies) > 1:
        spread = statistics.stdev(accuracies)
        half = stats.t.ppf(0.975, len(accuracies) - 1) * spread / len(accuracies) ** 0.5
        deviation, interval = f"{spread:.3f}", f"{mean - half:.3f} to {mean + half:.3f}"
    each = ", ".join(f"{accuracy:.2f}" for accuracy in accuracies)
    minutes = statistics.median(seed["seconds"] for seed in found) / 60
    cells = (f"`{config.name}`", f"**{mean:.3f}**", deviation, interval, each)
    commits = ", ".join(dict.fromkeys(seed["commit"] for seed in found))
    return f"| {' | '.join(cells)} | {minutes:.1f} min | {commits} |"


def replace_row(text: str, line: str) -> str:
    """Put a line into the first table in the place of the one that begins alike, or at its end."""
    lines, name = text.splitlines(), line.split("|")[1]
    start = next(i for i, old in enumerate(lines) if old.startswith("|---")) + 1
    end = next((i for i in range(start, len(lines)) if not lines[i].startswith("|")), len(lines))
    same = [i for i in range(start, end) if lines[i].startswith(f"|{name}|")]
    at = same[0] if same else end
    lines[at : at + len(same)] = [line]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
