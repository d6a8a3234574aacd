"""What users may name: of the leaves all that they offer, of the rest what the documentation names."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import is_typeddict

import progflags.contrib

__all__ = ["WHOLE", "members", "named", "signature"]

ROOT = Path(__file__).parents[2]
TOLD = re.compile(r"\bprogflags((?:\.[a-z]\w*)+)\.([A-Za-z]\w*)\b|from progflags((?:\.[a-z]\w*)+) import ([\w, ]+)")

# Modules in which everything in `__all__` is public; of the others what the documentation names is.
WHOLE = (
    "progflags",
    "progflags.asgi",
    "progflags.wsgi",
    "progflags.telemetry",
    "progflags.testing",
    *(f"progflags.contrib.{each.name}" for each in pkgutil.iter_modules(progflags.contrib.__path__) if each.name[0] != "_"),
)


def told():
    """`module, name` of all that the documentation, the README and the examples take from a public module."""
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.py")]:
        for whole, name, source, names in TOLD.findall(page.read_text()):
            for each in [name] if name else re.findall(r"\w+", names.split(" as ")[0]):
                yield "progflags" + (whole or source), each


def named():
    """Every public name once: `dotted name, value`."""
    found = {f"{module}.{name}" for module in WHOLE for name in getattr(importlib.import_module(module), "__all__", ())}
    found |= {f"{module}.{name}" for module, name in told()}
    for dotted in sorted(found):
        module, _, name = dotted.rpartition(".")
        try:
            value = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue  # a file's name, a module of a reader's, a method: these are shown with their class
        if not inspect.ismodule(value) and dotted != "progflags.__version__":
            yield dotted, value


def signature(value):
    """As it stands in the source; an object that stands as a default has no address."""
    try:
        return re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(value)))
    except (TypeError, ValueError):
        return ""


def members(kind):
    """A class's own and inherited public members, as far as they are ours."""
    if is_typeddict(kind):
        yield from ((name, f": {getattr(each, '__forward_arg__', each)}") for name, each in sorted(kind.__annotations__.items()))
    for name in sorted(name for name in dir(kind) if not name.startswith(("_", "test_"))):
        owner = next((each for each in kind.__mro__ if name in vars(each)), None)
        if owner is None or not owner.__module__.startswith("progflags"):
            continue
        raw = vars(owner)[name]
        if isinstance(raw, property):
            yield name, ": " + str(inspect.signature(raw.fget).return_annotation).strip("'")
        elif callable(getattr(kind, name)):
            yield name, signature(getattr(kind, name))
        else:
            yield name, ""
