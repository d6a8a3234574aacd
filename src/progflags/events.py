"""
What happened, and who is told.

Facts are frozen and in the past tense. The Bus hands each to the listeners of its type, at once and in the teller's
thread; a listener has no vote and cannot hurt: what it raises is counted, logged once and forgotten. This is why the
recorder, telemetry and dark launches need not know each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from progflags._trouble import swallow

__all__ = [
    "Braked",
    "Bus",
    "Called",
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
    """A unit met an arm for the first time in this window (deduplicated by a bounded memory; `unit` is its hashed bytes)."""

    exposure: Exposure
    unit: bytes


@dataclass(frozen=True, slots=True)
class Served:
    """A whole request ended. `seconds` is its wall duration; `failed`: status ≥ 500 or an exception; a client's abort is not told."""

    exposures: tuple[Exposure, ...]
    seconds: float
    failed: bool
    unit: bytes | None = None


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
    """One dark-launched call was decided: `outcome` is a name of invariant I5; durations in seconds, None where a side did not run."""

    flag: str
    outcome: str
    control: float | None = None
    candidate: float | None = None
    paths: tuple[str, ...] = ()
    error: str | None = None


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


class Bus:
    """Tells listeners, never raises. Telling an event nobody listens to costs one dict look-up."""

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: dict[type, tuple[Listener, ...]] = {}

    def listen(self, kind: type[E], listener: Callable[[E], object]) -> Callable[[], None]:
        """Call `listener` with every `kind` told from now on; the returned function ends that (once; again does nothing)."""
        self._listeners = {**self._listeners, kind: (*self._listeners.get(kind, ()), listener)}

        def unlisten() -> None:
            rest = tuple(other for other in self._listeners.get(kind, ()) if other is not listener)
            self._listeners = {**self._listeners, kind: rest}

        return unlisten

    def hears(self, kind: type) -> bool:
        """Whether anybody listens, so that a teller can skip building an event."""
        return bool(self._listeners.get(kind))

    def tell(self, event: object) -> None:
        """Hand `event` to the listeners of its type, in the order they came."""
        for listener in self._listeners.get(event.__class__, ()):
            try:
                listener(event)
            except Exception as error:
                swallow(f"listener of {event.__class__.__name__}", error)
