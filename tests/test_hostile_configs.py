"""Configs out of anybody's hand: taken, or refused in a line that helps, and nothing else."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings

from tests import hostile_values
from tests.hostile import check, little_memory, reuse_the_parsers, run
from tests.hostile_values import written

LAUGHS = "\n".join(
    ["a0: &a0 [ha, ha]", *(f"a{i}: &a{i} [{', '.join(9 * [f'*a{i - 1}'])}]" for i in range(1, 30))]
)
BOMBS = {
    "laughs": LAUGHS,
    "laughs in a list": f"{LAUGHS}\ntrainer: {{callbacks: *a29}}",
    "recursive": "trainer: &a {callbacks: [*a]}",
    "deep": "model: " + 10_000 * "[" + 10_000 * "]",
    "deep in a string": f"model: '{4_000 * '['}{4_000 * ']'}'",
    "twice": "model: LeNet\nmodel: MLP",
    "documents": "model: LeNet\n---\nmodel: MLP",
    "merge": "a: &a {x: 1}\nmodel: {<<: [*a, *a], class_path: LeNet}",
    "many classes in a list": f"callbacks: [{', '.join(51 * ['DeviceStatsMonitor'])}]",
    "many": "trainer: {callbacks: [" + 1_001 * "x, " + "]}",
    "many classes": "trainer:\n  callbacks:\n" + 2_000 * "  - class_path: DeviceStatsMonitor\n",
    "many keys": "model: {init_args: {" + ", ".join(f"k{i}: 1" for i in range(9_000)) + "}}",
    "long number": "seed_everything: 0x" + 9_000 * "F",
    "long base 60": "seed_everything: 1" + 4_000 * ":59",
    "python": "model: !!python/object/apply:os.system ['touch ran']",
    "python in a string": "model: \"!!python/object/apply:os.system ['touch ran']\"",
    "utf-16": "model: LeNet".encode("utf-16"),
    "utf-16 without a mark": "model: LeNet".encode("utf-16-le"),
    "nul": b"model: Le\0Net",
    "50 MB": b"# " + 50_000_000 * b"x",
}


@pytest.fixture(scope="module")
def parsers():
    """Build the parsers once: they take thirty times as long as a config."""
    with pytest.MonkeyPatch.context() as patch:
        reuse_the_parsers(patch)
        yield


@given(config=hostile_values.near_valid())
def test_real_options_with_any_values_are_taken_or_refused_in_a_line(parsers, config):
    Path("c.yaml").write_text(written(config), "utf-8")
    check(run("fit", "--config", "c.yaml", "--print_config"))


@given(text=hostile_values.document())
def test_any_text_is_taken_or_refused_in_a_line(parsers, text):
    Path("c.yaml").write_text(text, "utf-8", errors="surrogatepass")
    check(run("fit", "--config", "c.yaml", "--print_config"))


# A training of one batch takes as long as ten configs.
@settings(max_examples=settings().max_examples // 10)
@given(config=hostile_values.trainable())
def test_a_config_that_could_train_does_or_is_refused_in_a_line(parsers, config):
    Path("c.yaml").write_text(written(config), "utf-8")
    fast = ["--trainer.fast_dev_run", "true", "--trainer.accelerator", "cpu"]
    try:
        with little_memory():
            check(run("fit", "--config", "c.yaml", *fast))
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("how", ["--config", "--model", "in a config"])
def test_a_bomb_is_refused_in_a_line(bomb, how):
    content = BOMBS[bomb]
    Path("b.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    Path("c.yaml").write_text("model: b.yaml")
    args = ["--config", "c.yaml"] if how == "in a config" else [how, "b.yaml"]
    with little_memory(1 << 30):
        done = run("fit", *args, "--print_config")
    check(done)
    assert done.code == 2


@pytest.mark.parametrize("place", ["fifo", "/dev/stdin"])
def test_a_pipe_is_refused_as_a_config_without_being_waited_for(place):
    os.mkfifo("fifo")
    done = run("fit", "--config", place, "--print_config")
    check(done)
    assert done.code == 2


@pytest.mark.parametrize("place", ["/dev/zero", "folder", "missing"])
@pytest.mark.parametrize("option", ["config", "model", "data", "trainer", "trainer.callbacks"])
def test_what_is_no_file_is_refused(place, option):
    Path("folder").mkdir()
    done = run("fit", f"--{option}", place, "--print_config")
    check(done)
    assert done.code == 2
    if option != "config":
        Path("c.yaml").write_text(f"{option}: {place}")
        done = run("fit", "--config", "c.yaml", "--print_config")
        check(done)
        assert done.code == 2


def test_a_byte_order_mark_is_no_mistake():
    Path("c.yaml").write_text("model: MLP", "utf-8-sig")
    done = run("fit", "--config", "c.yaml", "--print_config")
    assert done.code == 0
    assert "class_path: lenet.MLP" in done.out


def test_a_config_imports_the_module_that_it_names_and_no_other():
    program = "import lenet\nopen('imported', 'a').close()\nclass Own(lenet.LeNet): pass\n"
    Path("canary.py").write_text(program)
    for text in ("data: {init_args: {root: canary.Own}}", "seed_everything: canary.Own"):
        Path("c.yaml").write_text(text)
        check(run("fit", "--config", "c.yaml", "--print_config"))
    Path("c.yaml").write_text("model: canary.Own")
    (Path.cwd() / "imported").write_text("")
    done = run("fit", "--config", "c.yaml", "--print_config")
    assert done.code == 0
    assert "class_path: canary.Own" in done.out
