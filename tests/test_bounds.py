"""The bounds of the dependencies. docs/contributing.md says how they are tested."""

import re

from tests.conftest import REPOSITORY


def test_every_dependency_has_a_lower_bound():
    project = (REPOSITORY / "pyproject.toml").read_text().partition("\n[project.scripts]")[0]
    packages = re.findall(r'^    "([\w-]+)(?:\[[\w,]+\])?([^"]*)",$', project, re.MULTILINE)
    bounds = {name: bound for name, bound in packages if name != "lenet"}
    assert {"torch", "filelock", "gradio", "pytest"} < bounds.keys()
    assert [name for name, bound in bounds.items() if not re.match(r"(>=|~=)\d", bound)] == []
