"""What users may name keeps its shape: `public.txt` holds every public name with its signature."""

import enum
import inspect
import os
from pathlib import Path

import pytest

from support.public import members, named, signature

KEPT = Path(__file__).parent / "public.txt"


@pytest.fixture
def unhurried():
    """What is looked at here is what users meet."""


unhurried_defaults = unhurried


def lines():
    for dotted, value in named():
        if inspect.isclass(value) and issubclass(value, enum.Enum):
            yield f"{dotted}: {', '.join(each.name for each in value)}"
        elif callable(value):
            yield dotted + signature(value)
        else:
            yield dotted
        if inspect.isclass(value):
            for name, rest in members(value):
                if not (issubclass(value, enum.Enum) and name in value.__members__):
                    yield f"{dotted}.{name}{rest}"


def test_public_names_and_their_signatures_are_those_that_were_agreed():
    """
    A difference here is a change that users see. Where it is meant: PROGFLAGS_PUBLIC=write, and commit what it writes.

    A default, a parameter's place, a method that went: each is a line.
    """
    found = list(lines())

    if os.environ.get("PROGFLAGS_PUBLIC") == "write":
        KEPT.write_text("\n".join(found) + "\n")

    assert found == KEPT.read_text().splitlines(), "PROGFLAGS_PUBLIC=write pytest tests/house/test_public.py, if it is meant"
