"""
The store in memory: the contract as a program, readable in one sitting.

Everything is behind one condition variable. Bodies are kept as canonical JSON text and parsed again for every reader,
so nobody can change a document by changing what they were handed, and what another store could not keep is refused here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from cachetools import FIFOCache

from progflags._clock import SYSTEM, Clock
from progflags._json import loads
from progflags._process import in_child, look
from progflags.errors import StoreError
from progflags.store._contract import Board, Commit, Document, Entry, Row
from progflags.store._writing import REMEMBERED, conflict, texts

__all__ = ["MemoryStore"]


class MemoryStore:
    """
    A store that lives as long as the process. With a `name`, everybody in the process who gives it sees one store.

    A named store keeps its documents when it is closed, as a file would: open it again and they are there. `clock` is
    asked for the age of the Board's rows, and for the store's time: the wall clock as it was when the first with that clock came.

        store = MemoryStore()
        web = pf.connect("flags.toml", store=store)
        worker = pf.connect("flags.toml", store=store)  # one sees what the other changes
    """

    def __init__(self, name: str = "", *, clock: Clock = SYSTEM) -> None:
        self._name = name
        self._clock = clock
        self._memory = _SHARED.setdefault(name, _Memory()) if name else _Memory()
        self._memory.apart.setdefault(clock, clock.now() - clock.monotonic())
        self._closed = False

    @property
    def url(self) -> str:
        return f"memory://{self._name}"

    @property
    def board(self) -> Board:
        return _MemoryBoard(self)

    def revision(self) -> int:
        return self._open().revision

    def read(self, prefix: str = "") -> tuple[int, dict[str, Document]]:
        memory = self._open()
        with memory.changed:
            found = {key: kept for key, kept in memory.documents.items() if key.startswith(prefix)}
            revision = memory.revision
        return revision, {key: Document(key, at, loads(text)) for key, (at, text) in sorted(found.items())}

    def commit(self, commit: Commit) -> int:
        writes, lines = texts(commit)
        memory = self._open()
        with memory.changed:
            if commit.id and commit.id in memory.ids:
                return memory.ids[commit.id]
            conflict(self.url, commit, {key: memory.documents.get(key, (0, ""))[0] for key in commit.expects})
            memory.take(commit.id, writes, lines)
            return memory.revision

    def wait(self, revision: int, timeout: float) -> int:
        memory = self._open()
        with memory.changed:
            memory.changed.wait_for(lambda: self._closed or memory.revision > revision, max(0.0, timeout))
            return self._open().revision

    def history(self, subject: str, *, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:
        memory = self._open()
        with memory.changed:
            gone = memory.trimmed.get(subject, 0)
            first = max(gone, after)
            lines = memory.history.get(subject, [])[first - gone :][: max(0, limit)]
        return tuple(Entry(subject, number, at, loads(text)) for number, (at, text) in enumerate(lines, first + 1))

    def trim(self, subject: str, through: int) -> int:
        memory = self._open()
        with memory.changed:
            gone, lines = memory.trimmed.get(subject, 0), memory.history.get(subject, [])
            more = max(0, min(through - gone, len(lines) - 1))
            del lines[:more]
            memory.trimmed[subject] = gone + more
            return gone + more + 1

    def now(self) -> float:
        return self._open().apart[self._clock] + self._clock.monotonic()

    def close(self) -> None:
        memory = self._memory
        with memory.changed:
            self._closed = True
            memory.changed.notify_all()

    def _open(self) -> _Memory:
        look()
        if self._closed:
            raise StoreError(f"{self.url} is closed: open it again")
        return self._memory


class _Memory:
    """What the handles of one name share."""

    def __init__(self) -> None:
        self.revision = 0
        self.documents: dict[str, tuple[int, str]] = {}
        self.history: dict[str, list[tuple[int, str]]] = {}
        self.trimmed: dict[str, int] = {}  # how many lines of a history are gone
        self.ids: FIFOCache[str, int] = FIFOCache(REMEMBERED)
        self.rows: dict[tuple[str, str], tuple[int, bytes, float]] = {}
        self.apart: dict[Clock, float] = {}  # how far each wall clock is ahead of its monotonic one, from when it first came
        self.changed = threading.Condition()
        in_child(self)

    def after_fork(self) -> None:
        self.changed = threading.Condition()  # the old one may be held by a thread that is not here; the copy is ours alone

    def take(self, id_: str, writes: dict[str, str | None], lines: Iterable[tuple[str, str]]) -> None:
        self.revision += 1
        for key, text in writes.items():
            if text is None:
                self.documents.pop(key, None)
            else:
                self.documents[key] = (self.revision, text)
        for subject, line in lines:
            self.history.setdefault(subject, []).append((self.revision, line))
        if id_:
            self.ids[id_] = self.revision
        self.changed.notify_all()


_SHARED: dict[str, _Memory] = {}


class _MemoryBoard:
    """The Board over the same memory; its rows never touch the revision."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def publish(self, topic: str, worker: str, seq: int, body: bytes) -> None:
        memory = self._store._open()
        with memory.changed:
            there: Any = memory.rows.get((topic, worker))
            if there is None or seq > there[0]:
                memory.rows[topic, worker] = (seq, bytes(body), self._store._clock.monotonic())

    def collect(self, topic: str) -> tuple[Row, ...]:
        memory = self._store._open()
        with memory.changed:
            rows = sorted((worker, row) for (of, worker), row in memory.rows.items() if of == topic)
            now = self._store._clock.monotonic()
        return tuple(Row(worker, seq, body, max(0.0, now - at)) for worker, (seq, body, at) in rows)

    def clear(self, topic: str) -> None:
        memory = self._store._open()
        with memory.changed:
            memory.rows = {place: row for place, row in memory.rows.items() if place[0] != topic}
