"""Which flags a program's source asks for, found in its syntax trees without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Use", "scan"]

_CALLS: Final = frozenset({"is_enabled", "Flag", "dark_launch", "progressive", "force"})
"""Calls whose first argument is a flag's key, whatever they are called on."""

_READS: Final = frozenset({"get", "evaluate", "explain"})
"""Likewise, but only on something named like a flags client: a dict has a `get` too."""

_SKIPPED: Final = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__", "build", "dist"})


@dataclass(frozen=True, slots=True)
class Use:
    """A flag's key in source. `sure`: in a call that asks for a flag; else only as a text that equals some flag's key."""

    key: str
    file: str
    line: int
    sure: bool


def scan(paths: Iterable[str]) -> list[Use]:
    """
    Every use in the Python files at and below `paths`.

    Files that are no Python (or of another version's syntax) are passed over.
    """
    return [use for path in paths for file in _files(Path(path)) for use in _uses(file)]


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for file in sorted(path.rglob("*.py")):
        if not _SKIPPED & set(file.parts):
            yield file


def _uses(file: Path) -> Iterator[Use]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError):
        return
    sure: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for argument in _keys(node):
                sure.add(argument)
                yield Use(str(argument.value), str(file), argument.lineno, sure=True)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in sure:
            yield Use(node.value, str(file), node.lineno, sure=False)


def _keys(call: ast.Call) -> Iterator[ast.Constant]:
    """The arguments of a call that are a flag's key."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""
    if name in _CALLS or (name in _READS and _is_client(call.func)):
        first = call.args[0] if call.args else next((word.value for word in call.keywords if word.arg in ("key", "flag")), None)
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first
    if name == "DarkLaunchMiddleware":
        for word in call.keywords:
            if word.arg == "flag" and isinstance(word.value, ast.Constant) and isinstance(word.value.value, str):
                yield word.value


def _is_client(function: ast.expr) -> bool:
    """Whether a method is called on a name (or attribute) that ends in `flags`."""
    on = function.value if isinstance(function, ast.Attribute) else None
    name = on.attr if isinstance(on, ast.Attribute) else on.id if isinstance(on, ast.Name) else ""
    return name.lower().endswith("flags")
