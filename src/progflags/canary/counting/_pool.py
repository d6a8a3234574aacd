"""Several workers' windows, merged over a Board."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from functools import reduce
from typing import Final

from progflags._json import canonical, loads
from progflags._trouble import swallow
from progflags.canary.counting._window import Window
from progflags.store import Board

__all__ = ["Pool", "Summed"]

_WINDOWS: Final = re.compile(r"(?!shadow:|outbox/).+@\d+")  # as `_topic` makes them, and nobody else


class Pool:
    """
    Puts this worker's window up for the others, and reads everybody's as one.

    A window is cumulative and a row is replaced only by a later one, so a lost, repeated or late publication changes nothing
    but freshness. Every row carries its worker's name, so a worker that vanished is noticed (see `Window.minus`).
    """

    def __init__(self, board: Board, worker: str) -> None:
        self._board = board
        self._worker = self.worker = worker
        self._lock = threading.Lock()
        self._mine: dict[str, tuple[int, Window]] = {}  # by topic what we put up last, and its number

    def publish(self, window: Window) -> None:
        """
        Put up this worker's window.

        Raises:
            StoreError: the board is out of reach; publish the next window instead, it holds everything again.
        """
        topic = _topic(window.flag, window.revision)
        window = window.of(self._worker)
        with self._lock:
            seq = self._mine.get(topic, (0, window))[0] + 1
            others = {key: mine for key, mine in self._mine.items() if not key.startswith(f"{window.flag}@")}
            self._mine = {**others, topic: (seq, window)}
        self._board.publish(topic, self._worker, seq, _written(window))

    def collect(self, flag: str, revision: int) -> Window:
        """
        Every worker's window as one. A row that can't be read is left out, counted and logged.

        Raises:
            StoreError: the board is out of reach.
        """
        whole, topic = Window(flag, revision), _topic(flag, revision)
        for row in self._board.collect(topic):
            seq, mine = self._mine.get(topic, (0, whole))
            try:
                ours = (row.worker, row.seq) == (self._worker, seq)  # and need not be read
                whole = whole.merge(mine if ours else Window.from_json(loads(row.body)).of(row.worker))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                swallow("canary window", error)
        return whole

    def clear(self, flag: str, revision: int) -> None:
        """Take every worker's window of this revision down."""
        self._board.clear(_topic(flag, revision))


class Summed:
    """Windows as rows of a board that add up, for who sends those of several workers on as one. See `progflags.store.host.Rows`."""

    def adds(self, topic: str) -> bool:
        """Whether windows are put up there."""
        return _WINDOWS.fullmatch(topic) is not None

    def sum(self, bodies: Sequence[bytes]) -> bytes:
        """All that can be read, as one window."""
        windows = []
        for body in bodies:
            try:
                windows.append(Window.from_json(loads(body)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                swallow("canary window", error)
        return _written(reduce(Window.merge, windows)) if windows else b""

    def less(self, body: bytes, others: Sequence[bytes]) -> bytes:
        """What was counted beside what stands in the others."""
        return _written(reduce(Window.minus, [Window.from_json(loads(each)) for each in (body, *others)]))


def _written(window: Window) -> bytes:
    return canonical(window.to_json()).encode()


def _topic(flag: str, revision: int) -> str:
    return f"{flag}@{revision}"
