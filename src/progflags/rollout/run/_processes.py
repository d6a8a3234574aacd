"""
The processes that share a store: each says from time to time that it is there, and what it serves.

That it could say so is also how a process finds out that the store takes writes, before it matters.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from progflags._clock import Clock
from progflags._json import canonical, loads
from progflags._printed import printable
from progflags._process import called
from progflags._trouble import swallow
from progflags.flags import Client
from progflags.rollout.run._sweep import sweep
from progflags.store import Board, Row

__all__ = ["Process", "Processes", "apart", "living"]

_TOPIC: Final = "processes"
_EVERY: Final = 30.0  # seconds between two signs of life
_GONE: Final = 100.0  # seconds after which a process is taken for gone: three signs that were missed
_KEPT: Final = 3600.0  # seconds that the rows of those that are gone lie about
_LEFT: Final = b"left"


@dataclass(frozen=True, slots=True)
class Process:
    """
    A process as it last told of itself. `name`: host and process id; `definitions`: the digest of what it serves; `revision`: of the
    store, as it last saw it; `judges`: whether it may run rollouts. `age`: seconds since it told, by the store's clock; `since`: wall
    time, when it began.

        for process in flags.rollouts.processes():
            print(process.name, process.version, process.definitions, process.judges, process.age)
    """

    name: str
    version: str
    python: str
    definitions: str
    revision: int
    judges: bool
    since: float
    age: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


class Processes:
    """One client's sign of life, and everybody's."""

    def __init__(self, board: Board, client: Client, clock: Clock) -> None:
        self._board = board
        self._client = client
        self._clock = clock
        self.after_fork()

    def after_fork(self) -> None:
        """A process of its own, that begins now."""
        self._since = self._clock.now()
        self._told: float | None = None
        self._number = 0

    def publish(self, worker: str, revision: int, *, judges: bool, at_once: bool = False) -> None:
        """
        Say that we are here, if it is time.

        Raises:
            StoreError: the board is out of reach.
        """
        now = self._clock.monotonic()
        if not at_once and self._told is not None and now - self._told < _EVERY:
            return
        first, self._told = self._told is None, now
        self._number += 1
        row = {"v": 1, **self._own(revision, judges=judges).to_dict()}
        self._board.publish(_TOPIC, worker, self._number, canonical(row).encode())
        if first:
            sweep(self._board, _TOPIC, _KEPT)

    def leave(self, worker: str) -> None:
        """
        Say that we go.

        Raises:
            StoreError: the board is out of reach; then we are missed after a while.
        """
        if self._told is not None:
            self._board.publish(_TOPIC, worker, self._number + 1, _LEFT)

    def _own(self, revision: int, *, judges: bool) -> Process:
        from progflags import __version__

        snapshot = self._client.definitions
        return Process(
            name=called(),
            version=__version__,
            python=platform.python_version(),
            definitions="" if snapshot is None else snapshot.digest,
            revision=revision,
            judges=judges,
            since=self._since,
        )


def living(board: Board) -> tuple[Process, ...]:
    """
    Every process that told of itself lately, by name.

    Raises:
        StoreError: the board is out of reach.
    """
    found = []
    for row in board.collect(_TOPIC):
        if row.body == _LEFT or row.age >= _GONE:
            continue
        try:
            found.append(_read(row))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            swallow("processes", error)
    return tuple(sorted(found, key=lambda process: process.name))


def apart(processes: Sequence[Process]) -> tuple[str, ...]:
    """In what they differ, as words: so it is in the middle of a deployment, and should not stay so."""
    known = {"versions of progflags": {one.version for one in processes}, "definitions": {one.definitions for one in processes}}
    return tuple(what for what, found in known.items() if len(found) > 1)


def _read(row: Row) -> Process:
    body = loads(row.body)
    if body["v"] != 1:
        raise ValueError(f"a process of version {body['v']}")
    texts = {name: printable(str(body[name])) for name in ("name", "version", "python", "definitions")}
    return Process(**texts, revision=int(body["revision"]), judges=bool(body["judges"]), since=float(body["since"]), age=row.age)
