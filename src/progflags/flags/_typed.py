"""
Typed flags: a key, a default and a type that mypy sees.

    CHECKOUT = pf.Flag("checkout-flow", default="classic")
    LIMITS = pf.Flag("search-limits", default=Limits(k=10, timeout=0.2))     # a pydantic model
    flags.get(CHECKOUT, context=ctx)            # str
    checkout = CHECKOUT.bind(flags)             # a function of the context: the fastest way to ask
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from progflags.errors import Problem
from progflags.flags._freeze import thaw
from progflags.flags._problems import dotted

if TYPE_CHECKING:
    from progflags.flags._client import Client
    from progflags.flags._model import Snapshot

__all__ = ["Flag", "Mismatch", "as_type_of", "declared", "mismatches"]

T = TypeVar("T")

_declared: Final[weakref.WeakSet[Flag[Any]]] = weakref.WeakSet()


class Mismatch(TypeError):  # noqa: N818 - a signal inside the room
    """A flag's value is not of the type the code wants."""


class Flag(Generic[T]):
    """
    A flag as the code knows it: `default` is both what trouble gives and the type of every answer.

    `model`: a class whose `model_validate` (or the class itself, called) makes the value of a JSON flag; it is taken from the
    default when that has `model_validate`. Declared flags are compared with the file that serves: another type is a
    warning in `status()`; one that the file lacks may be another client's, and `progflags lint` says it.
    """

    __slots__ = ("__weakref__", "_make", "default", "description", "key")

    def __init__(self, key: str, *, default: T, model: Callable[..., T] | None = None, description: str = "") -> None:
        if not isinstance(key, str) or not key:
            raise ValueError(f"a flag's key is a text, not {key!r}")
        self.key = key
        self.default = default
        self.description = description
        kind: Any = type(default) if model is None else model
        self._make: Callable[[Any], T] | None = getattr(kind, "model_validate", None) or model
        _declared.add(self)

    def read(self, value: Any) -> T:
        """
        A variant's value as this flag's type.

        Raises:
            TypeError: it is of another type, or the model refuses it.
        """
        if self._make is None:
            return as_type_of(self.default, value)  # type: ignore[no-any-return]
        try:
            return self._make(thaw(value))
        except Exception as error:
            raise Mismatch(f"flag {self.key!r}: {error}") from error

    @property
    def copies(self) -> bool:
        """Whether every caller gets a model of his own, because its class lets itself be changed."""
        config = getattr(type(self.default), "model_config", None)
        return self._make is not None and not (isinstance(config, dict) and config.get("frozen"))

    def bind(self, flags: Client) -> Callable[..., T]:
        """This flag as a function of the context, following every reload of `flags`."""
        return flags._bind(self)

    def __repr__(self) -> str:
        return f"Flag({self.key!r}, default={self.default!r})"


def declared() -> tuple[Flag[Any], ...]:
    """The typed flags that exist in this process, by key."""
    return tuple(sorted(_declared, key=lambda flag: flag.key))


def as_type_of(default: Any, value: Any) -> Any:
    """
    `value` in the default's type: an int where a float is wanted, an integral float where an int is, None takes anything.

    Raises:
        TypeError: no other conversion is made.
    """
    if default is None:
        return value
    if isinstance(default, bool) or isinstance(value, bool):
        if isinstance(default, bool) and isinstance(value, bool):
            return value
    elif isinstance(default, str):
        if isinstance(value, str):
            return value
    elif isinstance(default, int):
        if isinstance(value, int):
            return value
        if isinstance(value, float) and value.is_integer():
            return int(value)
    elif isinstance(default, float):
        if isinstance(value, int | float):
            return value if isinstance(value, float) else float(value)
    elif isinstance(default, dict | list) and isinstance(value, dict if isinstance(default, dict) else list):
        return value
    raise Mismatch(f"a {type(value).__name__}, where the default is a {type(default).__name__}")


def mismatches(snapshot: Snapshot, flags: Iterable[Flag[Any]] | None = None) -> tuple[Problem, ...]:
    """Where the code's declared flags (by default all of this process) and the file's definitions disagree."""
    found = []
    for flag in declared() if flags is None else flags:
        place, definition = ("flags", flag.key), snapshot.flags.get(flag.key)
        if definition is None:
            if flag.key not in snapshot.broken:
                message, hint = "the code asks for this flag, and the file does not have it", "add it, or take the declaration out"
                found.append(Problem(snapshot.source, None, dotted(place), message, hint))
            continue
        for name, value in definition.variants.items():
            try:
                flag.read(value)
            except Mismatch:
                message = f"the code wants a {type(flag.default).__name__}, variant {name!r} is a {type(thaw(value)).__name__}"
                found.append(Problem(snapshot.source, None, dotted(place), message, "change one of the two"))
                break
    return tuple(found)
