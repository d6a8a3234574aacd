"""
JSON values that many callers share, so nobody may change them.

A flag's object is built once and handed to every caller; a caller that edits its answer would edit everybody's. Frozen
values are still a `dict` and a `list` to `isinstance`, `json.dumps` and `==`; what would change them raises TypeError,
and `copy.copy`, `copy.deepcopy`, `dict(value)`, `list(value)` and `value | {...}` give an ordinary copy to work on.
"""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["FrozenDict", "FrozenList", "alike", "freeze", "thaw"]


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError("a flag's value is shared by everybody who asks: copy.deepcopy() it to have one of your own")


class FrozenDict(dict[str, Any]):
    """A dict that can't be changed."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def copy(self) -> dict[str, Any]:
        return dict(self)

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __deepcopy__(self, memo: object) -> Any:
        return thaw(self)

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        return (freeze, (thaw(self),))


class FrozenList(list[Any]):
    """A list that can't be changed."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def copy(self) -> list[Any]:
        return list(self)

    def __copy__(self) -> list[Any]:
        return list(self)

    def __deepcopy__(self, memo: object) -> Any:
        return thaw(self)

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        return (freeze, (thaw(self),))


def freeze(value: Any) -> Any:
    """`value` with every dict and list in it frozen; scalars as they are."""
    if isinstance(value, dict):
        return FrozenDict((key, freeze(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return FrozenList(freeze(item) for item in value)
    return value


def thaw(value: Any) -> Any:
    """An ordinary, deep copy of a frozen value."""
    if isinstance(value, dict):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, list):
        return [thaw(item) for item in value]
    return value


def alike(one: Any, other: Any) -> bool:
    """Whether two equal values are of the same types throughout, where `==` takes 1, 1.0 and true for the same."""
    if isinstance(one, dict):
        return all(alike(item, other[key]) for key, item in one.items())
    if isinstance(one, list):
        return all(map(alike, one, other))
    return type(one) is type(other)
