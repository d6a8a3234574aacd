"""
Who is asking: Context; and one request being served: Scope.

A ContextVar carries one *mutable* Scope per request, never a new value per exposure. So what an endpoint notes reaches
the middleware outside it, even through a task or a thread in between (Starlette's `BaseHTTPMiddleware` runs the
endpoint in a task of its own: a value set there would be lost, an object shared is not).
"""

# One file, though long: a request goes through all of it, and each part is only to be understood beside the others.

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from enum import Enum
from functools import partial
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NoReturn
from uuid import UUID

from progflags._process import look

if TYPE_CHECKING:
    from progflags.events import Exposure

__all__ = [
    "NOBODY",
    "Context",
    "Scope",
    "as_context",
    "begin",
    "bind",
    "current",
    "enter",
    "innermost",
    "keep_with",
    "latest",
    "on_begin",
    "scope",
    "unit_bytes",
]

_PLAIN: Final[Sequence[tuple[type, Callable[[Any], str]]]] = ((UUID, UUID.__str__), (str, str.__str__), (int, int.__repr__))


def unit_bytes(value: Any) -> bytes | None:
    """
    The canonical bytes a unit is hashed by, or None where it can't be.

    A str as it is (no normalisation), an int in decimal (so 123 and "123" agree; a bool is no id), a UUID in lower case.
    A numpy whole number, a Decimal written without a fraction (as DynamoDB's) and an Enum's value are as well.
    Empty strings, lone surrogates, numbers of thousands of digits and every other type give None: the caller's default, never
    everybody in one bucket. Runs none of the value's own code.
    """
    kind = type(value)
    try:
        if kind is str:
            return value.encode() or None
        if kind is int:
            return b"%d" % value
        # A subclass (an Enum, a NewType-like str) counts by its plain value; its own __str__ is not asked.
        plain = None if kind is bool else next((text for base, text in _PLAIN if issubclass(kind, base)), None)
        if plain is not None:
            return plain(value).encode() or None
        return None if kind is bool or value is None else _held(value, kind)
    except ValueError:  # half a character, or too many digits for Python to write out
        return None


_mro: Final = type.__dict__["__mro__"].__get__


def _held(value: Any, kind: type) -> bytes | None:
    """The id that a value of another class holds; its class can only be numpy's or decimal's where those are loaded."""
    numpy: Any = sys.modules.get("numpy")
    number: Any = getattr(sys.modules.get("decimal"), "Decimal", Enum)
    timedelta, integer = getattr(numpy, "timedelta64", Enum), getattr(numpy, "integer", Enum)
    for base in _mro(kind):
        if base is Enum:
            held = object.__getattribute__(value, "_value_")
            return None if type(held) is kind else unit_bytes(held)
        if base is timedelta:  # numpy files it under whole numbers; it is none
            return None
        if base is integer:
            return b"%d" % numpy.generic.item(value)
        if base is number:
            return b"%d" % int(number(value)) if number.as_tuple(value).exponent == 0 else None
    return None


