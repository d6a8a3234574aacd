"""
The Board in the SQLite file: one row per topic and worker.

A row's age has to be right for another process to judge, and may not depend on the wall clock, which steps. The monotonic
clock of one boot is the same for all processes of a host, so a row notes it together with the boot's id. A row of an
earlier boot is older than this boot, whatever the wall clock says.

The store's time rests on such a row, too: the first of a boot stays, and time goes on from what its wall clock said.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from pathlib import Path
from typing import Final

from progflags._clock import Clock
from progflags.store._contract import Row
from progflags.store._sqlite_file import DatabaseFile

__all__ = ["LIVES", "SQLiteBoard", "boot"]

LIVES: Final = 86_400.0  # seconds that a row is kept, as in Redis
_TIME: Final = "\0time"  # a topic that is nobody's


class SQLiteBoard:
    """
    Workers' windows in the same file as the documents; they never touch the revision. `lives`: seconds after which a row that nobody
    has put up again may go.
    """

    def __init__(self, file: DatabaseFile, clock: Clock, lives: float = LIVES) -> None:
        self._file = file
        self._lives = lives
        self._clock = clock

    def publish(self, topic: str, worker: str, seq: int, body: bytes) -> None:
        row = (topic, worker, seq, boot(), self._clock.monotonic(), self._clock.now(), bytes(body))

        def put(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO board (topic, worker, seq, boot, monotonic, wall, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (topic, worker) DO UPDATE SET seq = excluded.seq, boot = excluded.boot, monotonic = excluded.monotonic,"
                " wall = excluded.wall, body = excluded.body WHERE excluded.seq > board.seq",
                row,
            )

        self._file.run(put, begin="IMMEDIATE")

    def now(self) -> float:
        """See SQLiteStore.now."""
        found = self._file.run(self._began)
        if found is None:
            found = self._file.run(self._begin, begin="IMMEDIATE")
        return found + self._clock.monotonic()

    def _began(self, connection: sqlite3.Connection) -> float | None:
        """How far this boot's time is ahead of its monotonic clock; None where nobody has asked since the boot."""
        query = "SELECT wall - monotonic FROM board WHERE topic = ? AND worker = '' AND boot = ? AND monotonic <= ?"
        row = connection.execute(query, (_TIME, boot(), self._clock.monotonic())).fetchone()
        return None if row is None else float(row[0])

    def _begin(self, connection: sqlite3.Connection) -> float:
        found = self._began(connection)
        if found is not None:  # another process was here between our look and our lock
            return found
        monotonic, wall = self._clock.monotonic(), self._clock.now()
        connection.execute(
            "INSERT OR REPLACE INTO board (topic, worker, seq, boot, monotonic, wall, body) VALUES (?, '', 1, ?, ?, ?, x'')",
            (_TIME, boot(), monotonic, wall),
        )
        return wall - monotonic

    def collect(self, topic: str) -> tuple[Row, ...]:
        def look(connection: sqlite3.Connection) -> list[tuple[str, int, bytes, str, float, float]]:
            return connection.execute(
                "SELECT worker, seq, body, boot, monotonic, wall FROM board WHERE topic = ? ORDER BY worker", (topic,)
            ).fetchall()

        return tuple(Row(worker, seq, body, self._age(of, at, on)) for worker, seq, body, of, at, on in self._file.run(look))

    def up(self) -> dict[tuple[str, str], tuple[int, float]]:
        """What is up, by topic and worker: its number, and how many seconds old it is."""
        rows = self._file.run(
            lambda connection: connection.execute("SELECT topic, worker, seq, boot, monotonic, wall FROM board").fetchall()
        )
        return {(topic, worker): (seq, self._age(*when)) for topic, worker, seq, *when in rows}

    def take_down(self, seconds: float) -> None:
        """The topics on which nobody put anything up for so long; those that begin with a zero are nobody's."""
        ages: dict[str, float] = {}
        for (topic, _), (_, age) in self.up().items():
            ages[topic] = min(age, ages.get(topic, age))
        for topic, age in ages.items():
            if age >= seconds and not topic.startswith("\0"):
                self.clear(topic)

    def _age(self, of: str, at: float, on: float) -> float:
        monotonic = self._clock.monotonic()
        return _age(of == boot(), monotonic - at, self._clock.now() - on, monotonic)

    def clear(self, topic: str) -> None:
        # What nobody has put up for a day goes with it: who died in between has left it for good.
        left = "topic <> ? AND CASE WHEN boot = ? THEN monotonic < ? ELSE wall < ? END"
        values = (topic, _TIME, boot(), self._clock.monotonic() - self._lives, self._clock.now() - self._lives)
        query = f"DELETE FROM board WHERE topic = ? OR ({left})"  # noqa: S608 - two constants
        self._file.run(lambda connection: connection.execute(query, values).rowcount, begin="IMMEDIATE")


def _age(same_boot: bool, elapsed: float, by_wall: float, uptime: float) -> float:
    """`elapsed` on the monotonic clock of one boot; across boots what the wall clock says, and at least the time since this boot."""
    if same_boot and elapsed >= 0:
        return elapsed
    return max(by_wall, uptime, 0.0)


@cache
def boot() -> str:
    """An id of this boot of the machine; empty where the system has none, and then a row from the future is of an earlier boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
