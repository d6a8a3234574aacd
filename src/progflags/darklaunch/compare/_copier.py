"""Copies of values, part by part; what has no honest copy says so."""

from __future__ import annotations

import functools
import types
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any, Final

from progflags.darklaunch.compare._views import is_atom

__all__ = ["ATOMS", "CONTAINERS", "SMALL", "Copier", "NotIsolated"]

NODES: Final = 10_000
TEXT: Final = 8 << 20  # characters and bytes reachable from one call's copies: what waiting calls may keep alive


class NotIsolated(Exception):  # noqa: N818 - a finding, not an error
    """No copy can be made, or it would cost too much. The message names the class, never the value."""


#: Shared as they are: code and other things a copy of would be meaningless (copy.deepcopy does the same).
_CODE: Final = frozenset(
    {
        *(types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, types.CodeType, type, property),
        *(types.MethodWrapperType, types.WrapperDescriptorType, types.MethodDescriptorType, types.GetSetDescriptorType),
        *(weakref.ref, functools.partial),
    }
)
CONTAINERS: Final[frozenset[type]] = frozenset({dict, list, tuple, set, deque, bytearray})
SMALL: Final = frozenset({int, float, bool, type(None)})
ATOMS: Final = SMALL | {str, bytes}


class Copier:
    """One copy in progress; `memo` keeps aliases aliases, and originals alive so that no id comes twice."""

    __slots__ = ("memo", "nodes", "share", "text")

    def __init__(self, share: tuple[type, ...]) -> None:
        self.memo: dict[int, Any] = {}
        self.nodes = 0
        self.text = 0
        self.share = share

    def copy(self, value: Any) -> Any:
        kind = type(value)
        if kind is str or kind is bytes:
            self.read(len(value))
            return value
        known = self.memo.get(id(value), self)
        if known is not self:
            return known
        if self.share and isinstance(value, self.share):
            return value
        how = _HOW.get(kind)
        if how is not None:
            return how(self, value)
        if is_atom(kind) or kind in _CODE:
            return value
        return self._other(value, kind)

    def read(self, text: int) -> None:
        self.text += text
        if self.text > TEXT:
            raise NotIsolated("too much text")

    def count(self, nodes: int) -> None:
        self.nodes += nodes + 1
        if self.nodes > NODES:
            raise NotIsolated("too many nodes")

    def _other(self, value: Any, kind: type) -> Any:
        if isinstance(value, type):
            return value
        name = f"{kind.__module__}.{kind.__qualname__}"
        if name in _ARRAYS:
            return self._array(value)
        if issubclass(kind, tuple) and isinstance(getattr(kind, "_fields", None), tuple):
            self.count(len(value))
            return tuple.__new__(kind, [self.copy(each) for each in value])
        if _is_plain(kind):
            return self._instance(value, kind)
        if isinstance(value, BaseException):
            return value
        raise NotIsolated(name)

    def _array(self, value: Any) -> Any:
        size = getattr(value, "nbytes", None)
        if not isinstance(size, int):
            size = int(value.memory_usage(deep=True).sum()) if value.ndim > 1 else int(value.memory_usage(deep=True))
        if getattr(getattr(value, "dtype", None), "hasobject", False):
            raise NotIsolated("an array of objects")
        self.read(size)
        self.count(1)
        return value.copy()

    def _instance(self, value: Any, kind: type) -> Any:
        """A new instance with copied attributes; nothing of the class's own runs."""
        try:
            new: Any = object.__new__(kind)
        except TypeError:  # a class written in C: it has state that attributes don't show
            raise NotIsolated(f"{kind.__module__}.{kind.__qualname__}") from None
        self.memo[id(value)] = new
        for name in _slots(kind):
            if hasattr(value, name):
                object.__setattr__(new, name, self.copy(getattr(value, name)))
        own = getattr(value, "__dict__", None)
        if own is not None:
            self.count(len(own))
            # Item by item rather than by setattr: a frozen dataclass refuses that, a property would run.
            new.__dict__.update({name: self.copy(each) for name, each in own.items()})
        return new


def _dict(copier: Copier, value: dict[Any, Any]) -> dict[Any, Any]:
    new: dict[Any, Any] = {}
    copier.memo[id(value)] = new
    copier.count(len(value))
    text = 0
    for key, each in value.items():
        kind = type(each)
        if kind is str:
            text += len(each)
        elif kind not in SMALL:
            each = copier.copy(each)  # noqa: PLW2901 - three kinds of value, one assignment
        new[key if type(key) is str else copier.copy(key)] = each
    copier.read(text)
    return new


