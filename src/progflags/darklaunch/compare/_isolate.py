"""
The copy of arguments and result that a shadow may touch.

Immutable values go as they are. A tree of builtins, the common case, is kept as its imprint: the caller pays for writing it
out at C speed, and a copy is made where the shadow runs, if it is needed at all. Other containers, dataclasses, attrs and
pydantic models and plain Python objects are copied field by field. Aliases and cycles stay what they were. What has no
honest copy (a lock, a file, a session, an iterator) is refused: the call is left out and counted, for a shadow that shares
such a thing could change the control's answer, and a comparison of a value its owner goes on editing is a wrong mismatch.
`share` names classes to hand over as they are.

Everything counts against a number of nodes or bytes, so a large argument costs the caller a bounded time and no more.
"""

from __future__ import annotations

import functools
import types
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from copy import copy
from typing import Any, Final

from progflags._printed import quoted
from progflags.darklaunch.compare._imprint import Imprint
from progflags.darklaunch.compare._views import is_atom

__all__ = ["Given", "Isolator", "NotIsolated"]

NODES: Final = 10_000
PRINTED: Final = 512 << 10  # bytes of one imprint; they take the caller about as long as so many nodes
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
_OBJECT_REDUCE: Final = (object.__reduce_ex__, object.__reduce__)


#: Arguments, isolated: (args, kwargs), or an imprint of them.
Given = tuple[tuple[Any, ...], dict[str, Any]] | Imprint


