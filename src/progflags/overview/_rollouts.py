"""Rollouts, a line each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from progflags.overview._item import Item, Level

if TYPE_CHECKING:
    from progflags.rollout import RolloutStatus

__all__ = ["NEXT", "essence", "rollouts"]

_DAY: Final = 86_400.0
_SILENT: Final = frozenset({"draft", "superseded"})
_ENDED: Final = frozenset({"completed", "aborted"})
_FAILED: Final = frozenset({"rolling_back", "rolled_back", "cooling_down"})
#: What the person who is waited for can do, by state.
NEXT: Final = {
    "awaiting_approval": "progflags rollout approve {flag}",
    "held": "progflags rollout status {flag} says what it waits for; resume gives it its time again, rollback ends it",
    "paused": "progflags rollout resume {flag}",
    "rolled_back": "progflags report {flag} says why; rollout retry begins again, abort closes it",
    "cooling_down": "progflags report {flag} says why; it begins again by itself, abort gives it up",
}
_ACT: Final = {"awaiting_approval": "approve", "paused": "resume"}


def rollouts(every: Iterable[RolloutStatus], now: float, *, defined: bool) -> Iterator[Item]:
    """What is under way, or ended less than a day ago. Not `defined`: there is no file, so no plan can be another than the file's."""
    for status in every:
        state = str(status.state)
        if state in _SILENT or (state in _ENDED and now - status.since > _DAY):
            continue
        yield _item(status if defined else replace(status, changed=False))


def essence(status: RolloutStatus) -> str:
    """What of a rollout is worth another line: not the seconds that its bake has left."""
    found = (status.standing, status.stage, status.percent, status.verdict, status.why if status.verdict == "ROLLBACK" else "")
    return " ".join(map(str, (*found, status.stopped, status.pending, status.waiting)))


def _item(status: RolloutStatus) -> Item:
    state, flag = str(status.state), status.flag
    do = NEXT.get(state, "") if status.stages else "progflags kill {flag}"  # without stages it can't be read
    act = _ACT.get(state, "") if status.stages else "kill"
    return Item("rollout", flag, _level(status), str(status), do.format(flag=flag), essence(status), act, status)


def _level(status: RolloutStatus) -> Level:
    if status.state in _FAILED or status.pending or str(status.verdict) == "ROLLBACK" or not status.stages:
        return Level.TROUBLE
    return Level.ATTENTION if str(status.state) in NEXT or status.changed else Level.FINE
