"""
Conditions as trees of tables, the form that programs write and exchange.

    { all = [...] }   { any = [...] }   { not = {...} }   { segment = "staff" }   { attribute = "plan", op = "in", value = ["pro"] }

Wherever a condition stands in a tree an expression (see _expression.py) may stand as well; both become the same nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from progflags.flags._problems import Path, Wrong, shown, suggest
from progflags.flags.conditions._conditions import KEY, Compare, Every, Named, Never, Node, Some
from progflags.flags.conditions._expression import expression
from progflags.flags.conditions._fit import literal, moment, network, version
from progflags.flags.conditions._literals import Literal, Network
from progflags.flags.conditions._operators import OPERATORS

__all__ = ["tree"]

_DEEPEST: Final = 32


def tree(value: Any, path: Path = (), depth: int = 0) -> Node:
    """
    The condition written as `value`: an expression, a tree, or a mixture.

    Raises:
        Wrong: it is neither; its `path` says which part.
    """
    if depth > _DEEPEST:
        raise Wrong(f"nested deeper than {_DEEPEST} levels", "name a part as a segment", path)
    if isinstance(value, str):
        try:
            return expression(value)
        except Wrong as wrong:
            raise Wrong(wrong.message, wrong.hint, path) from None
    if not isinstance(value, Mapping):
        raise Wrong("a condition is an expression or a table", "write 'plan == \"pro\"'", path)
    return _branch(value, path, depth)


def _branch(table: Mapping[str, Any], path: Path, depth: int) -> Node:
    word = next((word for word in ("all", "any", "not", "segment", "attribute") if word in table), None)
    if word is None:
        raise Wrong("a condition's table has all, any, not, segment or attribute", next((suggest(k, _WORDS) for k in table), ""), path)
    allowed = {"attribute", "op", "value"} if word == "attribute" else {word}
    for key in table:
        if key not in allowed:
            raise Wrong(f"unknown key beside {word!r}", suggest(key, allowed) if word == "attribute" else "", (*path, key))
    inner = table[word]
    if word in ("all", "any"):
        if not isinstance(inner, list) or not inner:
            raise Wrong(f"{word!r} wants a list of conditions", "", (*path, word))
        parts = tuple(tree(part, (*path, word, at), depth + 1) for at, part in enumerate(inner))
        return Every(parts) if word == "all" else Some(parts)
    if word == "not":
        return Never(tree(inner, (*path, word), depth + 1))
    if not isinstance(inner, str) or not inner:
        raise Wrong(f"{word!r} wants a name", "", (*path, word))
    return Named(inner) if word == "segment" else _leaf(table, inner, path)


_WORDS: Final = ("all", "any", "not", "segment", "attribute", "op", "value")
_ALIASES: Final = {"not_in": "not in", "glob": "matches", "=": "=="}


def _leaf(table: Mapping[str, Any], attribute: str, path: Path) -> Node:
    op = table.get("op", "==")
    op = _ALIASES.get(op, op) if isinstance(op, str) else op
    if not isinstance(op, str) or op not in OPERATORS:
        raise Wrong(f"there is no operator {shown(op)}", suggest(op, OPERATORS), (*path, "op"))
    if "value" not in table and op != "exists":
        raise Wrong("a comparison has a value", "", path)
    names = tuple(attribute.split("."))
    if not all(names) or (names[0] == KEY and len(names) > 1):
        raise Wrong(f"{attribute!r} is no attribute", 'write "plan", or "user.plan" for a nested one', (*path, "attribute"))
    if "value" in table and table["value"] is None:
        there = "true" if op == "!=" else "false"
        hint = f'write {{ attribute = "{attribute[:80]}", op = "exists", value = {there} }}'
        raise Wrong("compares with null, and a missing value matches nothing", hint, (*path, "value"))
    try:
        return Compare(names, op, literal(op, _value(table.get("value", True))))
    except Wrong as wrong:
        raise Wrong(wrong.message, wrong.hint, (*path, "value", *wrong.path)) from None


def _value(value: Any) -> Literal:
    """A literal as a tree writes it: plain values, lists, native dates, and `{ semver = "…" }`, `{ date = "…" }`, `{ cidr = "…" }`."""
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - only NaN differs from itself
            raise Wrong("NaN and infinity can't be compared with")
        return value
    if isinstance(value, date):
        return moment(value)
    if isinstance(value, list):
        items = tuple(_value(item) for item in value)
        if any(isinstance(item, tuple | Network) for item in items):
            raise Wrong("a list in a condition has plain values")
        return items
    if isinstance(value, Mapping) and len(value) == 1:
        kind, inner = next(iter(value.items()))
        if kind == "semver" and isinstance(inner, str):
            return version(inner)
        if kind == "date":
            return moment(inner)
        if kind == "cidr" and isinstance(inner, str | list):
            return network(*([inner] if isinstance(inner, str) else [str(item) for item in inner]))
    raise Wrong("can't be compared with", 'write a text, a number, true, false, a list, a date or { semver = "2.1.0" }')
