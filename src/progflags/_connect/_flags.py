"""
Flags: the client an application holds, and what keeps it supplied.

Two daemon threads, and none with `poll=None` or a ManualClock: one looks at the source, the other at the store and runs the
controller. They are apart because a store that hangs must not keep a kill switch in the file from being seen. Both start with
`connect` and restart by themselves in a forked child. A third is there only when somebody asked for notifications of rollouts.
"""

from __future__ import annotations

import getpass
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from progflags._beside import LOGGING, RUNNING
from progflags._clock import Clock
from progflags._connect._jumps import Jumps
from progflags._connect._status import State, Status
from progflags._connect._supply import Supply
from progflags._connect._turns import Turns
from progflags._deadline import within
from progflags._printed import quoted
from progflags._process import Thread, look
from progflags._trouble import say, swallow
from progflags.context import keep_with
from progflags.errors import ClosedError, DefinitionError, Problem, StoreError
from progflags.events import Bus, Change, Moved, SourceFailed
from progflags.flags import EVERYTHING, Client, declared, mismatches
from progflags.sources import Defined, Loader, Refresher
from progflags.store import MemoryStore, Store

if TYPE_CHECKING:
    from progflags.canary import Recorder
    from progflags.flags import Snapshot
    from progflags.rollout import Rollouts

__all__ = ["Flags", "login"]

_STORE_POLL: Final = 0.1  # seconds between looks at the store; 2.7 µs each on SQLite, so a share change is everywhere in about 0.1 s
_CLOSING: Final = 1.8  # seconds that closing takes at most, the last window included
_LET_GO: Final = 0.1  # seconds of them that the store has to close, at least
_DELIVER: Final = 1.0  # seconds between two rounds of notifications
_TIMEOUT: Final = 2.0  # seconds a verb takes at most, unless it is told otherwise
_OWN: Final = "memory://"  # the store of a client that was given none
_SAID: Final = 10  # rejected flags that the log names one by one
_TICK: Final = 0.2  # seconds between two steps of the controller; a batch is at least 0.1 s of it apart (see rollout)


