"""
What runs in the background for one client: three daemon threads, and none with `poll=None` or a ManualClock.

One looks at the source, one at the store, one runs the controller. They are apart because a store that hangs must not keep a kill
switch in the file from being seen, nor a judge that is being loaded, or waits for a connection, one in the store. All start with
`connect` and restart by themselves in a forked child. A fourth listens to a store that says when it moved, a fifth tends the
connection that a host shares, a sixth is there only when somebody asked for notifications of rollouts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from progflags._beside import RUNNING
from progflags._connect._ears import Ears
from progflags._connect._reach import Reach
from progflags.context import keep_with
from progflags.sources import Refresher

if TYPE_CHECKING:
    from progflags.store.host import HostStore

__all__ = ["Background"]

_STORE_POLL: Final = 0.1  # seconds between looks at the store; 2.7 µs each on SQLite, so a share change is everywhere in about 0.1 s.
# One on a server is asked far more seldom than it is looked at: see Ears
_ALONE: Final = 1.0  # likewise at one in this client's own memory, which looks by itself when it writes
_LISTEN: Final = 0.001  # seconds between two waits for a hint
_TEND: Final = 0.25  # seconds between two rounds of whoever asks the server for a host: what waits is sent up then
_FOLLOW: Final = 0.5  # seconds between two looks of the others whether somebody does: what waits until the next one does
_DELIVER: Final = 0.5  # seconds between two rounds of notifications; most ask the store for its revision and no more
_TICK: Final = 0.2  # seconds between two steps of the controller; a batch is at least 0.1 s of it apart (see rollout)
_STOP: Final = 0.6  # seconds that the threads have to end


class Background:
    """The threads of one client, who look after each other, as requests do that begin."""

    def __init__(self) -> None:
        self._threads: tuple[Refresher, ...] = ()
        self._host: HostStore | None = None
        self._ears: tuple[Ears, Refresher] | None = None
        self._looks, self._steps = Refresher(), Refresher()
        self._unhear: Callable[[], object] = bool
        self._delivering = False
        self._idle = 0.0  # seconds that may lie between two looks at a store that says nothing
        self._ended = False

    def __iter__(self) -> Iterator[Refresher]:
        return iter(self._threads)

    def __bool__(self) -> bool:
        return bool(self._threads)

    def begin(
        self,
        poll: float,
        *,
        source: Callable[[], object],
        store: Callable[[], object],
        step: Callable[[], object],
        rest: Callable[[], float],
        alone: bool,
    ) -> None:
        """
        Look at the source every `poll` seconds; at the store ten times a second, or as seldom as one that says when it moved needs it,
        or one that nobody but this client has (`alone`); and take a step of the rollouts five times, or once in `rest()` seconds where
        that is longer.
        """
        self._idle = _ALONE if alone else 0.0
        first = Refresher()
        first.every(poll, source, name="source")
        self._looks.every(min(poll, _STORE_POLL), store, name="store", slowest=1.0, pace=self._rest)
        self._steps.every(_TICK, step, name="rollouts", slowest=2.0, pace=rest)
        self._start(first, self._looks, self._steps)
        self._unhear = keep_with(self.look_after)

    def look(self) -> None:
        """Look at the store now."""
        self._looks.wake()

    def step(self) -> None:
        """Take a step now."""
        self._steps.wake()

    def pace(self, reach: Reach, poll: float | None) -> None:
        """Ask the store every `poll` seconds at most, however often it is looked at, and when it says that it moved."""
        ears = Ears(reach, poll, self.look)
        if not reach.mute:
            thread = Refresher()
            thread.every(_LISTEN, ears.listen, name="hints", slowest=1.0)
            self._ears = ears, thread
            self._start(thread)

    def tend(self, host: HostStore) -> None:
        """Have the store of a host tended."""
        thread = Refresher()
        thread.every(_TEND, host.tend, name="host", slowest=1.0, pace=lambda: _TEND if host.asks else _FOLLOW)
        self._host = host
        self._start(thread)

    def notify(self, deliver: Callable[[], object]) -> None:
        """Somebody wants notifications: they get a thread of their own, because stores and webhooks may take their time."""
        if self._threads and not self._delivering and not self._ended:
            self._delivering = True
            thread = Refresher()
            thread.every(_DELIVER, deliver, name="notifications")
            self._start(thread)

    def look_after(self) -> None:
        """Threads that have ended begin again; where none can be started, whoever is here looks: one at a time, when it is due."""
        for thread in () if self._ended else self._threads:  # a closed client can still be asked for its status
            if not thread.alive:
                thread.ensure()
                if not thread.alive and not (self._ears and thread is self._ears[1]):  # a request is no place to wait for hints
                    thread.run_due()

    def health(self) -> dict[str, str]:
        """By name: `running` (and how, if not in a thread), or why not."""
        told = {name: said for thread in self._threads for name, said in thread.health().items()}
        notes = {"store": self._ears[0].note if self._ears else "", "host": self._host.note if self._host else ""}
        return {name: f"{said}, {note}" if (note := notes.get(name)) and said == RUNNING else said for name, said in told.items()}

    def end(self) -> bool:
        """Whether all have; one that has not hangs at the store."""
        self._ended = True
        self._unhear()
        for thread in self._threads:  # every one of them is told, whichever hangs
            thread.stop(0.0)
        if self._ears is not None:
            self._ears[0].end()
        until = time.monotonic() + _STOP
        ended = [thread.stop(until - time.monotonic()) for thread in self._threads]
        return all(ended)

    def _rest(self) -> float:
        return self._idle if self._ears is None else self._ears[0].rest

    def _start(self, *threads: Refresher) -> None:
        for thread in threads:
            thread.beside(self._ensure)
            thread.start()
        self._threads = (*self._threads, *threads)

    def _ensure(self) -> None:
        for thread in self._threads:
            thread.ensure()
