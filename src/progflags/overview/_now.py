"""
What there is to see just now: definitions and store, switches, rollouts, dark launches. A line each, and what to do about it.

The worst comes first. What went well long ago is left out: a rollout that ended by itself or was given up is told for a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from progflags._printed import counted
from progflags.overview._item import Item, Level
from progflags.overview._rollouts import rollouts
from progflags.overview._shadows import shadows

if TYPE_CHECKING:
    from progflags._connect import Flags
    from progflags.errors import Problem, StoreError
    from progflags.flags import Killed
    from progflags.rollout import RolloutStatus

__all__ = ["Now", "nothing"]


@dataclass(frozen=True, slots=True)
class Now:
    """Everything at one look, the worst first."""

    items: tuple[Item, ...]

    @classmethod
    def of(cls, flags: Flags, refused: Iterable[Problem] | None = None) -> Now:
        """
        As the store has it. `refused`: `flags` could not be given the application's definitions, and why, as far as there are any.

        Raises:
            StoreError: the store is out of reach.
        """
        supply = _supply(flags) if refused is None else map(_refused, refused)
        every = flags.rollouts.every()
        under_way = rollouts(every, flags.clock.now(), defined=refused is None)
        found = [*supply, *_switches(flags), *under_way, *_unreadable(flags, every), *shadows(flags.rollouts.dark_launches())]
        return cls(tuple(sorted(found, key=lambda item: item.level.urgency)))

    def cut_off(self, error: StoreError) -> Now:
        """What was seen last, now that the store can't be reached."""
        away = Item("store", "", Level.TROUBLE, f"the store is out of reach, what follows was seen before: {error}", key="away")
        return replace(self, items=(away, *(item for item in self.items if item.key != away.key)))

    @property
    def level(self) -> Level:
        """The worst there is."""
        return self.items[0].level if self.items else Level.FINE


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
        within = f" in {status.environment}" if status.environment else ""
        yield Item(
            "source",
            "",
            Level.FINE,
            f"{counted(len(snapshot.flags))} of {status.source or 'the store'}{within}; live state in {status.store}",
        )


def _switches(flags: Flags) -> Iterator[Item]:
    for flag, live in sorted(flags.rollouts.live().items()):
        if live.killed is None:
            continue
        who = _by(live.killed)
        if flag:
            yield Item(
                "kill", flag, Level.TROUBLE, f"{flag}: killed, its safe variant serves: {who}", f"progflags unkill {flag}", act="unkill"
            )
        else:
            said = f"panic, every flag's safe variant serves: {who}"
            yield Item("panic", "", Level.TROUBLE, said, "progflags unpanic", act="unpanic")


def _by(killed: Killed) -> str:
    at = f" at {datetime.fromtimestamp(killed.at, UTC):%Y-%m-%d %H:%M}Z" if killed.at else ""
    return f"{killed.by or 'somebody'}{at}, {killed.reason or 'no reason given'}"


def _unreadable(flags: Flags, every: Iterable[RolloutStatus]) -> Iterator[Item]:
    """Of which there is no rollout's line that says so."""
    told = {f"rollout of {status.flag}" for status in every}
    for name, why in flags.rollouts.health().items():
        if name not in told and not why.startswith("running"):
            yield Item("store", name, Level.TROUBLE, f"{name}: {why}", "progflags doctor")
