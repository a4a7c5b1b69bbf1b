"""Programs as their users run them, and the machine that they run on."""

import json
import os
import platform
import pty
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["PYTHON", "ROOT", "Finished", "commit", "machine", "terminal"]

ROOT = Path(__file__).parents[2]
PYTHON = [sys.executable]


@dataclass
class Finished:
    """A process that has ended: its time in seconds, and the most memory it had, in MB."""

    seconds: float
    peak: float


def terminal(program: list[str], *args: Any) -> Finished:
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
    unit = 1 if sys.platform == "darwin" else 1024  # bytes, of what ru_maxrss counts
    return Finished(elapsed, usage.ru_maxrss * unit / 1e6)


def machine() -> dict[str, Any]:
    """Say what is measured on, and with what."""
    # In a process of its own: what this one holds would count for those that it starts.
    code = (
        "import json, lightning, torch; print(json.dumps({'torch': torch.__version__, "
        "'lightning': lightning.__version__, 'threads': torch.get_num_threads(), "
        "'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else None}))"
    )
    said = subprocess.run([*PYTHON, "-c", code], capture_output=True, text=True, check=True)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **json.loads(said.stdout),
        "commit": commit(),
    }


def commit() -> str:
    """Say of which commit the code is, with ``-dirty`` if it was changed since."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
