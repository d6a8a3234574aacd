"""Parts: what one client's rollouts are made of, put together once."""

from __future__ import annotations

import os
from uuid import uuid4

from progflags._clock import Clock
from progflags.canary import Pool, Recorder
from progflags.errors import ReadOnlyError
from progflags.flags import NO_LIVE, Client
from progflags.rollout._chosen import Plans
from progflags.rollout._stops import Stops
from progflags.rollout.run import (
    LIMIT,
    Brake,
    Controller,
    Kept,
    Ledger,
    Looks,
    Meter,
    Outbox,
    Processes,
    Saved,
    Shadows,
    Summaries,
    Switches,
)
from progflags.store import MemoryStore, Store

__all__ = ["Parts"]

_MOMENT = 0.2  # seconds that the thread of notifications waits for sinks, which have threads of their own


class Parts:
    """
    One of each, over one client, one store and one recorder. They know each other as little as they did; who needs several of
    them takes this.

    `keep` names a folder in which a rollback or a kill that could not be stored outlives this process.
    """

    def __init__(self, client: Client, store: Store, recorder: Recorder, clock: Clock, keep: str | os.PathLike[str] | None) -> None:
        folder = None if isinstance(store, MemoryStore) else keep  # what ends with the process has nothing to keep
        self.client = client
        self.clock = clock
        self.board = store.board
        self.plans = Plans(client)
        self.ledger = Ledger(store, clock)
        self.brake = Brake(client, recorder)
        self.outbox = Outbox(store, clock, lambda: _MOMENT if client.bus.apart else LIMIT)
        self.meter = Meter(recorder, self.board, clock)
        self.shadows = Shadows(self.board, client.bus, clock, self.ledger.ages)
        self.stops = Stops(client, self.shadows, self.clock)
        self.found = Summaries(self.board, client, clock)
        self.processes = Processes(self.board, client, clock)
        self.controller = Controller(client, self.ledger, recorder, self.brake, self.stops.closed)
        self.looks = Looks(client, self.ledger, self.controller, clock, None if folder is None else Saved(folder, store.url))
        self.kept = None if folder is None else Kept(folder, store.url)
        if self.kept is not None:  # of a process that ended before the store was back: ours to carry now
            for flag, intent in self.kept.read().items():
                self.brake.intend(flag, intent, self.looks.last().get(flag, NO_LIVE).revision)
        self.switches = Switches(client, self.ledger, clock, None if folder is None else Kept(folder, store.url, "switch"))
        self.after_fork()

    def after_fork(self) -> None:
        """A worker of its own has another name on the Board."""
        self.pool = Pool(self.board, uuid4().hex[:12])
        self.processes.after_fork()

    def must_write(self) -> None:
        """
        Refuse what would have to be written.

        Raises:
            ReadOnlyError: this process only follows what others write.
        """
        if self.ledger.read_only:
            raise ReadOnlyError(self.ledger.read_only)

    def keep(self) -> None:
        """On disk what is wanted here and not stored yet, and no more than that."""
        if self.kept is not None:
            self.kept.keep(self.brake.intents)
