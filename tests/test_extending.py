import re
from pathlib import Path

import pytest
import yaml

from lenet import load
from tests.conftest import QUIET, REPOSITORY, TINY

PAGE = (REPOSITORY / "docs" / "extending.md").read_text()


@pytest.fixture
def my_package(tmp_path) -> Path:
    """Write the page's model into a file of the user's, outside of the package."""
    [code] = re.findall(r'^```python title="my_package.py"\n(.*?)^```$', PAGE, re.S | re.M)
    file = tmp_path / "my_package.py"
    file.write_text(code)
    return file


@pytest.mark.long
def test_the_pages_commands_do_what_it_says(lenet_process, my_package):
    [block] = [text for text in re.findall(r"```sh\n(.*?)```", PAGE, re.S) if "MyNet" in text]
    about, fit, test = (line.split()[1:] for line in block.splitlines())
    done = lenet_process(*about)
    assert done.code == 0, done.err
    assert "A convolution, the mean of its maps, and a linear layer" in done.out
    assert "Maps of the convolution." in done.out
    done = lenet_process(*fit, *TINY[2:])
    assert done.code == 0, done.err
    config = yaml.safe_load(Path("runs/MyNet-Digits-1/config.yaml").read_text())
    assert config["model"]["class_path"] == "my_package.MyNet"
    done = lenet_process(*test, *QUIET)
    assert done.code == 0, done.err
    assert "test/accuracy" in done.out
    done = lenet_process("test", "--ckpt_path", "best", *QUIET)
    assert done.code == 2
    assert "--model my_package.MyNet" in done.err


def test_a_model_of_ones_own_is_loaded_once_it_is_imported(lenet, my_package, monkeypatch):
    monkeypatch.syspath_prepend(my_package.parent)
    assert lenet("fit", "--model", "my_package.MyNet", "--model.width", "5", *TINY).code == 0
    import my_package as mine  # pyright: ignore[reportMissingImports]

    model = load("best")
    assert type(model) is mine.MyNet
    assert model.network[0].out_channels == 5