class Flags(Client):
    """
    The client an application holds: everything a Client evaluates, plus metrics, rollouts, kill switches and a status.

    `connect` makes one. Safe from any thread, task and forked child. `close` (or leaving its `with` block) ends the
    background threads; evaluation goes on from the last snapshot, verbs are refused.
    """

    def __init__(self, loader: Loader, store: Store, *, clock: Clock, control: bool = True) -> None:
        super().__init__(bus=Bus(), clock=clock)
        self._loader = loader
        self._store = store
        self._owns_store = True
        self._kept_in: str | Path | None = None
        self._control = control
        self._closed = False
        self._refused: tuple[Problem, ...] = ()
        self._looked_at = clock.monotonic()
        self._defined_at: float | None = None  # set while a persisted last known good serves: when (wall) it was written
        self._jumps = Jumps(clock)
        self._running = False
        self._panic_file = False
        self._unhear: Callable[[], object] = bool
        self._threads: tuple[Refresher, ...] = ()
        self._delivery: tuple[Recorder, Rollouts] | None = None
        self._supply = Supply(self, store, rollouts=lambda: self._rooms()[1], made=lambda: self.delivers)
        self._noted: Defined | None = None
        self._renew()

    def after_fork(self) -> None:
        """A child has locks of its own: the parent's may have been held."""
        super().after_fork()
        self._renew()

    def _renew(self) -> None:
        self._of_source, self._making = Turns(), threading.RLock()
        self._supply.renew()

    def _begin(self, poll: float | None, *, definitions_in_store: bool = False, store_required: bool = False) -> None:
        self._look_for_panic()
        if self._control or poll is not None:  # a look by hand, as a command's, serves nobody: what it finds is no change
            self._noted = self._notes()
        try:
            self._install(self._loader.first())
        except DefinitionError:
            if definitions_in_store:
                self._store.revision()  # out of reach is another trouble than having none
            raise
        self._look_at_source()  # what began from the persisted last known good is stale from the first moment, and says so
        if not isinstance(self._store, MemoryStore) or _has_rollouts(self.definitions):
            self._rooms()  # now, not in the background thread: a fork in the middle of an import would leave the child its lock
        self._look_at_store()
        if self._supply.away:
            if store_required:
                raise StoreError(self._supply.away)
            self._supply.serve_last()
        elif self._delivery is not None:
            self._delivery[1].carry()
        self._running = poll is not None
        if poll is not None:
            self.bus.apart = True
            source, stored = Refresher(), Refresher()
            source.every(poll, self._look_at_source, name="source")
            stored.every(min(poll, _STORE_POLL), self._look_when_due, name="store", slowest=1.0)
            stored.every(_TICK, self._step, name="rollouts", slowest=2.0)
            self._start(source, stored)
            self._unhear = keep_with(self._look_after_threads)

    # -- what serves, and how well --------------------------------------------------------------------------------------

    def refresh(self) -> str:
        """
        Look at source and store once, now, in this thread; the revision (digest of the definitions) served after it.

        Never raises for what is there: what can't be read or is refused stands in `status()`, and the last good serves.
        """
        look()
        self._look_at_source()
        if self._loader.unsettled:  # flags are gone from a file that was just touched: once it is left alone, they are
            time.sleep(self._loader.unsettled)
            self._look_at_source()
        self._look_at_store()
        if self._delivery is not None:
            self._delivery[1].carry()
        self._write_down()
        self._supply.check()
        return self._revision

    def status(self) -> Status:
        """How well this client is supplied, and what is wrong where. Starts threads again that have ended."""
        look()
        threads = self._health()
        self._look_after_threads()
        snapshot = self.definitions
        rejected = () if snapshot is None else snapshot.rejected
        warnings = () if snapshot is None else self._warnings(snapshot)
        warnings = (*warnings, *(Problem(f"<{where}>", None, "", why, _times(n)) for where, why, n in self.refusals.read()))
        store_problem, write_problem = self._supply.problem, self._supply.write_problem
        if snapshot is None:
            state = State.NOT_READY if self._closed else State.ERROR
        elif self._refused:
            state = State.STALE
        else:
            ill = rejected or store_problem or write_problem or any(not said.startswith(RUNNING) for said in threads.values())
            state = State.DEGRADED if ill else State.READY
        return Status(
            state=state,
            revision=self._revision,
            age=self._age(),
            rejected=rejected,
            problems=self._refused,
            warnings=warnings,
            source=self._loader.name,
            store=self._store.url,
            store_problem=store_problem,
            writable=not (store_problem or write_problem),
            write_problem=write_problem,
            saved_at=self._saved_at,
            pending=() if self._delivery is None else self._delivery[1].pending,
            panic=self.live(EVERYTHING).killed,
            panicking=self.panicking,
            threads=threads,
        )

    def _age(self) -> float:
        """Since the source was last found in order; what a folder kept is as old as it was when it was written."""
        if self._defined_at is not None:
            return max(0.0, self.clock.now() - self._defined_at)
        return self.clock.monotonic() - self._looked_at

    def _warnings(self, snapshot: Snapshot) -> tuple[Problem, ...]:
        plans = self._plan_warnings(snapshot)
        return (*snapshot.warnings, *plans, *_of_other_types(snapshot), *self.uncompared)

    @property
    def _saved_at(self) -> float | None:
        """When (wall) what serves was saved, definitions or live state, where either comes from the disk; of both the older."""
        live = None if self._delivery is None else self._delivery[1].saved_at
        return min((at for at in (self._defined_at, live) if at is not None), default=None)

    @property
    def _revision(self) -> str:
        snapshot = self.definitions
        return "" if snapshot is None else snapshot.digest

    # -- the rooms above ------------------------------------------------------------------------------------------------

    @property
    def delivers(self) -> bool:
        """Whether anything is counted here: a store is shared, or a rollout is defined. Asking does not make it so."""
        return self._delivery is not None

    @property
    def metrics(self) -> Recorder:
        """What is counted: `record`, `read`, and external metrics by `source`."""
        return self._rooms()[0]

    @property
    def rollouts(self) -> Rollouts:
        """
        The rollouts: `start`, `status`, `rollback`, `tick` and the other verbs.

        Raises:
            ClosedError: the client was closed.
        """
        if self._closed:
            raise ClosedError("this client is closed: it evaluates from its last snapshot and changes nothing. Connect again")
        return self._rooms()[1]

    def kill(self, flag: str, *, reason: str = "", by: str | None = None, timeout: float = _TIMEOUT) -> None:
        """
        The safe variant of `flag` for everybody, at once, whatever else happens; again changes nothing.

        Here before the store is asked; with the store out of reach it stays so here, is stored as soon as the store is back, and
        until then stands in `status().pending`.

        Raises:
            TransitionRefused: there is no such flag.
            StoreError: it is none of the file's, and the store, which may know it, is out of reach.
            ClosedError: the client was closed.
        """
        self.rollouts.kill(flag, reason=reason, by=by, timeout=timeout)

    def unkill(self, flag: str, *, reason: str = "", by: str | None = None, timeout: float = _TIMEOUT) -> None:
        """Take a kill back: the flag answers as before it. Here at once, and in the store as `kill` is."""
        self.rollouts.unkill(flag, reason=reason, by=by, timeout=timeout)

    def panic(self, on: bool = True, *, reason: str = "", by: str | None = None, timeout: float = _TIMEOUT) -> None:
        """
        The safe variant of every flag for everybody, in every process that shares the store; `unpanic` (or `panic(False)`) ends it.

        Here before the store is asked, and kept as `kill` is. The switch of one process, `PROGFLAGS_PANIC`, is apart from this one:
        every flag answers `safe` while either is thrown.
        """
        (self.rollouts.panic if on else self.rollouts.unpanic)(reason=reason, by=by, timeout=timeout)

    def unpanic(self, *, reason: str = "", by: str | None = None, timeout: float = _TIMEOUT) -> None:
        """Take a panic back. Flags that were killed one by one stay killed."""
        self.rollouts.unpanic(reason=reason, by=by, timeout=timeout)

    def changes(
        self, flag: str | None = None, *, since: float | None = None, limit: int = 100, timeout: float = _TIMEOUT
    ) -> tuple[Change, ...]:
        """
        What was changed, newest first: definitions, shares, kills, panics and the steps of rollouts, with actor and reason.

        Of one `flag`, or of all; none before `since` (wall time, in seconds); at most `limit`. As the store has it, so of every
        process that shares it; a store in memory knows of this process alone. Back within `timeout` seconds.

        Raises:
            StoreError: the store is out of reach, or did not answer in time.
            ValueError: `limit` is not a whole number above 0.
        """
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ValueError(f"limit is a whole number above 0, not {quoted(limit)}")
        with within(timeout):
            self._write_down()
            stored: tuple[Change, ...] = ()
            if self._store.revision():
                from progflags.rollout import changes

                stored = changes(self._store, flag, since, limit)
        here = () if self._noted is None else tuple(self._noted.of(flag, since))
        return tuple(sorted((*stored, *here), key=lambda change: change.at, reverse=True)[:limit])

    def _rooms(self) -> tuple[Recorder, Rollouts]:
        """Recorder and rollouts, made when first needed: a program that only evaluates never loads them."""
        look()
        made = self._delivery
        if made is not None:  # without the lock: requests that record come through here
            return made
        with self._making:
            if self._delivery is None:
                from progflags.canary import Recorder
                from progflags.rollout import Rollouts

                recorder = Recorder(self.bus, self.clock, arms=self._arms, refusals=self.refusals)
                rollouts = Rollouts(
                    self,
                    self._store,
                    recorder,
                    self.clock,
                    refresh=self._look_at_store,
                    actor=_signature(),
                    deliveries=self._deliver,
                    keep=self._kept_in,
                )
                self._delivery = recorder, rollouts
                if isinstance(self._store, MemoryStore):
                    self._unlisten = self.bus.listen(Moved, self._warn_of_memory, ours=True)
            return self._delivery

    def _arms(self, flag: str) -> tuple[str, ...] | None:
        """The arms a flag has besides control and candidate; None of one that neither the file nor the store knows."""
        snapshot = self.definitions
        model = None if snapshot is None else snapshot.flags.get(flag)
        if model is not None:
            return tuple(model.variants)
        return () if self.live(flag).revision or (snapshot is not None and flag in snapshot.broken) else None

    def _deliver(self) -> None:
        """Somebody wants notifications: they get a thread of their own, because stores and webhooks may take their time."""
        if self._running and not self._closed and len(self._threads) == 2:
            thread = Refresher()
            thread.every(_DELIVER, self._rooms()[1].deliver, name="notifications")
            self._start(thread)

    def _warn_of_memory(self, moved: Moved) -> None:
        self._unlisten()
        say("rollouts", f"{moved.flag}: its state is kept in memory and ends with this process; connect(…, store='sqlite:///progflags.db')")

    def _plan_warnings(self, snapshot: Snapshot) -> tuple[Problem, ...]:
        """Rollout tables that are well-formed and can't be carried out: starting them would be refused, so say it at load."""
        if not _has_rollouts(snapshot):
            return ()
        from progflags.rollout import unstartable

        return unstartable(snapshot)

    # -- looking ---------------------------------------------------------------------------------------------------------

    def _start(self, *threads: Refresher) -> None:
        for thread in threads:
            thread.beside(self._ensure)
            thread.start()
        self._threads = (*self._threads, *threads)

    def _ensure(self) -> None:
        """Threads that have ended begin again: said by each of them, by a request that begins, by `status`."""
        for thread in self._threads:
            thread.ensure()

    def _look_after_threads(self) -> None:
        """And where none can be started, whoever is here looks: one at a time, when it is due."""
        for thread in self._threads:
            if not thread.alive:
                thread.ensure()
                if not thread.alive:
                    thread.run_due()

    def _health(self) -> dict[str, str]:
        """By name: `running` (and how, if not in a thread), or why not."""
        if self._closed:
            return {}
        told = {name: said for thread in self._threads for name, said in thread.health().items()}
        told |= self.bus.health()
        for room in self._delivery or ():
            told |= room.health()
        for thing in self.supervised:
            told |= thing()
        written = LOGGING.health()
        return told if written == RUNNING or not told else {**told, "log": written}

    def _look_for_panic(self) -> None:
        """`PROGFLAGS_PANIC` is a word (1, true, on, yes) or a file: while that file is there, every flag answers `safe`."""
        said = os.environ.get("PROGFLAGS_PANIC", "")
        if os.sep in said:
            there = Path(said).exists()
            if there is not self._panic_file:
                self._panic_file = there
                super().panic(there)
        elif said.lower() not in _OFF:
            super().panic()

    def _look_at_source(self) -> None:
        self._look_for_panic()
        with self._of_source.take() as ours:
            if not ours:
                return
            loaded = self._loader.load()
            if loaded.snapshot is not None:
                self._install(loaded.snapshot)
            if loaded.problems != self._refused:
                self._refused = loaded.problems
                self.set_stale(bool(loaded.problems))
                if loaded.problems:
                    self.bus.tell(SourceFailed(self._loader.name, str(loaded.problems[0]), loaded.problems))
                    say("source", f"the last known good serves on: {loaded.problems[0]}", cause=f"refused {loaded.problems[0].key}")
            self._defined_at = loaded.saved_at
            if not loaded.stale:
                self._looked_at = self.clock.monotonic()

    def _install(self, snapshot: Snapshot) -> None:
        self.install(snapshot)
        if self._noted is not None:
            self._noted.serves(snapshot)
        for problem in snapshot.rejected[:_SAID]:
            say("source", f"a flag was rejected: {problem}", cause=f"rejected {problem.key}")
        if len(snapshot.rejected) > _SAID:
            say("source", f"{len(snapshot.rejected) - _SAID:,} more of its flags were rejected; status() has all of them")

    def _look_at_store(self) -> None:
        """Install the live state if the store has moved."""
        self._jumps.look()
        self._supply.look()

    def _look_when_due(self) -> None:
        self._jumps.look()
        self._supply.look_when_due()
        self._write_down()

    def _notes(self) -> Defined:
        own = isinstance(self._store, MemoryStore) and self._owns_store and self._store.url == _OWN
        store = None if own else self._store
        pushed = self._loader.name == self._store.url
        return Defined(store, self._loader.name, actor=_signature(), bus=self.bus, clock=self.clock, told=pushed)

    def _write_down(self) -> None:
        """Tell whoever reads the store what became of the definitions here."""
        if self._noted is not None and self._noted.waits and not self._supply.problem:
            with within(_TIMEOUT):
                self._noted.write()

    def _step(self) -> None:
        """A step of the controller, or just our window; none while the store does not answer, for each would wait for it."""
        if self._delivery is None or self._supply.away:
            return
        rollouts = self._delivery[1]
        if self._control:
            rollouts.tick()
        else:
            rollouts.publish()

    # -- the end ---------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """
        End the background threads, put up what was counted last, and let go of the store; returns within 2 s.

        Idempotent. Evaluation goes on.
        """
        look()
        if self._closed:
            return
        self._closed = self._supply.ended = True
        self._unhear()
        end = time.monotonic() + _CLOSING
        ended = [thread.stop(0.6) for thread in self._threads]
        if all(ended):  # one that didn't hangs at the store, and so would this
            self._put_up_the_rest(end)
        self.bus.close()
        for room in self._delivery or ():
            room.close()
        if self._owns_store:
            with within(max(_LET_GO, end - time.monotonic())):
                self._store.close()

    def _put_up_the_rest(self, end: float) -> None:
        """The last window, of a program that ran shorter than a tick the only one; a store that hangs is left behind."""
        if not self._threads or self._delivery is None:
            return
        last = Thread(self._last_window, args=(self._delivery[1],), name="progflags-close")
        try:
            last.start()
        except RuntimeError as error:  # the interpreter is ending, or the system is at its limit
            swallow("close", error)
        else:
            last.join(max(0.0, end - time.monotonic()))

    def _last_window(self, rollouts: Rollouts) -> None:
        try:
            rollouts.publish(at_once=True)
        except Exception as error:
            swallow("close", error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _has_rollouts(snapshot: Snapshot | None) -> bool:
    return snapshot is not None and any(flag.rollout is not None for flag in snapshot.flags.values())


def _of_other_types(snapshot: Snapshot) -> tuple[Problem, ...]:
    """Where the code's typed flags want another type than this file has. One the file lacks may be another client's: `lint` says those."""
    return mismatches(snapshot, [flag for flag in declared() if flag.key in snapshot.flags])


def _times(n: int) -> str:
    return "once so far" if n == 1 else f"{n} times so far"


_OFF: Final = frozenset({"", "0", "false", "off", "no"})


def _signature() -> str:
    """Who signs what nobody else does."""
    return f"{login()}@{socket.gethostname()}"


def login() -> str:
    """Who runs this process, by name where the system knows one."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        return f"pid {os.getpid()}"
