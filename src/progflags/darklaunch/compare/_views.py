"""
How a value is looked into: its fields, its items, or not at all.

Only what can be read without running the value's own logic is opened: fields of dataclasses, attrs and pydantic models,
items of mappings and sequences. What would be consumed by looking (iterators, coroutines, files) stays closed. Types
we do not know can be registered, by class or by name so that nothing is imported for it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import types
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from progflags.darklaunch.compare import _arrays
from progflags.darklaunch.compare._arrays import SpecialDiff

__all__ = ["ATOMS", "Opened", "is_closed", "opened", "register", "special"]

#: Immutable, and equal by `==` alone.
ATOMS: Final[frozenset[type]] = frozenset(
    {
        *(int, float, bool, str, bytes, complex, type(None), type(...), type(NotImplemented), range, Decimal, Fraction, uuid.UUID),
        *(dt.datetime, dt.date, dt.time, dt.timedelta, dt.timezone),
        *(type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType),
    }
)

#: What a value opens into: ("fields" | "mapping", dict), ("items", list) or ("set", set); None: it stays closed.
Opened = tuple[str, Any] | None


_registered: dict[str, Callable[[Any], Any]] = {}


def register(kind: type | str, view: Callable[[Any], Any]) -> None:
    """
    Say how values of a class are compared: by `view(value)`, which returns something comparable (a dict of fields, a list).

    `kind` is the class, or its full name ("package.module.Class") so that the package need not be imported. Subclasses
    follow, unless registered themselves. `register(Basket, vars)` compares by instance attributes.
    """
    _registered[kind if isinstance(kind, str) else _name(kind)] = view


def special(value: Any) -> SpecialDiff | None:
    """The comparison for arrays, tables and their columns; None for what is compared by what is in it."""
    name = _array(type(value))
    if not name:
        return None
    return getattr(_arrays, name)  # type: ignore[no-any-return]


def _array(kind: type) -> str:
    """The name of its comparison in `_arrays`, or nothing."""
    return _array_of(kind)


@lru_cache(1024)
def _array_of(kind: type) -> str:
    return next((_ARRAYS[key] for each in kind.__mro__ if (key := (each.__module__.partition(".")[0], each.__qualname__)) in _ARRAYS), "")


def opened(value: Any, limit: int) -> Opened:
    """What is inside `value`, at most `limit` things of it; None where it can't be looked into."""
    kind = type(value)
    for name in _names(kind):
        if name in _registered:
            return "fields", {"view": _registered[name](value)}
    fields = _fields(kind)
    if fields is not None:
        return "fields", {name: getattr(value, name) for name in fields if hasattr(value, name)}
    if _is_pydantic(kind):
        return "fields", {**value.__dict__, **(getattr(value, "__pydantic_extra__", None) or {})}
    if isinstance(value, types.SimpleNamespace):
        return "fields", dict(vars(value))
    if _array(kind):
        return _columns(value)
    if isinstance(value, AbstractSet):
        return "set", frozenset(islice(value, limit))
    if isinstance(value, Mapping):
        return "mapping", dict(islice(value.items(), limit))
    if isinstance(value, (Sequence, deque)) and not isinstance(value, (str, bytes, bytearray, memoryview)):
        return "items", list(islice(value, limit))
    return None


def _columns(value: Any) -> Opened:
    """A table by its columns; an array of objects by its items."""
    if _array(type(value)) == "table":
        names = list(getattr(value, "column_names", None) or value.columns)
        return "mapping", {name: value.column(at) if hasattr(value, "column") else value[name] for at, name in enumerate(names)}
    return "items", value.tolist() if value.shape else [value.item()]


def is_closed(value: Any) -> bool:
    """Whether looking would consume it or says nothing: iterators, generators, coroutines, files, plain objects without `==`."""
    kind = type(value)
    if hasattr(kind, "__next__") or hasattr(kind, "__anext__") or hasattr(kind, "__await__") or hasattr(kind, "readinto"):
        return True
    return getattr(kind, "__eq__", None) is object.__eq__


def _fields(kind: type) -> list[str] | None:
    if hasattr(kind, "__dataclass_fields__"):
        return [field.name for field in dataclasses.fields(kind) if field.compare]
    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes is not None:
        return [attribute.name for attribute in attributes if attribute.eq]
    names = getattr(kind, "_fields", None)
    if issubclass(kind, tuple) and isinstance(names, tuple):
        return list(names)
    return None


def _is_pydantic(kind: type) -> bool:
    return hasattr(kind, "__pydantic_core_schema__") and hasattr(kind, "__pydantic_fields_set__")


def is_atom(kind: type) -> bool:
    """Whether values of this exact class are immutable scalars."""
    return kind in ATOMS or issubclass(kind, Enum)


def _names(kind: type) -> list[str]:
    return [_name(each) for each in kind.__mro__]


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


# Arrays and tables, by package and public name: where their classes are defined is the packages' own affair and changes.
_ARRAYS: Final[dict[tuple[str, str], str]] = {
    **dict.fromkeys((("numpy", "ndarray"), ("numpy", "generic")), "array"),
    **dict.fromkeys((("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "Table"), ("pyarrow", "RecordBatch")), "table"),
    **dict.fromkeys((("pandas", "Series"), ("pandas", "Index"), ("pandas", "ExtensionArray")), "pandas_column"),
    ("polars", "Series"): "polars_column",
    **dict.fromkeys((("pyarrow", "Array"), ("pyarrow", "ChunkedArray"), ("pyarrow", "Scalar")), "arrow_column"),
}
