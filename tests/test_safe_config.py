"""The bounds of YAML, whoever reads it."""

from pathlib import Path

import pytest
import yaml

from lenet.runs.bounded_yaml import MAX_DEPTH, MAX_SIZE, load
from tests.conftest import TINY

LAUGHS = "\n".join(
    ["a0: &a0 [ha, ha]", *(f"a{i}: &a{i} [{', '.join(9 * [f'*a{i - 1}'])}]" for i in range(1, 30))]
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS, "&a0: anchors and aliases are not supported. Repeat the value"),
        ("&a [*a]", "&a: anchors and aliases"),
        ("a: *b", r"\*b: anchors and aliases"),
        ("a: 1\nb: &b {x: 1}", "&b: anchors and aliases(.|\n)*line 2"),
        ("a: !!python/object/apply:os.system [touch ran]", "os.system: tags are not supported"),
        ("!!int many", "tags are not supported"),
        ("!own {a: 1}", "!own: tags are not supported"),
        (60 * "[", "nested more than 50 levels"),
        (60 * "- ", "nested more than 50 levels"),
        (60 * "? ", "nested more than 50 levels"),
        ("a: 1\nb: 2\na: 3", "a is set twice(.|\n)*line 3"),
        ("{b: {a: 1, 'a': 1}}", "a is set twice"),
        (f"a: {'9' * 3_501}", "a value has 3,501 characters"),
        (f"a: [{1_001 * 'x, '}]", "a: more than 1,000 items"),
        ("\n".join(f"k{i}: 1" for i in range(1_001)), "more than 1,000 items"),
        (f"trainer.callbacks+: [{51 * 'x, '}]", "callbacks: more than 50 items"),
        ("#" * (MAX_SIZE + 1), "larger than 100 kB"),
        ("2001-99-99", "a number or date in it is not valid"),
        ("2001-01-01 00:00:00+99:00", "a number or date in it is not valid"),
        ("0x_", "a number or date in it is not valid"),
    ],
)
def test_what_is_beyond_the_bounds_is_refused_before_it_is_made(text, reason):
    with pytest.raises(yaml.YAMLError, match=reason):
        load(text)
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "text",
    [10_000 * "[", 10_000 * "{a: ", 10_000 * "- ", 10_000 * "? ", "--- 1\n--- 2", "a: \x00"],
    ids=lambda text: text[:9],
)
def test_what_pyyaml_may_refuse_by_itself_is_refused(text):
    # PyYAML's version decides whether it or our check finds it first, and in which words.
    with pytest.raises(yaml.YAMLError):
        load(text)


def test_what_is_within_the_bounds_is_read():
    deep = MAX_DEPTH * "[" + "1" + MAX_DEPTH * "]"
    assert yaml.dump(load(deep), default_flow_style=True).strip() == deep
    assert len(load("\n".join(f"- class {i}" for i in range(1_000)))) == 1_000  # of ImageNet
    assert load("a: [{x: 1}, {x: 1}]\nb: {x: '*a', y: \"&a\"}")["b"] == {"x": "*a", "y": "&a"}
    assert load("\ufeffa: 1") == {"a": 1}
    assert load(f"0x{3_490 * 'F'}") == 16**3_490 - 1


def test_what_lenet_writes_has_no_anchors_where_options_share_a_value(lenet):
    # PyYAML writes an anchor for an object that it meets twice.
    Path("shared.py").write_text(
        "from lenet import LeNet\n"
        "SIZES = [8, 8]\n"
        "class Shared(LeNet):\n"
        "    def __init__(\n"
        "        self, a: list[int] = SIZES, b: list[int] = SIZES, c=SIZES, d=SIZES, **kwargs\n"
        "    ):\n"
        "        super().__init__(**kwargs)\n"
    )
    done = lenet("fit", "--model", "shared.Shared", "--print_config")
    assert load(done.out)["model"]["init_args"]["d"] == [8, 8]
    assert lenet("fit", "--model", "shared.Shared", *TINY).code == 0
    config = load(Path("runs/Shared-Digits-1/config.yaml").read_text())
    assert config["model"]["init_args"]["d"] == [8, 8]
    done = lenet("fit", "--ckpt_path", "last", "--model", "shared.Shared", "--print_config")
    assert load(done.out)["model"] == config["model"]


def test_a_config_with_an_alias_is_refused_in_a_line_that_says_what_to_do(lenet):
    Path("c.yaml").write_text("seed_everything: &seed 1\ndata: {init_args: {split_seed: *seed}}")
    done = lenet("fit", "--config", "c.yaml", "--print_config")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == [
        "lenet: error: --config c.yaml: line 1: &seed: anchors and aliases are not supported. "
        "Repeat the value."
    ]
