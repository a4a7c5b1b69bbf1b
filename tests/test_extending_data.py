"""The code of docs/extending.md, run as its reader would, from outside of the package."""

import json
import re
from pathlib import Path

import pytest

from tests.conftest import QUIET, REPOSITORY

TEXT = (REPOSITORY / "docs" / "extending.md").read_text().partition("## A custom data set")[2]
ONE_EPOCH = ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", *QUIET]


@pytest.mark.long
def test_the_data_set_of_the_docs_is_trained_on_and_tested_with_the_best_weights(lenet_process):
    [code] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    Path("my_package.py").write_text(code)
    [commands] = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    fit, test, about = (line.split()[1:] for line in commands.splitlines())
    done = lenet_process(*fit, *ONE_EPOCH)
    assert done.code == 0, done.err
    done = lenet_process(*test, *ONE_EPOCH[2:])
    assert done.code == 0, done.err
    result = json.loads(Path("runs/LeNet-Stripes-1/test.json").read_text())
    assert result["test/accuracy"] > 0.9
    config = Path("runs/LeNet-Stripes-1/config.yaml").read_text()
    assert "noise: 0.2" in config
    done = lenet_process(*about)
    assert "Maximum change of a pixel in either direction" in " ".join(done.out.split())
    # Without the name, a checkpoint does not have a module of anybody's imported.
    done = lenet_process("test", "--ckpt_path", "best", *ONE_EPOCH[2:])
    assert done.code == 2
    assert "'my_package.Stripes'" in done.err
