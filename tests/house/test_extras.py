"""Extras and floors: each names something, `all` brings them all, and each lowest version is one that can be run."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from progflags.errors import MissingExtraError, missing

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def test_no_extra_is_empty_and_all_brings_every_one():
    (everything,) = EXTRAS["all"]

    assert all(EXTRAS.values())
    assert set(everything.removeprefix("progflags[").removesuffix("]").split(",")) == EXTRAS.keys() - {"all"}


def test_every_requirement_has_a_floor():
    """The list the floors job installs: each of them once, at the lowest version its line allows."""
    said = subprocess.run([sys.executable, ROOT / "tools" / "floors", "--list"], capture_output=True, text=True, check=True).stdout.split()
    floors = dict(line.split("==") for line in said)

    assert len(floors) == len(said)
    for requirement in (*PROJECT["dependencies"], *(one for name, many in EXTRAS.items() if name != "all" for one in many)):
        name, _, rest = requirement.partition(">=")
        assert floors[re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()] == rest.split(",")[0]


def test_only_a_package_that_is_not_there_is_said_to_be_missing():
    """A part of it that is not, or something it needs itself, is told in Python's own words."""
    absent = ModuleNotFoundError("No module named 'redis'", name="redis")
    part = ModuleNotFoundError("No module named 'redis.new'", name="redis.new")
    need = ModuleNotFoundError("No module named 'async_timeout'", name="async_timeout")
    old = ImportError("cannot import name 'Thing' from 'redis'", name="redis")

    assert isinstance(missing(absent, "redis", "redis", "redis"), MissingExtraError)
    assert [missing(error, "redis", "redis", "redis") for error in (part, need, old)] == [part, need, old]


@pytest.mark.parametrize("folder", ["src/progflags"])
def test_no_import_error_is_taken_for_an_absence_unseen(folder):
    """An `except ImportError` in the library hands the error to `missing`, tells it to the user, or stands for the package alone."""
    lines = [
        (path.relative_to(ROOT), number, text)
        for path in (ROOT / folder).rglob("*.py")
        for number, text in enumerate(path.read_text().splitlines(), 1)
        if "except ImportError" in text
    ]
    unseen = [(str(path), number) for path, number, text in lines if " as error:" not in text]

    assert not unseen
