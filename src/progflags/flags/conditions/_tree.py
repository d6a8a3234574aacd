"""
Conditions as trees of tables, the form that programs write and exchange.

    { all = [...] }   { any = [...] }   { not = {...} }   { segment = "staff" }   { attribute = "plan", op = "in", value = ["pro"] }
    { attribute = "orders", op = "any", value = <a condition of an item> }   { …, value = { attribute = "another" } }

Wherever a condition stands in a tree an expression (see _expression.py) may stand as well; both become the same nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from progflags.flags._problems import Path, Wrong, shown, suggest
from progflags.flags.conditions._compare import KEY, Compare
from progflags.flags.conditions._conditions import Among, Every, Named, Never, Node, Some
from progflags.flags.conditions._expression import expression
from progflags.flags.conditions._fit import from_now, literal, moment, network, pair, version
from progflags.flags.conditions._literals import FromNow, Literal, Network, Table
from progflags.flags.conditions._operators import OPERATORS

__all__ = ["ANY", "tree"]

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
    return Named(inner) if word == "segment" else _leaf(table, inner, path, depth)


_WORDS: Final = ("all", "any", "not", "segment", "attribute", "op", "value")
ANY: Final = "any"
"""The operator whose value is a condition: of a list's items."""
_ALIASES: Final = {"not_in": "not in", "glob": "matches", "=": "=="}


def _leaf(table: Mapping[str, Any], attribute: str, path: Path, depth: int) -> Node:
    op = table.get("op", "==")
    op = _ALIASES.get(op, op) if isinstance(op, str) else op
    if not isinstance(op, str) or op not in (*OPERATORS, ANY):
        raise Wrong(f"there is no operator {shown(op)}", _meant(op), (*path, "op"))
    if "value" not in table and op != "exists":
        raise Wrong("a comparison has a value", "", path)
    try:
        names = _names(attribute)
    except Wrong as wrong:
        raise Wrong(wrong.message, wrong.hint, (*path, "attribute")) from None
    if "value" in table and table["value"] is None:
        there = "true" if op == "!=" else "false"
        hint = f'write {{ attribute = "{attribute[:80]}", op = "exists", value = {there} }}'
        raise Wrong("compares with null, and a missing value matches nothing", hint, (*path, "value"))
    if op == ANY:
        return Among(names, tree(table["value"], (*path, "value"), depth + 1))
    try:
        return _compared(names, op, table.get("value", True))
    except Wrong as wrong:
        raise Wrong(wrong.message, wrong.hint, (*path, "value", *wrong.path)) from None


_ELSEWHERE: Final = {
    "eq": "==",
    "equals": "==",
    "ne": "!=",
    "gt": ">",
    "gte": ">=",
    "ge": ">=",
    "lt": "<",
    "lte": "<=",
    "le": "<=",
    "re": "regex",
}


def _meant(op: Any) -> str:
    """What to write for an operator that other systems call otherwise."""
    known = _ELSEWHERE.get(op.lower()) if isinstance(op, str) else None
    return f"write {known!r}" if known else suggest(op, (*OPERATORS, ANY))


def _names(attribute: str) -> tuple[str, ...]:
    names = tuple(attribute.split("."))
    if not all(names) or (names[0] == KEY and len(names) > 1):
        raise Wrong(f"{attribute!r} is no attribute", 'write "plan", or "user.plan" for a nested one')
    return names


def _compared(names: tuple[str, ...], op: str, written: Any) -> Node:
    if isinstance(written, Mapping) and set(written) == {"attribute"} and isinstance(written["attribute"], str):
        return pair(names, op, _names(written["attribute"]))
    return Compare(names, op, literal(op, _whole(written) if op in ("==", "!=") else _value(written)))


_TYPED: Final = ("semver", "date", "cidr", "now")


def _whole(value: Any, depth: int = 0) -> Literal:
    """What a list or a table is equal to: within one, lists and tables again."""
    if depth > _DEEPEST:
        raise Wrong(f"nested deeper than {_DEEPEST} levels")
    if isinstance(value, list):
        return tuple(_whole(item, depth + 1) for item in value)
    if isinstance(value, Mapping) and not (len(value) == 1 and next(iter(value)) in _TYPED):
        return Table(tuple((str(name), _whole(value[name], depth + 1)) for name in sorted(value)))
    return _value(value)


def _value(value: Any) -> Literal:
    """A literal as a tree writes it: plain, a list, a native date, or a table of one key: semver, date, cidr, now (`{ now = "-7d" }`)."""
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
        if any(isinstance(item, tuple | Network | FromNow) for item in items):
            raise Wrong("a list in a condition has plain values")
        return items
    if isinstance(value, Mapping) and len(value) == 1:
        kind, inner = next(iter(value.items()))
        if kind == "semver" and isinstance(inner, str):
            return version(inner)
        if kind == "date":
            return moment(inner)
        if kind == "now" and isinstance(inner, str) and inner[:1] in ("+", "-"):
            return from_now(inner[0], inner[1:])
        if kind == "cidr" and isinstance(inner, str | list):
            return network(*([inner] if isinstance(inner, str) else [str(item) for item in inner]))
    raise Wrong("can't be compared with", 'write a text, a number, true, false, a list, a date or { semver = "2.1.0" }')
