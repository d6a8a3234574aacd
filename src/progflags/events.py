"""
What happened, and who is told.

Facts are frozen and in the past tense. The Bus hands each to the listeners of its type; a listener has no vote and cannot
hurt: what it raises is counted, logged once and forgotten. This is why the recorder, telemetry and dark launches need not
know each other.

What a request is told of (`Exposed`, `Served`, `Called`, `Tracked`, `Compared`) is heard at once and in the request's thread.
Everything else happens where kills and rollbacks arrive, so there an application's listeners are called beside, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from progflags._beside import Beside
from progflags._printed import printable
from progflags._trouble import ends, swallow

__all__ = [
    "Braked",
    "Bus",
    "Called",
    "Change",
    "ChangeKind",
    "Compared",
    "Exposed",
    "Exposure",
    "Judged",
    "Moved",
    "Reloaded",
    "Served",
    "SourceFailed",
    "Tracked",
]


@dataclass(frozen=True, slots=True)
class Exposure:
    """
    Which arm of a flag somebody met; one object per (flag, revision, variant), built when the flag is compiled.

    `revision` is that of the flag's live state: counting begins anew when the share changes. `arm` is `control` or
    `candidate` for a flag with a rollout, the variant's name for an experiment.
    """

    flag: str
    revision: int
    variant: str
    arm: str


@dataclass(frozen=True, slots=True)
class Exposed:
    """
    A unit met an arm for the first time in this window (deduplicated by a bounded memory; `unit` is its hashed bytes).

    `assigned` is whom the arm was chosen by where that is somebody else: the tenant of a user.
    """

    exposure: Exposure
    unit: bytes
    assigned: bytes | None = None


class Met(Protocol):
    """What a request was exposed to, and whose it is: its Scope."""

    @property
    def exposures(self) -> Mapping[str, Exposure]: ...

    @property
    def unit(self) -> bytes | None: ...

    @property
    def units(self) -> Mapping[str, bytes]: ...


@dataclass(frozen=True, slots=True)
class Served:
    """
    A whole request ended. `seconds` is its wall duration; `failed`: status ≥ 500 or an exception; a client's abort is not told.

    `unit` is whose request it was, `units` by flag whom its arm was chosen by where that is somebody else (a tenant).
    """

    exposures: tuple[Exposure, ...]
    seconds: float
    failed: bool
    unit: bytes | None = None
    units: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, here: Met, seconds: float, *, failed: bool) -> Served:
        """By what the request met on the way."""
        return cls(tuple(here.exposures.values()), seconds, failed, here.unit, here.units)


@dataclass(frozen=True, slots=True)
class Called:
    """A `@progressive` call ended on one arm."""

    exposure: Exposure
    seconds: float
    failed: bool
    unit: bytes | None = None


@dataclass(frozen=True, slots=True)
class Tracked:
    """A business event of one unit, `value` in the event's own unit; credited by the recorder to the arms the unit met."""

    event: str
    unit: bytes
    value: float


@dataclass(frozen=True, slots=True)
class Compared:
    """
    One dark-launched call was decided: `outcome` is a name of invariant I5.

    Durations in seconds, None where a side did not run; `score` where the launch has one and both sides answered;
    `candidate_name` where it has several candidates.
    """

    flag: str
    outcome: str
    control: float | None = None
    candidate: float | None = None
    paths: tuple[str, ...] = ()
    error: str | None = None
    score: float | None = None
    candidate_name: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A rollout's evidence was looked at. `decision` is PASS, HOLD or ROLLBACK; `findings` one dict per metric."""

    flag: str
    revision: int
    decision: str
    reason: str
    findings: tuple[Mapping[str, Any], ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Moved:
    """A rollout changed state, and the store has it. `percent` is the share after it, 0–100."""

    flag: str
    revision: int
    source: str
    target: str
    percent: float
    actor: str
    reason: str
    at: float


class ChangeKind(StrEnum):
    """What a Change is about."""

    DEFINITION = "definition"  #: what the file, or the store's definitions, say
    SHARE = "share"  #: how much of the traffic the candidate gets
    KILL = "kill"
    UNKILL = "unkill"
    PANIC = "panic"
    UNPANIC = "unpanic"
    TRANSITION = "transition"  #: a rollout's step from one state to another


@dataclass(frozen=True, slots=True)
class Change:
    """
    One thing that was changed, by whom and why.

    `flag` is empty where it is about several or all; `at` wall time; `source` where it was changed: the file's name or the
    store's. `before` and `after` are what the kind speaks of: digests of the definitions (empty: none are known), the share in
    percent, the states of a rollout, whether it was killed. `reason` of a definition says which flags differ, and in what.
    """

    kind: ChangeKind
    flag: str
    at: float
    actor: str
    reason: str
    source: str
    before: Any
    after: Any

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__} | {"kind": str(self.kind)}

    def __str__(self) -> str:
        """One line: when, which flag, what, from what to what, by whom, why, and where."""
        what = printable(self.flag, 240) if self.flag else "all flags" if "panic" in self.kind else "flags"
        moved = f"{self._said(self.before)} → {self._said(self.after)}"
        by, why = printable(self.actor, 240), f": {printable(self.reason, 400)}" if self.reason else ""
        when = datetime.fromtimestamp(self.at, UTC)
        return printable(f"{when:%Y-%m-%d %H:%M:%S}Z {what} {self.kind} {moved} by {by or 'somebody'}{why} [{printable(self.source, 160)}]")

    def _said(self, value: Any) -> str:
        if self.kind is ChangeKind.SHARE:
            return f"{value:g} %"
        if self.kind is ChangeKind.DEFINITION:
            return printable(value, 240)[:12] or "none"
        if isinstance(value, bool):
            return "killed" if value else "serving"
        return printable(value, 80)


