"""What happened, as frozen facts: requests and their arms, comparisons, judgements, moves of a rollout, changes by people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from progflags._printed import printable

__all__ = [
    "Braked",
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
    `candidate` for a flag with a rollout, the variant's name for an experiment. `edited`: the arms are two definitions of the flag, the
    one of its file and another, so no variant is one.
    """

    flag: str
    revision: int
    variant: str
    arm: str
    edited: bool = False


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


class Served(NamedTuple):  # as Called: made for every request, and a tuple takes a third of the time
    """
    A whole request ended. `seconds` is its wall duration; `failed`: status ≥ 500 or an exception; a client's abort is not told.

    `unit` is whose request it was, `units` by flag whom its arm was chosen by where that is somebody else (a tenant).
    """

    exposures: tuple[Exposure, ...]
    seconds: float
    failed: bool
    unit: bytes | None = None
    units: Mapping[str, bytes] = MappingProxyType({})

    @classmethod
    def of(cls, here: Met, seconds: float, *, failed: bool) -> Served:
        """By what the request met on the way. Made as tuples are: `cls(…)` goes through a function of Python's."""
        return tuple.__new__(cls, (tuple(here.exposures.values()), seconds, failed, here.unit, here.units))


class Called(NamedTuple):
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
    """
    What a Change is about.

        flags.kill("new-search", reason="the index is gone", by="ann")
        [each.actor for each in flags.changes() if each.kind is pf.ChangeKind.KILL]     # ["ann"]
    """

    DEFINITION = "definition"  #: what the file, or the store's definitions, say
    SHARE = "share"  #: how much of the traffic the candidate gets
    KILL = "kill"  #: the safe variant of a flag, for everybody
    UNKILL = "unkill"  #: a kill is taken back
    PANIC = "panic"  #: the safe variant of every flag
    UNPANIC = "unpanic"  #: a panic is taken back
    TRANSITION = "transition"  #: a rollout's step from one state to another


@dataclass(frozen=True, slots=True)
class Change:
    """
    One thing that was changed, by whom and why.

    `flag` is empty where it is about several or all; `at` wall time; `source` where it was changed: the file's name or the
    store's. `before` and `after` are what the kind speaks of: digests of the definitions (empty: none are known), the share in
    percent, the states of a rollout, whether it was killed. `reason` of a definition says which flags differ, and in what.

        for change in flags.changes("new-checkout", since=time.time() - 86_400):
            print(change.at, change.kind, change.actor, change.before, change.after, change.reason)
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
