"""An answer made of an ORM's objects as plain data: walked through containers, bounded by what is on the way already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

__all__ = ["plain"]

#: What one object is made of: its values by name, its rows, or None where it is none of the ORM's.
Opened = Callable[[Any], Mapping[str, Any] | list[Any] | None]

_AGAIN: Final = "(again)"


def plain(value: Any, opened: Opened, above: frozenset[int] = frozenset()) -> Any:
    """`value` with every object that `opened` knows as a dict. An object inside itself ends there."""
    found = opened(value)
    content = value if found is None else found
    if not isinstance(content, (Mapping, list, tuple, AbstractSet)):
        return value
    if id(value) in above:
        return _AGAIN
    inside = above | {id(value)}
    if isinstance(content, Mapping):
        return {key: plain(each, opened, inside) for key, each in content.items()}
    rows = [plain(each, opened, inside) for each in content]
    return _set(rows) if isinstance(content, AbstractSet) else rows


def _set(rows: list[Any]) -> Any:
    """A set of plain values stays one; rows have no order, and can't be in a set: they are sorted by what they print as."""
    try:
        return set(rows)
    except TypeError:
        return sorted(rows, key=repr)