class Context:
    """
    Who is asking: a targeting key (the bucketing unit) and attributes that rules may look at.

    Frozen; the attributes are copied shallowly, so later edits of the caller's dict change nothing. The key may be a str,
    an int or a UUID; anything else makes flags that need it answer the caller's default. Build one per request and
    reuse it: the key's bytes are computed once, here.

        ann = pf.Context("user-42", {"plan": "pro", "country": "PL"})
        flags.is_enabled("new-search", ann)
    """

    # Frozen by having only private slots and properties without setters: an overriding __setattr__ would make building one
    # four times as dear, and one is built per request.
    __slots__ = ("_attributes", "_kb", "_key")

    _attributes: dict[str, Any]
    _kb: bytes | None
    _key: str | int | UUID | None

    def __init__(self, key: str | int | UUID | None = None, attributes: Mapping[str, Any] | None = None) -> None:
        self._key = key
        self._attributes = {**attributes} if attributes else {}
        try:
            # Its class is asked, because isinstance costs half as much again; pyright does not follow that.
            self._kb = key.encode() if key.__class__ is str and key else unit_bytes(key)  # pyright: ignore[reportAttributeAccessIssue]
        except Exception:  # a str with half a character; or something that will not even say what it is: neither is a key
            self._kb = None

    @property
    def key(self) -> str | int | UUID | None:
        """The targeting key as it was given."""
        return self._key

    @key.setter
    def key(self, _: object) -> NoReturn:
        raise AttributeError("a Context is frozen: make a new one with another key")

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The attributes, read-only."""
        return MappingProxyType(self._attributes)

    @attributes.setter
    def attributes(self, _: object) -> NoReturn:
        raise AttributeError("a Context is frozen: make a new one with other attributes")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Context):
            return NotImplemented
        return self._kb == other._kb and self._key == other._key and self._attributes == other._attributes

    def __hash__(self) -> int:
        return hash(self._kb)

    def __repr__(self) -> str:
        return f"Context({self._key!r}, {self._attributes!r})" if self._attributes else f"Context({self._key!r})"

    def __reduce__(self) -> tuple[type[Context], tuple[Any, dict[str, Any]]]:
        return (Context, (self._key, self._attributes))


NOBODY: Final = Context()


_KEYS: Final = ("targeting_key", "targetingKey")


def as_context(value: object) -> Context | None:
    """
    What callers pass for a context, made one: a Context, a targeting key, or a Mapping with `targeting_key`.

    `targetingKey`, as OpenFeature writes it, does as well; where a mapping has both, `targeting_key` counts unless it is None.
    None stays None (use the ambient one). A mapping's other keys are its attributes.

    Raises:
        TypeError: anything else.
    """
    if value is None or isinstance(value, Context):
        return value
    if isinstance(value, (str, int, UUID)) and not isinstance(value, bool):
        return Context(value)
    if isinstance(value, Mapping):
        key = value.get("targeting_key")
        return Context(value.get("targetingKey") if key is None else key, {k: v for k, v in value.items() if k not in _KEYS})
    other: Any = value
    if unit_bytes(other) is not None:  # an id of another class, as numpy's
        return Context(other)
    raise TypeError(f"a context is a pf.Context, a targeting key or a mapping with 'targeting_key', not {type(value).__name__}")


class Scope:
    """
    One request (or one unit of work) being served: its context, and which arms it was exposed to.

    Mutable on purpose, see the module. A nested scope shares its parent's exposures: the request as a whole met the arm.
    `exposures` maps a flag's key to the first Exposure noted for it. In a `silent` scope (a shadow, a replay) nothing
    that happens counts: no exposure is told, no event tracked, no call recorded.

    With `take` the context is not known yet: `take(scope)` is called when something first needs it, at most once at a time per
    thread. It must not raise. What `request` is, is the matter of whoever made the scope.
    """

    # One is made for every request: what most of them leave as it is lies on the class.
    _met: bytes | None = None  # whom the first exposure was noted for, while who is asking has not been taken
    _outer: Scope | None = None
    _kin: Scope | None = None  # whose `extras` are this one's
    #: The client that a door serves with, for what a framework injects.
    client: Any = None
    #: What `take` keeps of how it found out.
    found: Any = None
    #: The head of the answer is.
    sent = False
    #: By flag: whom its arm is chosen by, where that is not the targeting key (a tenant, an account).
    units: Mapping[str, bytes] = MappingProxyType({})
    _closing: tuple[Callable[[], object], ...] = ()

    # Its parameters are positional: by keyword they would cost a third more.
    def __init__(self, context: Context | None, take: Callable[[Any], Context] | None = None, request: Any = None) -> None:
        self._context = context  # None: not taken yet, or over
        self._take = take
        self.request: Any = request
        #: When, by `perf_counter`.
        self.began = perf_counter()
        #: `over`: the request has ended. What an outer layer measures of it afterwards is still this request's.
        self.over = self.silent = False
        self.exposures: dict[str, Exposure] = {}

    @property
    def extras(self) -> dict[str, Any]:
        """Room for doors: a per-request snapshot, a dark launch in progress. Keys are the owner's module name."""
        if self._kin is not None:
            return self._kin.extras
        extras: dict[str, Any] = self.__dict__.setdefault("_extras", {})
        return extras

    @classmethod
    def within(cls, parent: Scope, context: Context) -> Scope:
        """A nested one: another context, the same request."""
        inner = Scope(context)
        inner.share(parent)
        inner.exposures, inner.units = parent.exposures, parent._assigned()
        return inner

    def _assigned(self) -> dict[str, bytes]:
        units: dict[str, bytes] = self.__dict__.setdefault("units", {})
        return units

    def assign(self, flag: str, unit: bytes) -> None:
        """A flag's arm was chosen by this unit; the first one counts."""
        self._assigned().setdefault(flag, unit)

    def share(self, other: Scope) -> None:
        """Whatever doors keep of the other is this one's, too."""
        self._kin, self.silent, self.client = other, other.silent, other.client

    @property
    def context(self) -> Context:
        """Who is asking; found out now, where nothing has needed to know before."""
        return self._context or self._taken()

    @context.setter
    def context(self, context: Context) -> None:
        self._context = context

    @property
    def unit(self) -> bytes | None:
        """
        Whose request this is, for counting. Nothing is found out for it: where flags were only asked for with contexts of their
        own, it is the first of them.
        """
        return self._context._kb if self._context is not None else None if self.over else self._met

    def ask_anew(self, take: Callable[[Any], Context]) -> None:
        """From now on `take` says who is asking, when something needs to know."""
        self._take = take
        self._context = self.found = None

    def _taken(self) -> Context:
        take = self._take
        if take is None:
            return NOBODY
        token = _current.set(_NOWHERE)  # what finds out who is asking may ask for flags itself: as nobody
        try:
            context = take(self)
        finally:
            _current.reset(token)
        if self._context is None and not self.over:  # of two threads at once the first one's, for both
            self._context = context
        return self._context or context

    def on_closing(self, hear: Callable[[], object]) -> None:
        """Call `hear` once, when the answer is about to be complete. It runs on the request's path and must not raise."""
        self._closing = (*self._closing, hear)

    def closing(self) -> None:
        """Said by doors before the last of the answer is handed on: instrumentations outside end the request's span with it."""
        hears, self._closing = self._closing, ()
        for hear in hears:
            hear()

    def end(self) -> None:
        """The request is over: `scope()` no longer finds it, and what still holds it asks as nobody."""
        self.over = self.silent = True
        self._context = self._take = self.request = None


