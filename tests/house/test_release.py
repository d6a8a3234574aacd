"""What tools/release refuses."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRACKED = [
    "src/progflags/__init__.py",
    "src/progflags/py.typed",
    "src/progflags/_console/static/console.css",
    "src/progflags/_console/templates/base.html",
    "src/other.py",
    "tests/test_one.py",
    "docs/index.md",
    "README.md",
    ".ci/run",
]
INFO = [f"progflags-1.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")]
WHEEL = [*(name.removeprefix("src/") for name in TRACKED[:4]), *INFO]
SDIST = [f"progflags-1.0/{name}" for name in (*TRACKED[:-1], "pyproject.toml", "PKG-INFO", ".gitignore")]
INCLUDE = ["src", "tests", "docs", "README.md"]


@pytest.fixture(scope="module")
def release():
    loader = SourceFileLoader("release", str(ROOT / "tools" / "release"))
    module = module_from_spec(spec_from_loader("release", loader))
    loader.exec_module(module)
    return module


def test_a_whole_wheel_and_a_whole_sdist_are_fine(release):
    assert release.wheel_problems(WHEEL, TRACKED) == []
    assert release.sdist_problems(SDIST, TRACKED, INCLUDE) == []


@pytest.mark.parametrize("name", TRACKED[:4])
def test_a_file_of_the_package_that_is_missing_is_found(release, name):
    short = name.removeprefix("src/")

    assert release.wheel_problems([one for one in WHEEL if one != short], TRACKED) == [f"the wheel: {short} is not in it"]
    assert release.sdist_problems([one for one in SDIST if not one.endswith(name)], TRACKED, INCLUDE) == [f"the sdist: {name} is not in it"]


@pytest.mark.parametrize("name", ["tests/test_one.py", "progflags/notes.txt", "progflags-1.0.dist-info/extra.txt", "other.py"])
def test_a_stray_file_in_the_wheel_is_found(release, name):
    assert release.wheel_problems([*WHEEL, name], TRACKED) == [f"the wheel: {name} has no business in it"]


@pytest.mark.parametrize("name", [".ci/run", "src/progflags/__pycache__/a.pyc", "state.db"])
def test_a_stray_file_in_the_sdist_is_found(release, name):
    assert release.sdist_problems([*SDIST, f"progflags-1.0/{name}"], TRACKED, INCLUDE) == [f"the sdist: {name} has no business in it"]


def test_tests_and_documentation_belong_into_the_sdist(release):
    problems = release.sdist_problems([name for name in SDIST if "/tests/" not in name and "/docs/" not in name], TRACKED, INCLUDE)

    assert problems == ["the sdist: docs/index.md is not in it", "the sdist: tests/test_one.py is not in it"]


def test_a_wheel_without_its_licence_is_found(release):
    (problem,) = release.wheel_problems(WHEEL[:-1], TRACKED)

    assert "4 of 5" in problem


def test_three_places_name_one_version(release):
    project, citation = '[project]\nversion = "1.2.0"\n', "version: 1.2.0\n"

    assert release.version_problems(project, citation, "# Changelog\n\n## 1.2.0 (2027-01-01)\n\n## 1.1.0\n") == []
    assert release.version_problems(project, citation, "# Changelog\n\n## [1.2.0]\n") == []
    assert release.version_problems(project, citation, "## Unreleased\n", rehearse=True) == []
    (unreleased,) = release.version_problems(project, citation, "## Unreleased\n\n## 1.2.0\n")
    assert unreleased.startswith("CHANGELOG.md: begins with Unreleased")
    (cited,) = release.version_problems(project, "version: 1.1.0\n", "## 1.2.0\n")
    assert cited.startswith("CITATION.cff: names 1.1.0")
    assert len(release.version_problems(project, "", "")) == 2


def test_what_the_project_includes_is_there(release):
    """An entry of the sdist's list that names nothing would be left out in silence."""
    import tomllib

    include = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]

    assert [name for name in include if not (ROOT / name).exists()] == []
