"""
The board of a host: what its processes put up goes into the folder, and from there to the server, merged where it can be.

A process that goes to the server by itself for a while must not be counted twice: what it put up in the folder is in the host's row
already. So what stands elsewhere is taken off what it puts up, wherever it does, and the sum over all places is what it counted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from cachetools import LRUCache

from progflags._process import Lock
from progflags.errors import StoreError
from progflags.store._contract import PROBE, Row
from progflags.store.host._copy import Copy
from progflags.store.host._duty import Duty, Part
from progflags.store.host._line import Line
from progflags.store.host._sign import OWN

__all__ = ["HostBoard", "Rows"]

_FRESH: Final = 60.0  # seconds: an older row was sent up by whoever asked before us
_OLD: Final = 86_400.0  # seconds after which a topic on which nobody put anything up is taken down
_SWEEP: Final = 3600.0
_TOPICS: Final = 1024  # that a process is known to have put something up on


class Rows(Protocol):
    """What is known of the rows of some topics beside their bytes: that they are sums."""

    def adds(self, topic: str) -> bool:
        """Whether the rows of `topic` add up."""
        ...

    def sum(self, bodies: Sequence[bytes]) -> bytes:
        """All of them as one; what can't be read is left out."""
        ...

    def less(self, body: bytes, others: Sequence[bytes]) -> bytes:
        """`body` without what stands in the others."""
        ...


@dataclass(slots=True)
class _Topic:
    """What was sent up of one topic: by worker the number, and when (monotonic) that row was put up; when we sent last."""

    sent: dict[str, tuple[int, float]] = field(default_factory=dict)
    at: float = 0.0
    pace: float = 0.0  # seconds between two rows of one worker

    @classmethod
    def met(cls, rows: Mapping[str, tuple[int, float]], now: float) -> _Topic:
        """One that we have not sent before. What is old there was sent by whoever asked before us, and may be taken down since."""
        return cls({worker: (number, now - age) for worker, (number, age) in rows.items() if age > _FRESH})

    def note(self, worker: str, number: int, put: float) -> None:
        before = self.sent.get(worker)
        if before is not None and number > before[0]:
            self.pace = (put - before[1]) / (number - before[0])
        self.sent[worker] = number, put


class HostBoard:
    """See `progflags.store.Board`. `refused`: why the server did not take what was sent up last; empty where it did."""

    def __init__(self, duty: Duty, line: Line, rows: Rows) -> None:
        self._duty = duty
        self._line = line
        self._rows = rows
        self._stands: LRUCache[tuple[str, str], dict[str, bytes]] = LRUCache(_TOPICS)  # by topic and worker: by place, what stands there
        self._lock = Lock()  # of what stands where: a tick by hand may come beside the background's
        self._topics: dict[str, _Topic] = {}
        self._swept = time.monotonic()
        self.refused = ""

    def publish(self, topic: str, worker: str, seq: int, body: bytes) -> int | None:
        duty = self._duty
        if duty.part is Part.WAITS:
            raise StoreError(f"this process {duty.part}")
        if duty.part is Part.APART or topic.startswith(PROBE):
            with self._line.use() as server:
                return server.board.publish(topic, worker, seq, self._rest(topic, worker, body, "server"))
        if duty.sign.refuses:
            raise StoreError(duty.sign.refuses)
        duty.use(lambda copy: copy.board.publish(topic, worker, seq, self._rest(topic, worker, body, duty.host)))
        return None

    def collect(self, topic: str) -> tuple[Row, ...]:
        if self._duty.part is Part.ASKS:
            self.carry(at_once=True)
        with self._line.use() as server:
            return server.board.collect(topic)

    def clear(self, topic: str) -> None:
        if self._duty.copy is not None:
            self._duty.use(lambda copy: copy.board.clear(topic))
        with self._line.use() as server:
            server.board.clear(topic)

    def carry(self, *, at_once: bool = False) -> int | None:
        """
        Send up what was put up in the folder since the last time. Where rows add up that is done twice for each that a worker puts up,
        unless `at_once`. Returns the server's revision, where an answer brought it along.

        Raises:
            StoreError: the server does not take it; it is sent the next time.
        """
        now, up, told = time.monotonic(), self._up(), None
        self._topics = {topic: self._topics.get(topic) or _Topic.met(rows, now) for topic, rows in up.items()}
        for topic, sent in self._topics.items():
            rows = up[topic]
            new = {worker for worker, (number, _) in rows.items() if number > sent.sent.get(worker, (0, 0.0))[0]}
            wait = 0.0 if at_once or not self._rows.adds(topic) else sent.pace / 2
            if new and now - sent.at >= wait:
                told = self._send(topic, new)
                sent.at = now
                for worker in new:
                    sent.note(worker, rows[worker][0], now - rows[worker][1])
        if now - self._swept >= _SWEEP:
            self._swept = now
            self._duty.use(lambda copy: copy.take_down(_OLD))
        return told

    def _up(self) -> dict[str, dict[str, tuple[int, float]]]:
        """What is up in the folder: by topic and worker the number, and how many seconds old it is."""
        found: dict[str, dict[str, tuple[int, float]]] = {}
        for (topic, worker), row in self._duty.use(Copy.up).items():
            if not topic.startswith(OWN):
                found.setdefault(topic, {})[worker] = row
        return found

    def _send(self, topic: str, new: set[str]) -> int | None:
        rows = self._duty.use(lambda copy: copy.board.collect(topic))
        if self._rows.adds(topic):  # each row's number only grows, so their sum does, whoever of this host sends
            rows = (Row(self._duty.host, sum(row.seq for row in rows), self._rows.sum([row.body for row in rows]), 0.0),)
        else:
            rows = tuple(row for row in rows if row.worker in new)
        told: int | None = None
        try:
            with self._line.use() as server:
                for row in rows:
                    told = server.board.publish(topic, row.worker, row.seq, row.body)
        except StoreError as error:
            self.refused = str(error)
            raise
        self.refused = ""
        return told

    def _rest(self, topic: str, worker: str, body: bytes, place: str) -> bytes:
        if not self._rows.adds(topic):
            return body
        with self._lock:
            stands = self._stands.setdefault((topic, worker), {})
            others = [there for where, there in stands.items() if where != place]
            stands[place] = self._rows.less(body, others) if others else body
            return stands[place]
