"""Start lenet in processes of its own, many at one moment, after one import of PyTorch.

``start_groups`` starts groups of commands, of each group all together, one group after the other.
The n-th command writes ``n.out``, ``n.err`` and ``n.pid`` to the folder ``said``.
"""

import importlib
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

from torchvision import datasets

from lenet.__main__ import main

REPOSITORY = Path(__file__).parent.parent
importlib.import_module("lenet.cli")  # so that the processes need not


def start_groups(plan: dict, *around: str) -> subprocess.Popen:
    """Start ``groups`` of commands; a plan may say MNIST's ``mirrors`` and ``resources`` too.

    Args:
        plan: The plan.
        around: A command that is to start it.
    """
    return subprocess.Popen(
        [*around, sys.executable, "-m", "tests.starts", json.dumps(plan)],
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}:{os.environ.get('PYTHONPATH', '')}"},
        stdout=subprocess.PIPE,
        text=True,
    )


def codes(process: subprocess.Popen) -> list[int]:
    """Wait for all, and give their exit codes."""
    return json.loads(process.communicate(timeout=200)[0])


def said(number: int | str = "*") -> str:
    """Give what a command wrote to standard error, or all."""
    return "\n".join(file.read_text() for file in sorted(Path("said").glob(f"{number}.err")))


def start(stem: Path, args: list[str], gate: int, closes: int) -> int:
    """Run a command in a process that waits until the gate is closed."""
    if pid := os.fork():
        return pid
    os.close(closes)
    for stream, kind in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(f"{stem}{kind}", os.O_CREAT | os.O_WRONLY, 0o644), stream)
    code = 1
    try:
        os.read(gate, 1)
        main(args)
        code = 0
    except SystemExit as e:
        code = int(e.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(plan: dict) -> list[int]:
    datasets.MNIST.mirrors = plan.get("mirrors", [])
    datasets.MNIST.resources = [tuple(pair) for pair in plan.get("resources", [])]
    folder = Path("said")
    folder.mkdir()
    found = []
    for group in plan["groups"]:
        gate, closes = os.pipe()
        stems = [folder / str(n) for n in range(len(found), len(found) + len(group))]
        pids = [start(stem, args, gate, closes) for stem, args in zip(stems, group, strict=True)]
        for stem, pid in zip(stems, pids, strict=True):
            Path(f"{stem}.pid").write_text(str(pid))
        os.close(closes)
        found += [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    return found


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))))
