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
from dataclasses import is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, get_origin

from progflags._printed import quoted
from progflags.errors import Problem
from progflags.flags._freeze import thaw
from progflags.flags._problems import dotted

if TYPE_CHECKING:
    from progflags.flags._model import Snapshot

__all__ = ["Flag", "Mismatch", "as_type_of", "declared", "mismatches"]

T = TypeVar("T")

_declared: Final[weakref.WeakSet[Flag[Any]]] = weakref.WeakSet()


class Mismatch(TypeError):  # noqa: N818 - a signal inside the room
    """A flag's value is not of the type the code wants."""


class Binds(Protocol):
    """A client, as far as a flag knows it."""

    def _bind(self, flag: Flag[T]) -> Callable[..., T]: ...


class Flag(Generic[T]):
    """
    A flag as the code knows it: `default` is both what trouble gives and the type of every answer.

    `model` makes the answer of a variant's value: a pydantic model, a dataclass or another class that pydantic can fill, or any
    function. Left out, it is the class of the default, where that is not one of a file's own (true, false, text, number,
    table, list): `default=Limits(k=10)`, `default=Plan.PRO`, `default=Decimal("0.1")`.

    Declared flags are compared with the file that serves: another type is a warning in `status()`; one that the file lacks may
    be another client's, and `progflags lint` says it.

        CHECKOUT = pf.Flag("checkout-flow", default="classic")
        flow = flags.get(CHECKOUT, context="user-42")            # a str

    Raises:
        ValueError: the key is no text.
        TypeError: nothing can make such a default of a variant's value, so that the flag would always be its default. Give a
            dataclass, a pydantic model, or a function as `model`.
    """

    __slots__ = ("__weakref__", "_kind", "_make", "default", "description", "key")

    def __init__(self, key: str, *, default: T, model: Callable[..., T] | None = None, description: str = "") -> None:
        if not isinstance(key, str) or not key:
            raise ValueError(f"a flag's key is a text, not {quoted(key)}")
        self.key = key
        self.default = default
        self.description = description
        self._kind: Any = type(default) if model is None else model
        self._make: Callable[[Any], T] | None = _maker(key, default, model)
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

    def schema(self, defined: str = "#/$defs/{model}") -> dict[str, Any]:
        """
        The JSON Schema of this flag's values, with what it refers to under `$defs`; empty where a function makes the answer.

        `defined` is where that will stand, with `{model}` for its name.
        """
        if self._make is None:
            named = _JSON.get(self._kind)
            return {"type": named} if named else {}
        if not isinstance(self._kind, type) and get_origin(self._kind) is None:
            return {}
        from pydantic import PydanticUserError, TypeAdapter

        try:
            return TypeAdapter(self._kind).json_schema(ref_template=defined)
        except (PydanticUserError, NameError):  # a class that is given a value, and that pydantic knows nothing of
            return {}

    @property
    def copies(self) -> bool:
        """Whether every caller gets a model of his own, because its class lets itself be changed."""
        kind = type(self.default)
        config = getattr(kind, "model_config", None)
        frozen = isinstance(config, dict) and config.get("frozen")
        return self._make is not None and not (frozen or getattr(getattr(kind, "__dataclass_params__", None), "frozen", False))

    def bind(self, flags: Binds) -> Callable[..., T]:
        """This flag as a function of the context, following every reload of `flags`."""
        return flags._bind(self)

    def __repr__(self) -> str:
        return f"Flag({self.key!r}, default={self.default!r})"


_OF_A_FILE: Final = (bool, str, int, float, dict, list, type(None))
"""The classes of a variant's values, which are read as they are."""
_JSON: Final = {bool: "boolean", str: "string", int: "integer", float: "number", dict: "object", list: "array"}


def _maker(key: str, default: object, model: Any) -> Callable[[Any], Any] | None:
    """What makes a flag's answer of a variant's value; None where the value is one already."""
    kind: Any = type(default) if model is None else model
    validate: Callable[[Any], Any] | None = getattr(kind, "model_validate", None)
    if validate is not None:
        return validate
    if model is None:
        return None if isinstance(default, _OF_A_FILE) and not isinstance(default, Enum) else _adapted(key, kind)
    if is_dataclass(model) or get_origin(model) is not None:
        return _adapted(key, model)
    if not callable(model):
        raise TypeError(f"flag {quoted(key)}: model is a class or a function, not {quoted(model)}")
    return model  # type: ignore[no-any-return]


def _adapted(key: str, kind: Any) -> Callable[[Any], Any]:
    from pydantic import PydanticUserError, TypeAdapter  # where such a flag is declared; the import costs 60 ms

    try:
        return TypeAdapter(kind).validate_python
    except (PydanticUserError, NameError) as error:
        name = getattr(kind, "__name__", repr(kind))
        remedy = f"make {name} a dataclass or a pydantic model, or give a function that makes one: model=lambda table: {name}(…)"
        raise TypeError(
            f"flag {quoted(key)}: nothing can make a {name} of a flag's value, so it would always be its default: {remedy}"
        ) from error


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
    """
    Where the code's declared flags (by default all of this process) and the file's definitions disagree.

        CHECKOUT = pf.Flag("checkout-flow", default=3)
        for problem in mismatches(flags.definitions, [CHECKOUT]):
            print(problem)                  # the file has a text where the code wants a number
    """
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
