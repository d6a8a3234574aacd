"""
Cut off: that the store does not answer, or takes no writes, can't be told by way of the store. It is told straight to the channels.

By the process that told of everything else before, for it alone has the claim of a channel, and nobody can take it over now. So a fleet
tells once, and where that process ended along with the store, nobody does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from progflags._beside import Beside
from progflags._clock import Clock
from progflags._printed import printable
from progflags.notify._addressee import Addressee
from progflags.rollout import Line

__all__ = ["AWAY", "CutOff"]

AWAY: Final = 15.0  # seconds without the store before it is said: a failover takes less, and is nobody's business
_AGAIN: Final = 30.0  # seconds between two tries of a channel that did not take it
_DO: Final = "look after the store; kills and rollbacks hold in the process that is told, and reach the others once it is back"


@dataclass(slots=True)
class _Told:
    """One channel: whether it was told that the store is away, and when to try next (monotonic)."""

    to: Addressee
    beside: Beside
    away: bool = False
    next: float = 0.0


class CutOff:
    """`away`: why the store can't be used, empty where it can; `ours`: the channels that this process tells."""

    def __init__(self, store: str, clock: Clock, *, away: Callable[[], str], ours: Callable[[], Iterable[Addressee]]) -> None:
        self._store = store
        self._clock = clock
        self._away = away
        self._ours = ours
        self._since: tuple[float, float] | None = None  # when it was first seen to be away: wall, monotonic
        self._told: dict[str, _Told] = {}

    def look(self) -> None:
        """Tell of it, and of its end, whom it was told of. Returns at once: a channel that hangs keeps nobody waiting."""
        why, now = self._away(), self._clock.monotonic()
        if why:
            self._since = self._since or (self._clock.now(), now)
            if now - self._since[1] >= AWAY:
                for one in self._ours():
                    told = self._told.setdefault(one.name, _Told(one, Beside(f"{one.name} cut off")))
                    told.to = one
                    self._tell(told, why, self._since[0])
        elif self._since is not None:
            for told in self._told.values():  # also of a channel that another process tells by now: whoever said it was away takes it back
                self._tell(told, "", self._since[0])
            if not any(told.away or told.beside.busy for told in self._told.values()):
                self._since = None

    def _tell(self, told: _Told, why: str, since: float) -> None:
        """Unless it was told, or a try is under way or was a moment ago."""
        if told.away is not bool(why) and self._clock.monotonic() >= told.next and not told.beside.busy:
            told.next = self._clock.monotonic() + _AGAIN
            told.beside.do(partial(self._bring, told, self._line(why, since)))

    @staticmethod
    def _bring(told: _Told, line: Line) -> None:
        told.to.tell_now(line)
        told.away, told.next = bool(line["reason"]), 0.0

    def _line(self, why: str, since: float) -> Line:
        title = f"the store is out of reach or takes no writes: {self._store}" if why else f"the store can be used again: {self._store}"
        named = {"id": f"store/{self._store}#{since:.0f}{'' if why else '/end'}", "kind": "store", "flag": ""}
        said = {"title": printable(title, 400), "reason": printable(why, 800), "do": _DO if why else ""}
        return {**named, "actor": "", "at": self._clock.now(), "from": None, "to": None, "percent": None, **said}
