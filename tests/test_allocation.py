import platform
import subprocess
import sys

import pytest

from lenet.allocation import keep_freed_memory

# 8 MB are asked for and freed again and again, and written to. Each time that the system has to
# clear them anew, that is 2,000 page faults.
STEPS = """
import resource, sys
import torch
from lenet.allocation import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
else:  # as glibc does at its start
    import ctypes
    ctypes.CDLL(None).mallopt(-3, 1 << 17)
def step():
    torch.zeros(2_000_000)
for _ in range(10):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_memory_that_a_step_frees_is_kept_for_the_next():
    faults = {}
    for how in ("kept", "given back"):
        command = [sys.executable, "-c", STEPS, how]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        faults[how] = int(done.stdout)
    assert faults["given back"] > 50_000
    assert faults["kept"] < 5_000


def test_another_c_library_is_no_mistake(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    keep_freed_memory()