@dataclass(frozen=True, slots=True)
class Braked:
    """This process stopped serving a candidate that blew up, before any store was asked."""

    flag: str
    revision: int
    reason: str


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Another ruleset serves. `changed` names the flags whose definition or live state differs from before."""

    revision: str
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceFailed:
    """A source or store could not be read, or what it held was refused; the last known good serves on."""

    source: str
    message: str
    problems: tuple[Any, ...] = field(default=())


E = TypeVar("E")
Listener = Callable[[Any], object]


#: What requests are told of, at once; every other kind may happen in a thread that must not wait for anybody.
_OF_REQUESTS: Final = frozenset({Exposed, Served, Called, Tracked, Compared})
_ROOM: Final = 1000  # events that may wait for one listener
_PATIENCE: Final = 2.0  # likewise where nothing runs in the background, so that what is asked is there
_MOMENT: Final = 0.05  # seconds a listener is waited for, so that a quick one has heard when the teller goes on


class Bus:
    """
    Tells listeners, never raises. Telling an event nobody listens to costs one dict look-up.

    `apart`: listeners that are not ours hear of what happens outside requests in a thread of their own each; whoever tells waits
    0.05 s at most. Otherwise everybody hears at once and in the teller's thread.
    """

    __slots__ = ("_listeners", "apart")

    def __init__(self) -> None:
        self._listeners: dict[type, tuple[Listener, ...]] = {}
        self.apart = False

    def listen(self, kind: type[E], listener: Callable[[E], object], *, ours: bool = False) -> Callable[[], None]:
        """
        Call `listener` with every `kind` told from now on; the returned function ends that (once; again does nothing).

        `ours`: it is quick, never waits for anything, and hears at once whatever is told.
        """
        hear: Listener = listener if ours or kind in _OF_REQUESTS else self._beside(kind, listener)
        self._listeners = {**self._listeners, kind: (*self._listeners.get(kind, ()), hear)}

        def unlisten() -> None:
            rest = tuple(other for other in self._listeners.get(kind, ()) if other is not hear)
            self._listeners = {**self._listeners, kind: rest}
            if isinstance(hear, _Apart):
                self._let_go(hear.beside)

        return unlisten

    def _beside(self, kind: type, listener: Listener) -> Listener:
        owner = getattr(listener, "__self__", listener)  # methods of one object hear in order, whatever they hear of
        beside = next((other.beside for other in self._apart() if other.owner is owner), None)
        if beside is None:
            beside = Beside(f"listener {getattr(listener, '__qualname__', kind.__name__)}", room=_ROOM)
        return _Apart(self, beside, listener, owner)

    def _apart(self) -> list[_Apart]:
        return [other for there in self._listeners.values() for other in there if isinstance(other, _Apart)]

    def _let_go(self, beside: Beside) -> None:
        if all(other.beside is not beside for other in self._apart()):
            beside.close()

    @property
    def patience(self) -> float:
        """Seconds that somebody may wait for a function of the application's: a moment in the background, else until it is done."""
        return _MOMENT if self.apart else _PATIENCE

    def hears(self, kind: type) -> bool:
        """Whether anybody listens, so that a teller can skip building an event."""
        return bool(self._listeners.get(kind))

    def tell(self, event: object) -> None:
        """Hand `event` to the listeners of its type, in the order they came."""
        for listener in self._listeners.get(event.__class__, ()):
            try:
                listener(event)
            except BaseException as error:
                if ends(error):
                    raise
                swallow(f"listener of {event.__class__.__name__}", error)

    def health(self) -> dict[str, str]:
        """How the threads of listeners are, by what they listen to."""
        return {each.beside.name: each.beside.health() for each in self._apart()} if self.apart else {}

    def close(self) -> None:
        """End the listeners' threads once they have heard what waits."""
        for each in self._apart():
            each.beside.close()


class _Apart:
    """A listener that is called beside where its bus says so."""

    __slots__ = ("_bus", "_listener", "beside", "owner")

    def __init__(self, bus: Bus, beside: Beside, listener: Listener, owner: object) -> None:
        self._bus, self.beside, self._listener, self.owner = bus, beside, listener, owner

    def __call__(self, event: object) -> None:
        if self._bus.apart:
            self.beside.do(partial(self._listener, event), wait=_MOMENT)
        else:
            self._listener(event)
