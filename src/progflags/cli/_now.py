"""
What there is to see just now: definitions and store, switches, rollouts, dark launches. A line each, and what to do about it.

The worst comes first. What went well long ago is left out: a rollout that ended by itself or was given up is told for a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from progflags._printed import printable
from progflags.cli._client import counted
from progflags.cli._follow import News, fit
from progflags.cli._shadow import headline
from progflags.cli._watch import news as news_of

if TYPE_CHECKING:
    from progflags._connect import Flags
    from progflags.darklaunch import ShadowSummary
    from progflags.errors import Problem, StoreError
    from progflags.flags import Killed
    from progflags.rollout import RolloutStatus

__all__ = ["Item", "Level", "Now"]

_DAY: Final = 86_400.0
_SILENT: Final = frozenset({"draft", "superseded"})
_ENDED: Final = frozenset({"completed", "aborted"})
_FAILED: Final = frozenset({"rolling_back", "rolled_back", "cooling_down"})
#: What the person who is waited for can do, by state.
_NEXT: Final = {
    "awaiting_approval": "progflags rollout approve {flag}",
    "held": "progflags rollout status {flag} says what it waits for; resume gives it its time again, rollback ends it",
    "paused": "progflags rollout resume {flag}",
    "rolled_back": "progflags report {flag} says why; rollout retry begins again, abort closes it",
    "cooling_down": "progflags report {flag} says why; it begins again by itself, abort gives it up",
}


class Level(IntEnum):
    """How bad it is; also the command's exit code, where nothing is worse."""

    FINE = 0
    ATTENTION = 3  #: somebody is waited for
    TROUBLE = 1

    @property
    def mark(self) -> str:
        return {Level.FINE: "✓", Level.ATTENTION: "!", Level.TROUBLE: "✗"}[self]

    @property
    def urgency(self) -> int:
        """0 is the most urgent."""
        return (Level.TROUBLE, Level.ATTENTION, Level.FINE).index(self)


