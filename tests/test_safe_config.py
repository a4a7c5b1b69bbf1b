"""The bounds of YAML, whoever reads it."""

from pathlib import Path

import pytest
import yaml

from lenet.runs.bounded_yaml import MOST_DEPTH, MOST_NODES, load

LAUGHS = "\n".join(
    ["a0: &a0 [ha, ha]", *(f"a{i}: &a{i} [{', '.join(9 * [f'*a{i - 1}'])}]" for i in range(1, 30))]
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "more than 20,000 values"),
        ("&a [*a]", "stands in what it stands for"),
        ("a: &a {b: {c: *a}}", "stands in what it stands for"),
        (60 * "[", "nested deeper than 50 levels"),
        (60 * "- ", "nested deeper than 50 levels"),
        (60 * "? ", "nested deeper than 50 levels"),
        ("a: 1\nb: 2\na: 3", "a stands twice"),
        ("{b: {a: 1, 'a': 1}}", "a stands twice"),
        (f"a: {'9' * 10_001}", "a value of 10,001 characters"),
        ("- x\n" * (MOST_NODES + 1), "more than 20,000 values"),
        (f"a: [{1_001 * 'x, '}]", "a: a list of more than 1,000"),
        (f"trainer.callbacks+: [{51 * 'x, '}]", "callbacks: a list of more than 50"),
        ("#" * (2 << 20), "larger than 1 MB"),
        ("!!int many", "a number or date in it is none"),
        ("2001-99-99", "a number or date in it is none"),
        ("!!bool perhaps", "a number or date in it is none"),
        ("9" * 5_000, "a number or date in it is none"),
    ],
)
def test_what_is_beyond_the_bounds_is_refused_before_it_is_made(text, said):
    with pytest.raises(yaml.YAMLError, match=said):
        load(text)


@pytest.mark.parametrize(
    "text",
    [
        *(10_000 * "[", 10_000 * "{a: ", 10_000 * "- ", 10_000 * "? "),
        *("!!python/object/apply:os.system [touch ran]", "a: *b", "--- 1\n--- 2", "a: \x00"),
    ],
    ids=lambda text: text[:9],
)
def test_what_pyyaml_may_refuse_by_itself_is_refused(text):
    # PyYAML's version decides whether it or our check finds it first, and in which words.
    with pytest.raises(yaml.YAMLError):
        load(text)
    assert not Path("ran").exists()


def test_a_chain_of_aliases_is_as_deep_as_what_it_stands_for():
    chain = ["- &a0 []", *(f"- &a{i} [*a{i - 1}]" for i in range(1, MOST_DEPTH + 1))]
    with pytest.raises(yaml.YAMLError, match="nested deeper"):
        load("\n".join(chain))


def test_what_is_within_the_bounds_is_read():
    deep = (MOST_DEPTH - 1) * "[" + "1" + (MOST_DEPTH - 1) * "]"
    assert yaml.dump(load(deep), default_flow_style=True).strip() == deep
    assert len(load("\n".join(f"- class {i}" for i in range(1_000)))) == 1_000  # of ImageNet
    assert load("a: &a {x: 1}\nb: {<<: *a, y: *a}")["b"] == {"x": 1, "y": {"x": 1}}
    assert load("\ufeffa: 1") == {"a": 1}