def _list(copier: Copier, value: list[Any]) -> list[Any]:
    new: list[Any] = []
    copier.memo[id(value)] = new
    copier.count(len(value))
    text = 0
    for each in value:
        kind = type(each)
        if kind is str:
            text += len(each)
        elif kind not in SMALL:
            each = copier.copy(each)  # noqa: PLW2901 - as above
        new.append(each)
    copier.read(text)
    return new


def _tuple(copier: Copier, value: tuple[Any, ...]) -> tuple[Any, ...]:
    copier.count(len(value))
    copy = copier.copy
    new = tuple([copy(each) for each in value])
    if all(map(_is, new, value)):
        return value
    # A cycle through this tuple has made its copy meanwhile.
    return copier.memo.setdefault(id(value), new)  # type: ignore[no-any-return]


def _is(a: Any, b: Any) -> bool:
    return a is b


def _set(copier: Copier, value: set[Any]) -> set[Any]:
    copier.count(len(value))
    return {copier.copy(each) for each in value}


def _frozenset(copier: Copier, value: frozenset[Any]) -> frozenset[Any]:
    copier.count(len(value))
    return frozenset([copier.copy(each) for each in value])


def _bytearray(copier: Copier, value: bytearray) -> bytearray:
    copier.read(len(value))
    copier.count(1)
    return bytearray(value)


def _ordered(copier: Copier, value: OrderedDict[Any, Any]) -> OrderedDict[Any, Any]:
    return OrderedDict(_dict(copier, value))


def _default(copier: Copier, value: defaultdict[Any, Any]) -> defaultdict[Any, Any]:
    return defaultdict(value.default_factory, _dict(copier, value))


def _counter(copier: Copier, value: Counter[Any]) -> Counter[Any]:
    return Counter(_dict(copier, value))


def _deque(copier: Copier, value: deque[Any]) -> deque[Any]:
    copier.count(len(value))
    return deque([copier.copy(each) for each in value], value.maxlen)


def _namespace(copier: Copier, value: types.SimpleNamespace) -> types.SimpleNamespace:
    new = types.SimpleNamespace()
    copier.memo[id(value)] = new
    copier.count(len(vars(value)))
    vars(new).update({name: copier.copy(each) for name, each in vars(value).items()})
    return new


def _proxy(copier: Copier, value: types.MappingProxyType[Any, Any]) -> types.MappingProxyType[Any, Any]:
    return types.MappingProxyType(_dict(copier, dict(value)))


_HOW: Final[dict[type, Callable[[Copier, Any], Any]]] = {
    dict: _dict,
    list: _list,
    tuple: _tuple,
    set: _set,
    frozenset: _frozenset,
    bytearray: _bytearray,
    OrderedDict: _ordered,
    defaultdict: _default,
    Counter: _counter,
    deque: _deque,
    types.SimpleNamespace: _namespace,
    types.MappingProxyType: _proxy,
}


_ARRAYS: Final = frozenset({"numpy.ndarray", "pandas.core.frame.DataFrame", "pandas.core.series.Series"})


@functools.lru_cache(maxsize=1024)
def _is_plain(kind: type) -> bool:
    """
    Whether an instance is its attributes and nothing else: Python classes all the way to object, with none of the hooks by
    which a class says that it is more (own reduction or state, a finaliser, its own construction).
    """
    return all(base.__flags__ & _HEAP and _ordinary(base) for base in kind.__mro__[:-1])


_HEAP: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement (or by a C module, which then brings its own __new__)
_HOOKS: Final = ("__del__", "__reduce__", "__reduce_ex__", "__getattribute__", "__next__", "__await__", "__anext__")


def _ordinary(base: type) -> bool:
    own = vars(base)
    if _generated(base):
        return "__del__" not in own
    return not any(name in own for name in _HOOKS) and not isinstance(own.get("__new__"), types.BuiltinFunctionType)


def _generated(base: type) -> bool:
    """Classes whose hooks a library wrote: their fields are all they have."""
    return hasattr(base, "__pydantic_core_schema__") or hasattr(base, "__attrs_attrs__") or hasattr(base, "__dataclass_fields__")


@functools.lru_cache(maxsize=1024)
def _slots(kind: type) -> tuple[str, ...]:
    found: list[str] = []
    for base in kind.__mro__:
        names = vars(base).get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            private = name.startswith("__") and not name.endswith("__")
            found.append(f"_{base.__name__.lstrip('_')}{name}" if private else name)
    return tuple(name for name in found if name not in {"__dict__", "__weakref__"})
