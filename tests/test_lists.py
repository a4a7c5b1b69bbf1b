"""Every built-in model and data set stands in each list of them."""

import importlib
import pkgutil
from pathlib import Path

import lenet
from lenet import data, models
from lenet.runs.trusted_names import subclasses
from tests.conftest import REPOSITORY
from tests.small import DATA

# The pages that list all models, all data sets, or both.
PAGES = ("README.md", "docs/commands.md", "docs/options.md")
DATA_PAGES = (*PAGES, "docs/data.md")


def built_in(room, base: type) -> list[str]:
    """Name the classes of a room that are derived from its base, whether it lists them or not."""
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        importlib.import_module(module.name)
    return [cls.__name__ for cls in subclasses(base) if cls.__module__.startswith(room.__name__)]


def test_every_list_names_every_built_in_model_and_data_set():
    missing = []
    for room, names, pages in (
        (models, built_in(models, models.ImageClassifier), PAGES),
        (data, built_in(data, data.ImageDataModule), DATA_PAGES),
    ):
        assert len(names) >= 5
        listed = {
            f"{room.__name__.replace('.', '/')}/__init__.py": room.__all__,
            "lenet/__init__.py": lenet.__all__,
        }
        if room is data:
            listed["tests/small.py"] = DATA
        for name in names:
            places = [place for place, known in listed.items() if name not in known]
            for page in pages:
                if f"`{name}`" not in Path(REPOSITORY, page).read_text(encoding="utf-8"):
                    places.append(page)
            missing += [f"{place} does not name {name}" for place in places]
    assert not missing, "\n".join(missing)


def test_no_file_name_stands_twice():
    names = [path.name for path in (REPOSITORY / "lenet").rglob("*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == ["__init__.py", "base.py"]