#: Where no request is being served. There always is a scope, so that an evaluation need not ask whether there is one.
_NOWHERE: Final = Scope(NOBODY)
_NOWHERE.over = True

_current: ContextVar[Scope] = ContextVar("progflags.scope", default=_NOWHERE)

#: The scope that this task or thread is in, over or not, and be it `_NOWHERE`. A function of C: as quick as a look-up.
innermost: Final = _current.get


def scope() -> Scope | None:
    """
    The request being served here, or None. One that has ended is none: a worker's thread between two requests is nobody's.

    Unless it was a request within a request (an application that calls another one in its own task or thread): then the
    outer one goes on, as the one it was.
    """
    here: Scope | None = innermost()
    while here is not None and here.over:
        here = here._outer
    return here


def latest() -> Scope | None:
    """The request being served here, or the last one that was; for layers outside a door, which run after its request's end."""
    here = innermost()
    return None if here is _NOWHERE else here


def current() -> Context | None:
    """
    Who is asking here: the context that a middleware or `bind` has bound, None where nobody has.

    In a request whose middleware finds out late this is what makes it find out; a visitor's sticky key is one, too.

        with pf.bind(pf.Context("user-42", {"plan": "pro"})):
            current().key                                   # "user-42"
    """
    here = scope()
    return None if here is None else here._context or here._taken()


def begin(context: object, take: Callable[[Scope], Context] | None = None) -> Scope:
    """
    A request of its own begins here: set its Scope, and leave it set.

    For doors, which call `end` on it. The variable is overwritten by the next request, never reset, so that what runs
    outside the door (an outermost middleware that records the request's duration) still finds who was exposed to what.
    With `take`, who is asking is found out when something needs to know; see Scope.
    """
    look()
    here = Scope(None if take is not None else as_context(context) or NOBODY, take)
    enter(here)
    return here


def enter(here: Scope) -> None:
    """`begin` with a scope of the door's own; it has looked whether this is still the same process."""
    if innermost() is not _NOWHERE and (outer := scope()) is not None:
        here._outer = outer
        here.silent = outer.silent  # a request in a shadow is the shadow's: it counts for nothing either
    _current.set(here)
    for hear in _BEGUN.told:
        hear(here)
    if here.began >= _due and _KEEPERS.told:
        _keep()


class _Audience:
    """Who is called when a request begins: a tuple, swapped whole."""

    def __init__(self) -> None:
        self.told: tuple[Callable[..., object], ...] = ()

    def join(self, hear: Callable[..., object]) -> Callable[[], None]:
        one = partial(hear)  # one of its own: the same `hear` may be told twice, and each ends by itself
        self.told = (*self.told, one)

        def leave() -> None:
            self.told = tuple(other for other in self.told if other is not one)

        return leave


_BEGUN: Final = _Audience()
_KEEPERS: Final = _Audience()
_due = 0.0
_EVERY: Final = 0.05
"""Seconds between two calls of the keepers. A process without threads does its background work in them, and none of it is more urgent."""


def on_begin(hear: Callable[[Scope], object]) -> Callable[[], None]:
    """
    Call `hear` with every Scope that `begin` sets from now on; the returned function ends that.

    For telemetry, which remembers whose span a request runs in. `hear` runs on the request's path and must not raise.
    """
    return _BEGUN.join(hear)


def keep_with(keep: Callable[[], object]) -> Callable[[], None]:
    """
    Call `keep` when a request begins, but not at every one: some 20 times a second. The returned function ends that.

    For whoever has threads to look after. It runs on the request's path and must not raise.
    """
    return _KEEPERS.join(keep)


def _keep() -> None:
    global _due  # noqa: PLW0603 - two threads at once keep twice, which keepers are used to
    _due = perf_counter() + _EVERY
    for keep in _KEEPERS.told:
        keep()


@contextmanager
def bind(context: object, *, fresh: bool = False, silent: bool = False) -> Iterator[Scope]:
    """
    Make `context` the ambient one for this task or thread, until the block ends.

    Takes what every evaluation takes: a Context, a targeting key, a mapping. Nested: the inner context answers, exposures
    still count for the outer request, unless `fresh` begins a request of its own (what middleware does). `silent`: see Scope.

        with pf.bind(pf.Context("user-42", {"plan": "pro"})):
            flags.is_enabled("new-search")                      # asked for user-42

    Raises:
        TypeError: `context` is none of those.
    """
    look()
    outer, who = None if fresh else scope(), as_context(context) or NOBODY
    inner = Scope(who) if outer is None else Scope.within(outer, who)
    if silent:
        inner.silent = True
    token = _current.set(inner)
    try:
        yield inner
    finally:
        # Left in another context than it was entered in (a generator finalised elsewhere), there is nothing to put back.
        with suppress(ValueError):
            _current.reset(token)
