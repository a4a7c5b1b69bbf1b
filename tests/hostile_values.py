"""Configs that nobody would write by accident, for hypothesis to draw from."""

import contextlib
import datetime
import io
import math
import sys
from typing import Any

import yaml
from hypothesis import strategies as st
from jsonargparse import ArgumentParser

import lenet
from lenet.cli import LeNetCLI
from lenet.data import ImageDataModule
from lenet.models import ImageClassifier

CLASSES = [*lenet.__all__, "SGD", "OneCycleLR", "EarlyStopping", "CSVLogger", "torch.nn.Linear"]


def options_of(parser: Any) -> dict[str, str]:
    """Name the options of a parser, each with its type."""
    skipped = ("help", "config", "print_config")
    actions = [a for a in parser._actions if a.dest.rpartition(".")[2] not in skipped]
    return {a.dest: str(getattr(a, "_typehint", None) or a.type) for a in actions}


def options() -> dict[str, str]:
    """Name all options of ``fit``, and the arguments of all models and data modules."""
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        cli: Any = LeNetCLI.__new__(LeNetCLI)
        cli.parse_arguments = lambda *_: sys.exit()
        cli.__init__(["fit"])
    found = options_of(cli.command_parser)
    for name in lenet.__all__:
        cls = getattr(lenet, name)
        for group, base in (("model", ImageClassifier), ("data", ImageDataModule)):
            if isinstance(cls, type) and issubclass(cls, base):
                own = own_options(name)
                found |= {f"{group}.init_args.{option}": own[option] for option in own}
    return found


def own_options(name: str) -> dict[str, str]:
    parser = ArgumentParser()
    parser.add_class_arguments(getattr(lenet, name), fail_untyped=False)
    return options_of(parser)


def number() -> st.SearchStrategy:
    whole = [0, -1, 2**31, 2**63, -(2**64), 10**400]
    extremes = [*whole, math.nan, math.inf, -math.inf, 1e-320, 1e308]
    return st.one_of(st.sampled_from(extremes), st.integers(), st.floats())


def word() -> st.SearchStrategy:
    known = [
        *("", " ", "-", "--", "~", "/", "..", "/dev/zero", "null", "true", "nan", "1e999", "0x10"),
        *("best", "last", "lenet.LeNet", "os.system", "a.b.c", "1.2", ".", "a..b", "{", "["),
        *("{a: 1}", "[1, 2]", "!!python/name:os.system", "http://127.0.0.1:9/a.yaml", "s3://a/b"),
        *("\x00", "\x1b[31m", "a\nb", "\u202e", "\ufeff", "x" * 5_000, "c.yaml", "%s%n", "${HOME}"),
    ]
    return st.one_of(st.sampled_from(known + CLASSES), st.text(max_size=20))


def value() -> st.SearchStrategy:
    plain = st.one_of(
        *(st.none(), st.booleans(), number(), word()),
        *(st.dates(), st.datetimes(), st.just(datetime.date.max)),
    )
    keys = st.one_of(word(), st.integers(), st.none(), st.booleans())
    return st.recursive(
        plain,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(keys, inner, max_size=4),
            spec(inner),
        ),
        max_leaves=8,
    )


def spec(inner: st.SearchStrategy) -> st.SearchStrategy:
    """A class with arguments, or nearly."""
    names = [name.rpartition(".")[2] for name in NAMES]
    known = st.dictionaries(st.sampled_from(names), inner, max_size=3)
    fields = {
        "class_path": st.one_of(st.sampled_from(CLASSES), word(), inner),
        "init_args": st.one_of(known, inner),
        "dict_kwargs": st.one_of(known, inner),
        "init_arg": inner,
        "__path__": inner,
    }
    return st.dictionaries(st.sampled_from(sorted(fields)), st.none(), max_size=4).flatmap(
        lambda chosen: st.fixed_dictionaries({name: fields[name] for name in chosen})
    )


@st.composite
def near_valid(draw) -> dict:
    """Real options with any value, some of them misspelt, or nested wrongly."""
    config: dict[Any, Any] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3)):
        given = draw(st.one_of(value(), value(), spec(value())))
        how = draw(st.sampled_from(["nested", "nested", "nested", "dotted", "misspelt", "group"]))
        parts = name.split(".")
        if how == "dotted":
            config[name] = given
            continue
        if how == "misspelt":
            parts[-1] = parts[-1][1:] + draw(st.sampled_from(["", "_", "-", "+", parts[-1]]))
        if how == "group":
            parts = parts[:1]
        place = config
        for part in parts[:-1]:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[parts[-1]] = given
    return {draw(st.sampled_from(["fit", "test", "", None])): config} if draw(RARELY) else config


def written(config: Any) -> str:
    """Write a config as YAML that any loader takes."""
    return yaml.safe_dump(config, allow_unicode=True, sort_keys=False)


