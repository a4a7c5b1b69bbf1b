"""How fast lenet is, against a bare PyTorch loop and the tutorials' way, measured in one run.

    python tests/benchmarks/speed.py                       # everything, up to two hours
    python tests/benchmarks/speed.py epoch start           # some of it
    python tests/benchmarks/speed.py --rounds 1 --seeds 2  # a first look

A turn of lenet's and one of what it is compared with follow each other, several times, and what
counts is the median of their ratios. lenet runs as its users run it, in a terminal with its
progress bar. The table is printed, and written as JSON with every single time.
docs/benchmarks.md says how to read it.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.rows import FILES, Bench
from tests.benchmarks.table import Row, table
from tests.benchmarks.terminal import ROOT, machine

NAMES = ("epoch", "tutorial", "fast", "cold", "evaluation", "augmentation", "threads")
NAMES += ("start", "memory", "tenfold", "gpu")


def main() -> None:
    """Measure what is named, or everything."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="WHAT", help=f"any of {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--seeds", type=int, default=20, help="trainings of mnist-fast.yaml")
    output = {"type": Path, "default": ROOT / "build" / "speed.json", "help": "JSON file to write"}
    parser.add_argument("--output", **output)
    args = parser.parse_args()
    if unknown := set(args.names) - set(NAMES):
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(NAMES)}")
    data = Path(os.environ.get("PATH_DATASETS") or ROOT / "data").absolute()
    if missing := [name for name in FILES if not (data / "MNIST" / "raw" / name).is_file()]:
        parser.error(f"{data}/MNIST/raw: has no {missing[0]}. Set PATH_DATASETS.")
    os.environ["PATH_DATASETS"] = str(data)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    about, rows = machine(), list[Row]()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args.rounds, args.seeds, about["gpu"], Path(folder))
        for name in args.names or NAMES:
            for row in getattr(bench, name)():
                rows.append(row)
                print(f"{row.what}: {row.figure} ({row.reach})", flush=True)
                found = {"machine": about, "rows": [asdict(row) for row in rows]}
                args.output.write_text(json.dumps(found, indent=2) + "\n")
    print(f"\n{table(rows)}")


if __name__ == "__main__":
    main()
