"""A bug, ours or in what a user has written, keeps its traceback with file and line."""

import traceback
from pathlib import Path

import pytest

from lenet.cli import explanations
from lenet.errors import UserError
from tests.conftest import TINY

# Each is a file of its own, since a module is imported once.
BUGS = {
    "in_forward": (
        "class Own(LeNet):\n    def forward(self, images):\n        undefined(images)  # here\n",
        NameError,
    ),
    "in_init": (
        "class Own(LeNet):\n    def __init__(self, **kwargs):\n        len(3)  # here\n",
        TypeError,
    ),
    "in_training_step": (
        "class Own(LeNet):\n    def training_step(self, *_):\n        int('x')  # here\n",
        ValueError,
    ),
    "in_optimizer": (
        "class Own(LeNet):\n    def configure_optimizers(self):\n        return {}['x']  # here\n",
        KeyError,
    ),
    "at_import": ("undefined  # here\n", NameError),
    "at_import_value": ("int('x')  # here\n", ValueError),
    "at_import_of_another": ("import no_such_module  # here\n", ModuleNotFoundError),
    "while_refusing": (
        "from lenet.errors import UserError\n"
        "class Own(LeNet):\n"
        "    def forward(self, images):\n"
        "        try:\n"
        "            raise UserError('the mistake')\n"
        "        except UserError:\n"
        "            {}['x']  # here\n",
        KeyError,
    ),
}


def fails_here(file: str, bug: pytest.ExceptionInfo) -> bool:
    lines = Path(file).read_text().splitlines()
    return any(
        Path(frame.filename).name == file and lines[(frame.lineno or 1) - 1].endswith("# here")
        for frame in traceback.extract_tb(bug.value.__traceback__)
    )


@pytest.mark.parametrize("place", BUGS)
def test_a_bug_in_a_custom_model_keeps_its_file_and_line(lenet, place):
    program, kind = BUGS[place]
    Path(f"bug_{place}.py").write_text(f"from lenet import LeNet\n{program}")
    with pytest.raises(kind) as bug:
        lenet("fit", *TINY, "--model", f"bug_{place}.Own")
    assert type(bug.value) is kind
    assert fails_here(f"bug_{place}.py", bug)


def test_a_bug_in_the_file_of_a_callback_keeps_its_line(lenet):
    for number, given in enumerate(("[{}.Own]", "[{{class_path: {}.Own}}]")):
        name = f"bug_in_callbacks_{number}"
        Path(f"{name}.py").write_text("undefined  # here\n")
        Path("c.yaml").write_text(f"trainer: {{callbacks: {given.format(name)}}}")
        with pytest.raises(NameError) as bug:
            lenet("fit", "--config", "c.yaml")
        assert fails_here(f"{name}.py", bug)


@pytest.mark.parametrize("hook", ["__init__", "on_train_start", "on_train_batch_end"])
@pytest.mark.parametrize("option", ["--trainer.callbacks", "--trainer.callbacks+"])
def test_a_bug_in_a_custom_callback_keeps_its_file_and_line(lenet, hook, option):
    name = f"bug_{hook.strip('_')}_{'more' if '+' in option else 'one'}"
    Path(f"{name}.py").write_text(
        "from lightning.pytorch import Callback\nclass Own(Callback):\n"
        f"    def {hook}(self, *args, **kwargs):\n        int('x')  # here\n"
    )
    with pytest.raises(ValueError, match="invalid literal") as bug:
        lenet("fit", *TINY, option, f"{name}.Own")
    assert fails_here(f"{name}.py", bug)


def test_what_a_custom_class_refuses_is_one_line(lenet):
    Path("refuses.py").write_text(
        "from lenet.errors import UserError\nfrom lightning.pytorch import Callback\n"
        "class Own(Callback):\n    def __init__(self):\n        raise UserError('not today')\n"
    )
    for option in ("--trainer.callbacks", "--trainer.callbacks+"):
        done = lenet("fit", *TINY, option, "refuses.Own")
        assert done.code == 2
        assert done.err.splitlines()[-1] == "lenet: error: not today"


@pytest.mark.parametrize("error", [KeyError, TypeError, AttributeError, ValueError])
def test_a_bug_of_our_own_in_the_parser_keeps_its_traceback(lenet, monkeypatch, error):
    def explain(*args):
        raise error("a bug")

    monkeypatch.setattr(explanations, "explain", explain)
    for args in (["--zebra"], ["--model.lr", "x"], ["--trainer.callbacks", "x"]):
        with pytest.raises(error, match="a bug"):
            lenet("fit", *args)


def test_a_user_error_that_was_dealt_with_hides_no_bug(lenet, monkeypatch):
    def match_model_and_data(*args):
        try:
            raise UserError("dealt with")
        except UserError as e:
            raise AttributeError("a bug") from e

    monkeypatch.setattr("lenet.cli.app.match_model_and_data", match_model_and_data)
    with pytest.raises(AttributeError, match="a bug"):
        lenet("fit", *TINY)
