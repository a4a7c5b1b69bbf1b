"""Importing the package changes nothing, and imports only what is named."""

import json
import subprocess
import sys

STATE = """
import json, os, signal, sys, threading, warnings
import jsonargparse, lightning.pytorch, torch, yaml

def state():
    signals = {name: str(signal.getsignal(number)) for name, number in
               (("SIGINT", signal.SIGINT), ("SIGTERM", signal.SIGTERM))}
    return [
        str(jsonargparse.get_loader("yaml")), str(jsonargparse.Path.read_text),
        str(lightning.pytorch.Trainer.fit), str(threading.excepthook), signals,
        dict(os.environ), len(warnings.filters), torch.get_num_threads(), torch.initial_seed(),
        yaml.SafeLoader.yaml_implicit_resolvers == before_resolvers, sys.path,
    ]

before_resolvers = dict(yaml.SafeLoader.yaml_implicit_resolvers)
import torchvision.models, torchmetrics, matplotlib  # each changes the process by itself
before = state()
from lenet import LeNet, load
print(json.dumps([before, state()]))
"""


def run(program: str, *args: str) -> str:
    command = [sys.executable, "-c", program, *args]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_importing_changes_no_loader_class_signal_warning_or_environment():
    before, after = json.loads(run(STATE))
    assert before == after


# Each in a fork of a process that has imported the libraries, which takes seconds.
ROOMS = """
import json, os, sys
import lightning.pytorch, torchmetrics, torchvision

for name in sys.argv[1:]:
    if not os.fork():
        exec(f"from lenet import {name}")
        print(json.dumps([name for name in sys.modules if name.startswith("lenet.")]), flush=True)
        os._exit(0)
    os.wait()
"""


def test_only_the_rooms_of_what_is_named_are_imported():
    not_imported = {
        "LeNet": {"lenet.data", "lenet.training", "lenet.pictures", "lenet.cli"},
        "MNIST": {"lenet.models", "lenet.training", "lenet.pictures", "lenet.cli"},
        "load": {"lenet.pictures", "lenet.export", "lenet.demo", "lenet.cli"},
    }
    found = run(ROOMS, *not_imported).splitlines()
    for rooms, imported in zip(not_imported.values(), map(json.loads, found), strict=True):
        assert imported
        assert not rooms & set(imported)
