import platform
import subprocess
import sys

import pytest

from lenet.cli.allocation import keep_freed_memory

# Whether glibc gives memory back depends on what happens to lie where: here it always would.
STEPS = """
import ctypes, resource, sys
import torch
from lenet import LeNet
from lenet.cli.allocation import keep_freed_memory
ctypes.CDLL(None).mallopt(-1, 0)
if sys.argv[1] == "kept":
    keep_freed_memory()
network = LeNet().network
def train(steps):
    for _ in range(steps):
        network(torch.randn(256, 1, 32, 32)).sum().backward()
train(5)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
train(10)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.long
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_memory_that_a_step_frees_is_kept_for_the_next():
    faults = {}
    for how in ("kept", "as it is"):
        command = [sys.executable, "-c", STEPS, how]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        faults[how] = int(done.stdout)  # pages that the system had to clear
    assert 5 * faults["kept"] < faults["as it is"]


def test_another_c_library_is_no_mistake(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    keep_freed_memory()
