"""
What the dark launches of every process have found, for whoever asks on the command line.

Each process puts one row up, at most every few seconds, when something changed; a row says all of it again, so that a lost one
costs freshness alone. Its requests notice nothing: the counts are read from beside them. A process that goes takes its row
with it after a while; until then what it found counts.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from progflags._clock import Clock
from progflags._json import canonical, loads
from progflags._printed import printable
from progflags._process import called
from progflags._trouble import swallow
from progflags.flags import Client
from progflags.rollout.run._sweep import sweep
from progflags.store import Board

if TYPE_CHECKING:
    from progflags.darklaunch import ShadowSummary

__all__ = ["Summaries"]

_TOPIC: Final = "shadow-found"
_OFTEN: Final = 5.0  # seconds between two publications
_STILL: Final = 300.0  # seconds after which an unchanged row is put up again: its process lives
_GONE: Final = 900.0  # seconds after which a row is a dead process's
_MOST: Final = 100  # experiments in a row; the rest is counted


class Summaries:
    """One client's dark launches, and what the other processes put up of theirs."""

    def __init__(self, board: Board, client: Client, clock: Clock) -> None:
        self._board = board
        self._client = client
        self._clock = clock
        self._told: tuple[float, float, str] | None = None  # when it was looked at and when put up, and what
        self._number = 0

    def publish(self, worker: str, *, at_once: bool = False) -> None:
        """
        Put up what was found here, if it is time and there is something new.

        Raises:
            StoreError: the board is out of reach; the next row holds everything again.
        """
        now = self._clock.monotonic()
        if "progflags.darklaunch.lanes._exit" not in sys.modules or not (at_once or self._told is None or now - self._told[0] >= _OFTEN):
            return
        _, put, before = self._told or (0.0, 0.0, "")
        self._told = now, put, before
        try:
            found = self._own()
            mine = canonical(found) if found else ""
        except Exception as error:
            swallow("dark launch summary", error)
            return
        if not mine or (worker + mine == before and now - put < _STILL):
            return
        row = {"v": 1, "process": called(), "found": found}
        if now - put >= _STILL or not before:
            sweep(self._board, _TOPIC, _GONE)
        self._number += 1
        self._board.publish(_TOPIC, worker, self._number, canonical(row).encode())
        self._told = now, now, worker + mine

    def _own(self) -> list[dict[str, Any]]:
        from progflags.darklaunch import experiments

        mine = [each for each in experiments() if each.gate.client is self._client]
        return [summary.to_json() for each in mine for summary in each.summaries() if summary.outcomes.total()][:_MOST]

    def rows(self) -> dict[str, list[ShadowSummary]]:
        """
        What each living process put up last, by `host:pid`.

        Raises:
            StoreError: the board is out of reach.
        """
        from progflags.darklaunch import ShadowSummary

        found: dict[str, list[ShadowSummary]] = {}
        for row in self._board.collect(_TOPIC):
            try:
                body = loads(row.body)
                if body["v"] == 1 and row.age < _GONE:
                    found.setdefault(printable(str(body["process"])), []).extend(ShadowSummary.from_json(one) for one in body["found"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                swallow("dark launch summary", error)
        return found

    def merged(self) -> tuple[ShadowSummary, ...]:
        """Every experiment once, ordered by its name. Raises StoreError."""
        whole: dict[tuple[str, str, str], ShadowSummary] = {}
        for summaries in self.rows().values():
            for one in summaries:
                known = whole.setdefault(one.name, one)
                if known is not one:
                    known.merge(one)
        return tuple(whole[name] for name in sorted(whole))