RARELY = st.integers(0, 9).map(lambda n: n == 0)
OPTIONS = options()
NAMES = sorted(OPTIONS)
TAGS = [
    *("!!binary", "!!timestamp", "!!int", "!!float", "!!bool", "!!null", "!!str", "!!seq", "!!map"),
    *(
        "!!set",
        "!!omap",
        "!!pairs",
        "!!merge",
        "!!value",
        "!own",
        "!",
        "!<tag:a,2000:b>",
        "!!x%0ay",
    ),
    *("!!python/object/apply:os.system", "!!python/name:os.system", "!!python/module:canary"),
    *("!!python/object/new:subprocess.Popen", "!!python/tuple", "!!python/object:canary.A"),
]
PIECES = [
    *(*TAGS, "&a ", "*a", "&b ", "*b", "<<: *a", "<<: ", ": ", "- ", "? ", ", ", "\n", "\n  "),
    *("|\n  ", ">-\n", "---\n", "...\n", "%YAML 9.9\n", "%TAG ! x\n", "# ", "'", '"', "\ufeff"),
    *("\x00", "\x85", "\u2028", "\t", "\r", *"[]{}@`=~"),
    *("model", "data", "trainer", "class_path", "fit", "init_args", "LeNet", "lr"),
    *("1:59:59", "0o17", "2001-99-99", ".nan"),
]


@st.composite
def document(draw) -> str:
    """Pieces of YAML in any order, a config with pieces put into it, or any other text."""
    kind = draw(st.sampled_from(["mutated", "mutated", "tagged", "pieces", "text"]))
    pieces = st.lists(st.one_of(st.sampled_from(PIECES), word()), min_size=1, max_size=6)
    if kind == "text":
        return draw(st.text(max_size=40))
    if kind == "pieces":
        return "".join(draw(pieces))
    if kind == "tagged":
        *groups, name = draw(st.sampled_from(NAMES)).split(".")
        what = draw(st.sampled_from(["x", "[a]", "{a: b}", "1", "", "{class_path: LeNet}"]))
        inner = f"{name}: {draw(st.sampled_from(TAGS))} {what}"
        for group in reversed(groups):
            inner = f"{group}: {{{inner}}}"
        return inner
    text = VALID
    for piece in draw(pieces):
        start, cut = draw(st.integers(0, len(text))), draw(st.sampled_from([0, 0, 1, 10]))
        text = text[:start] + piece + text[start + cut :]
    return text


VALID = """\
# A comment.
seed_everything: 0
model:
  class_path: LeNet
  init_args: {lr: 1.0e-3, activation: tanh}
data:
  class_path: lenet.MNIST
  init_args:
    val_size: 0
trainer:
  max_epochs: 3
  callbacks:
    - class_path: LearningRateMonitor
"""


# Left out: what waits for other machines, or trains for as long as it is told to.
WAITS = {"num_nodes", "devices", "strategy", "accelerator", "plugins", "default_root_dir"}
WAITS |= {"fast_dev_run", "ckpt_path", "num_workers", "root", "data", "model", "trainer"}
WAITS |= {"in_channels", "num_classes", "predict_path"}  # not to be given
MODELS = ("LeNet", "LeNet5", "MLP", "ConvNet")
TYPED = {
    "list": st.lists(st.sampled_from([0, 1, 2, 3, 5, -1, 2**31]), max_size=3),
    "int": st.sampled_from([-1, 0, 1, 2, 3, 5, 33, 2**31, 2**63, 10**400]),
    "float": st.sampled_from([-0.1, 0.0, 0.5, 1.5, 1e308, 1e-320, math.inf, -math.inf, math.nan]),
    "bool": st.booleans(),
    "str": st.sampled_from(["", "x", "min", "max", "val/loss", "train/accuracy", "\x1b[31m"]),
    "Optimizer": st.sampled_from(["SGD", "Adam", "LBFGS", "SparseAdam", "Rprop"]),
    "LRScheduler": st.sampled_from(
        ["OneCycleLR", "ReduceLROnPlateau", "CyclicLR", "ChainedScheduler"]
    ),
    "None": st.none(),
}


@st.composite
def trainable(draw) -> dict:
    """A config with values of the right types, which may be no good all the same."""
    name = draw(st.sampled_from(MODELS))
    config: dict[str, Any] = {"model": {}, "data": {}, "trainer": {}}
    places = {"model": own_options(name), "data": own_options("Digits"), "": OTHERS}
    for place, known in places.items():
        names = sorted(option for option in known if option.rpartition(".")[2] not in WAITS)
        for option in draw(st.lists(st.sampled_from(names), max_size=2)):
            fitting = [TYPED[kind] for kind in TYPED if kind in known[option]]
            group, _, rest = (f"{place}.{option}" if place else option).partition(".")
            if fitting and rest:
                config.setdefault(group, {})[rest] = draw(st.one_of(fitting))
    config["model"] = {"class_path": name, "init_args": config["model"]}
    config["data"] = {"class_path": "Digits", "init_args": config["data"]}
    return config


OTHERS = {name: OPTIONS[name] for name in NAMES if ".init_args." not in name}