class Isolator:
    """How one experiment copies. `mode`: "auto" as described; "share" hands everything over; a function copies by itself."""

    __slots__ = ("_arguments", "_custom", "_results", "_share", "_shares_all")

    def __init__(self, mode: str | Callable[[Any], Any] = "auto", share: Iterable[type] = ()) -> None:
        if not callable(mode) and mode not in {"auto", "share"}:
            raise ValueError(f'isolate is "auto", "share" or a function that copies one value, not {quoted(mode)}')
        self._custom = mode if callable(mode) else None
        self._shares_all = mode == "share"
        self._share = tuple(share)
        prints = mode == "auto" and not any(kind.__module__ == "builtins" for kind in self._share)
        self._arguments = _Press(prints, aliases=True)
        self._results = _Press(prints)

    def copy(self, value: Any) -> Any:
        """
        A copy nobody else holds.

        Raises:
            NotIsolated: there is none, or it is too large.
        """
        return self.copied(value)[0]

    def kept(self, value: Any) -> tuple[Any, int]:
        """What a comparison needs of `value`: an Imprint of it, or as `copied`."""
        imprint = None if type(value) in _ATOMS else self._results.print(value)
        return self.copied(value) if imprint is None else (imprint, imprint.size)

    def copied(self, value: Any) -> tuple[Any, int]:
        """The copy and roughly how many bytes it keeps alive. Raises as `copy` does."""
        if self._shares_all or type(value) in _SMALL:
            return value, 0
        if self._custom is not None:
            return self._custom(value), 0
        copier = _Copier(self._share)
        return copier.copy(value), copier.text + 64 * copier.nodes

    def spare(self, value: Any) -> Any:
        """A copy where one can be made, else the value itself: for functions that may edit what they only ought to read."""
        try:
            return self.copy(value)
        except NotIsolated:
            return value

    def reduced(self, value: Any, reduce: Callable[[Any], Any]) -> Any:
        """
        What `reduce` makes of `value`, which is the caller's: plain data is handed to it as a copy, a container of anything
        else as a copy of that container, the rest as it is.
        """
        kind = type(value)
        if self._shares_all or kind not in _CONTAINERS:
            return reduce(value)
        imprint = Imprint.of(value, PRINTED)
        return reduce(copy(value) if imprint is None else imprint.value())

    def given(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Given, int]:
        """Both isolated as one, so that a list given twice stays one list; and their size. Raises as `copy` does."""
        if not kwargs and _SMALL.issuperset(map(type, args)):
            return (args, kwargs), 64
        imprint = self._arguments.print((args, kwargs))
        return self.copied((args, kwargs)) if imprint is None else (imprint, imprint.size)

    def fresh(self, given: Given, *, last: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments for one run. `last`: nobody will read them as they were after it."""
        if isinstance(given, Imprint):
            args, kwargs = given.value()
        else:
            args, kwargs = given if last else self.copy(given)
        return args, kwargs


_CONTAINERS: Final[frozenset[type]] = frozenset({dict, list, tuple, set, deque, bytearray})
_SMALL: Final = frozenset({int, float, bool, type(None)})
_ATOMS: Final = _SMALL | {str, bytes}
_RARELY: Final = 10  # misses in a row after which one value in 2^10 is tried


class _Press:
    """Takes imprints, and tries less and less often where there are none: a large text is found only by having been written out."""

    __slots__ = ("_aliases", "_misses", "_prints", "_skip")

    def __init__(self, prints: bool, *, aliases: bool = False) -> None:
        self._prints = prints
        self._aliases = aliases
        self._misses = 0
        self._skip = 0

    def print(self, value: Any) -> Imprint | None:
        if not self._prints:
            return None
        if self._skip > 0:
            self._skip -= 1
            return None
        imprint = Imprint.of(value, PRINTED, aliases=self._aliases)
        if imprint is None:
            self._misses = min(self._misses + 1, _RARELY)
            self._skip = 2**self._misses
        else:
            self._misses = 0
        return imprint


class _Copier:
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


def _dict(copier: _Copier, value: dict[Any, Any]) -> dict[Any, Any]:
    new: dict[Any, Any] = {}
    copier.memo[id(value)] = new
    copier.count(len(value))
    text = 0
    for key, each in value.items():
        kind = type(each)
        if kind is str:
            text += len(each)
        elif kind not in _SMALL:
            each = copier.copy(each)  # noqa: PLW2901 - three kinds of value, one assignment
        new[key if type(key) is str else copier.copy(key)] = each
    copier.read(text)
    return new


def _list(copier: _Copier, value: list[Any]) -> list[Any]:
    new: list[Any] = []
    copier.memo[id(value)] = new
    copier.count(len(value))
    text = 0
    for each in value:
        kind = type(each)
        if kind is str:
            text += len(each)
        elif kind not in _SMALL:
            each = copier.copy(each)  # noqa: PLW2901 - as above
        new.append(each)
    copier.read(text)
    return new


def _tuple(copier: _Copier, value: tuple[Any, ...]) -> tuple[Any, ...]:
    copier.count(len(value))
    copy = copier.copy
    new = tuple([copy(each) for each in value])
    if all(map(_is, new, value)):
        return value
    # A cycle through this tuple has made its copy meanwhile.
    return copier.memo.setdefault(id(value), new)  # type: ignore[no-any-return]


def _is(a: Any, b: Any) -> bool:
    return a is b


def _set(copier: _Copier, value: set[Any]) -> set[Any]:
    copier.count(len(value))
    return {copier.copy(each) for each in value}


def _frozenset(copier: _Copier, value: frozenset[Any]) -> frozenset[Any]:
    copier.count(len(value))
    return frozenset([copier.copy(each) for each in value])


def _bytearray(copier: _Copier, value: bytearray) -> bytearray:
    copier.read(len(value))
    copier.count(1)
    return bytearray(value)


def _ordered(copier: _Copier, value: OrderedDict[Any, Any]) -> OrderedDict[Any, Any]:
    return OrderedDict(_dict(copier, value))


def _default(copier: _Copier, value: defaultdict[Any, Any]) -> defaultdict[Any, Any]:
    return defaultdict(value.default_factory, _dict(copier, value))


def _counter(copier: _Copier, value: Counter[Any]) -> Counter[Any]:
    return Counter(_dict(copier, value))


def _deque(copier: _Copier, value: deque[Any]) -> deque[Any]:
    copier.count(len(value))
    return deque([copier.copy(each) for each in value], value.maxlen)


def _namespace(copier: _Copier, value: types.SimpleNamespace) -> types.SimpleNamespace:
    new = types.SimpleNamespace()
    copier.memo[id(value)] = new
    copier.count(len(vars(value)))
    vars(new).update({name: copier.copy(each) for name, each in vars(value).items()})
    return new


def _proxy(copier: _Copier, value: types.MappingProxyType[Any, Any]) -> types.MappingProxyType[Any, Any]:
    return types.MappingProxyType(_dict(copier, dict(value)))


_HOW: Final[dict[type, Callable[[_Copier, Any], Any]]] = {
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