@dataclass(frozen=True, slots=True)
class Item:
    """One thing: of what `kind`, how bad, in a line; and the one thing to do about it, where there is one."""

    kind: str
    flag: str
    level: Level
    said: str
    do: str = ""
    key: str = ""  # what of it is worth another line, where that is less than all of `said`

    def __str__(self) -> str:
        return printable(f"{self.level.mark} {self.said}{f'  → {self.do}' if self.do else ''}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"kind": self.kind, "flag": self.flag, "level": self.level.name.lower(), "said": self.said, "do": self.do}


@dataclass(frozen=True, slots=True)
class Now:
    """Everything at one look, the worst first."""

    items: tuple[Item, ...]
    over: bool = False  # following it never ends by itself

    @classmethod
    def of(cls, flags: Flags, refused: Iterable[Problem] | None = None) -> Now:
        """
        As the store has it. `refused`: `flags` could not be given the application's definitions, and why, as far as there are any.

        Raises:
            StoreError: the store is out of reach.
        """
        supply = _supply(flags) if refused is None else map(_refused, refused)
        every = flags.rollouts.every()
        rollouts = _rollouts(every, flags.clock.now(), defined=refused is None)
        found = [*supply, *_switches(flags), *rollouts, *_unreadable(flags, every), *_shadows(flags)]
        return cls(tuple(sorted(found, key=lambda item: item.level.urgency)))

    def cut_off(self, error: StoreError) -> Now:
        """What was seen last, now that the store can't be reached."""
        away = Item("store", "", Level.TROUBLE, f"the store is out of reach, what follows was seen before: {error}", key="away")
        return replace(self, items=(away, *(item for item in self.items if item.key != away.key)))

    @property
    def level(self) -> Level:
        """The worst there is."""
        return self.items[0].level if self.items else Level.FINE

    def screen(self, *, width: int, height: int) -> str:
        """At most `width` × `height`; what does not fit is counted."""
        rows = [f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z", "─" * width, *map(str, self.items or (nothing(),))]
        left = len(rows) - (height - 1)
        if left > 0:
            rows = [*rows[: height - 2], f"… and {left + 1} more: progflags status"]
        return "\n".join(fit(row, width) for row in rows)

    def news(self) -> Iterable[News]:
        for item in self.items:
            yield News(f"{item.kind} {item.flag}".strip(), f"{item.level} {item.key or item.said}", str(item), item.to_dict())


def nothing() -> Item:
    """What is said where there is nothing to say."""
    return Item("rollout", "", Level.FINE, "nothing is under way")


def _refused(problem: Problem) -> Item:
    return Item("source", problem.key or "", Level.TROUBLE, f"refused: {problem}", "mend it; progflags validate checks it")


def _supply(flags: Flags) -> Iterator[Item]:
    status = flags.status()
    yield from map(_refused, (*status.problems, *status.rejected))
    for warning in status.warnings:
        yield Item("source", warning.key or "", Level.ATTENTION, f"doubtful: {warning}")
    snapshot = flags.definitions
    if snapshot is not None and not (status.problems or status.rejected):
        yield Item(
            "source", "", Level.FINE, f"{counted(len(snapshot.flags))} of {status.source or 'the store'}; live state in {status.store}"
        )


def _switches(flags: Flags) -> Iterator[Item]:
    for flag, live in sorted(flags.rollouts.live().items()):
        if live.killed is None:
            continue
        who = _by(live.killed)
        if flag:
            yield Item("kill", flag, Level.TROUBLE, f"{flag}: killed, its safe variant serves: {who}", f"progflags unkill {flag}")
        else:
            yield Item("panic", "", Level.TROUBLE, f"panic, every flag's safe variant serves: {who}", "progflags unpanic")


def _by(killed: Killed) -> str:
    at = f" at {datetime.fromtimestamp(killed.at, UTC):%Y-%m-%d %H:%M}Z" if killed.at else ""
    return f"{killed.by or 'somebody'}{at}, {killed.reason or 'no reason given'}"


def _rollouts(every: Iterable[RolloutStatus], now: float, *, defined: bool) -> Iterator[Item]:
    for status in every:
        state = str(status.state)
        if state in _SILENT or (state in _ENDED and now - status.since > _DAY):
            continue
        # Where there is no file every plan would be another than the file's.
        yield _rollout(status if defined else replace(status, changed=False))


def _rollout(status: RolloutStatus) -> Item:
    do = _NEXT.get(str(status.state), "") if status.stages else "progflags kill {flag}"  # without stages it can't be read
    return Item("rollout", status.flag, _level(status), str(status), do.format(flag=status.flag), news_of(status).key)


def _level(status: RolloutStatus) -> Level:
    if status.state in _FAILED or status.pending or str(status.verdict) == "ROLLBACK" or not status.stages:
        return Level.TROUBLE
    return Level.ATTENTION if str(status.state) in _NEXT or status.changed else Level.FINE


def _unreadable(flags: Flags, every: Iterable[RolloutStatus]) -> Iterator[Item]:
    """Of which there is no rollout's line that says so."""
    told = {f"rollout of {status.flag}" for status in every}
    for name, why in flags.rollouts.health().items():
        if name not in told and not why.startswith("running"):
            yield Item("store", name, Level.TROUBLE, f"{name}: {why}", "progflags doctor")


def _shadows(flags: Flags) -> Iterator[Item]:
    for one in flags.rollouts.dark_launches():
        verdict = one.verdict()
        unsafe = str(verdict.state) == "UNSAFE"
        do = f"progflags shadow report {one.flag}" if unsafe else ""
        yield Item(
            "shadow", _whose(one), Level.TROUBLE if unsafe else Level.FINE, f"dark launch {headline(one, verdict)}", do, str(verdict.state)
        )


def _whose(one: ShadowSummary) -> str:
    return " ".join(filter(None, (one.flag, one.function, one.candidate)))
