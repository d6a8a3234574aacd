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
from typing import TYPE_CHECKING, Any, Final, Self

from progflags._clock import Clock
from progflags._connect._status import State, Status
from progflags._connect._turns import Turns
from progflags._trouble import say, swallow
from progflags.context import Scope, on_begin
from progflags.errors import ClosedError, DefinitionError, Problem, StoreError
from progflags.events import Bus, Moved, SourceFailed
from progflags.flags import Client, declared, mismatches
from progflags.sources import Loader, Refresher
from progflags.store import MemoryStore, Store

if TYPE_CHECKING:
    from progflags.canary import Recorder
    from progflags.flags import Snapshot
    from progflags.rollout import Rollouts

__all__ = ["Flags", "login"]

_STORE_POLL: Final = 0.1  # seconds between looks at the store; 2.7 µs each on SQLite, so a share change is everywhere in about 0.1 s
_CLOSING: Final = 1.8  # seconds that closing takes at most, the last window included
_DELIVER: Final = 1.0  # seconds between two rounds of notifications
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
        self._live_at = -1
        self._tick_at = 0.0
        self._running = False
        self._panic_file = False
        self._unhear: Callable[[], object] = bool
        self._store_problem = ""
        self._threads: tuple[Refresher, ...] = ()
        self._delivery: tuple[Recorder, Rollouts] | None = None
        self._renew()

    def after_fork(self) -> None:
        """A child has locks of its own: the parent's may have been held."""
        super().after_fork()
        self._renew()

    def _renew(self) -> None:
        self._of_source, self._of_store, self._making = Turns(), Turns(), threading.RLock()

    def _begin(self, poll: float | None) -> None:
        self._look_for_panic()
        self._install(self._loader.first())
        self._look_at_source()  # what began from the persisted last known good is stale from the first moment, and says so
        if not isinstance(self._store, MemoryStore) or _has_rollouts(self.definitions):
            self._rooms()  # now, not in the background thread: a fork in the middle of an import would leave the child its lock
        self._look_at_store()
        self._running = poll is not None
        if poll is not None:
            self._threads = (_thread(poll, self._look_at_source), _thread(min(poll, _STORE_POLL), self._look_and_tick))
            if not all(thread.alive for thread in self._threads):  # uWSGI without threads, a system at its limit
                self._unhear = on_begin(self._look_instead)

    # -- what serves, and how well --------------------------------------------------------------------------------------

    def refresh(self) -> str:
        """
        Look at source and store once, now, in this thread; the revision (digest of the definitions) served after it.

        Never raises for what is there: what can't be read or is refused stands in `status()`, and the last good serves.
        """
        self._look_at_source()
        self._look_at_store()
        return self._revision

    def status(self) -> Status:
        """How well this client is supplied, and what is wrong where."""
        snapshot = self.definitions
        rejected = () if snapshot is None else snapshot.rejected
        warnings = () if snapshot is None else (*snapshot.warnings, *self._plan_warnings(snapshot), *_of_other_types(snapshot))
        if snapshot is None:
            state = State.NOT_READY if self._closed else State.ERROR
        elif self._refused:
            state = State.STALE
        else:
            state = State.DEGRADED if rejected or self._store_problem else State.READY
        return Status(
            state=state,
            revision=self._revision,
            age=self.clock.monotonic() - self._looked_at,
            rejected=rejected,
            problems=self._refused,
            warnings=warnings,
            source=self._loader.name,
            store=self._store.url,
            store_problem=self._store_problem,
        )

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

    def kill(self, flag: str, *, reason: str = "", by: str | None = None) -> None:
        """The safe variant of `flag` for everybody, at once, whatever else happens; again changes nothing."""
        self.rollouts.kill(flag, reason=reason, by=by)

    def unkill(self, flag: str, *, reason: str = "", by: str | None = None) -> None:
        """Take a kill back: the flag answers as before it."""
        self.rollouts.unkill(flag, reason=reason, by=by)

    def _rooms(self) -> tuple[Recorder, Rollouts]:
        """Recorder and rollouts, made when first needed: a program that only evaluates never loads them."""
        made = self._delivery
        if made is not None:  # without the lock: requests that record come through here
            return made
        with self._making:
            if self._delivery is None:
                from progflags.canary import Recorder
                from progflags.rollout import Rollouts

                recorder = Recorder(self.bus, self.clock)
                who = f"{login()}@{socket.gethostname()}"
                rollouts = Rollouts(
                    self,
                    self._store,
                    recorder,
                    self.clock,
                    refresh=self._look_at_store,
                    actor=who,
                    deliveries=self._deliver,
                    keep=self._kept_in,
                )
                self._delivery = recorder, rollouts
                if isinstance(self._store, MemoryStore):
                    self._unlisten = self.bus.listen(Moved, self._warn_of_memory)
            return self._delivery

    def _deliver(self) -> None:
        """Somebody wants notifications: they get a thread of their own, because a webhook may take its time."""
        if self._running and not self._closed and len(self._threads) == 2:
            self._threads = (*self._threads, _thread(_DELIVER, self._rooms()[1].deliver))

    def _warn_of_memory(self, moved: Moved) -> None:
        self._unlisten()
        say("rollouts", f"{moved.flag}: its state is kept in memory and ends with this process; connect(…, store='sqlite:///progflags.db')")

    def _plan_warnings(self, snapshot: Snapshot) -> tuple[Problem, ...]:
        """Rollout tables that are well-formed and can't be carried out: starting them would be refused, so say it at load."""
        if not _has_rollouts(snapshot):
            return ()
        from progflags.rollout import plan_of

        found: list[Problem] = []
        for flag in snapshot.flags.values():
            if flag.rollout is not None:
                try:
                    plan_of(flag, snapshot.profiles)
                except DefinitionError as error:
                    found += error.problems
        return tuple(found)

    # -- looking ---------------------------------------------------------------------------------------------------------

    def _look_instead(self, _: Scope) -> None:
        """Where no thread could be started, the requests look: at most one of them at a time, when it is due."""
        for thread in self._threads:
            if not thread.alive:
                thread.run_due()

    def _look_for_panic(self) -> None:
        """`PROGFLAGS_PANIC` is a word (1, true, on, yes) or a file: while that file is there, every flag answers `safe`."""
        said = os.environ.get("PROGFLAGS_PANIC", "")
        if os.sep in said:
            there = Path(said).exists()
            if there is not self._panic_file:
                self._panic_file = there
                self.panic(there)
        elif said.lower() not in _OFF:
            self.panic()

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
                    say("source", f"the last known good serves on: {loaded.problems[0]}")
            if not loaded.stale:
                self._looked_at = self.clock.monotonic()

    def _install(self, snapshot: Snapshot) -> None:
        self.install(snapshot)
        for problem in snapshot.rejected:
            say("source", f"a flag was rejected: {problem}")

    def _look_at_store(self) -> None:
        """Install the live state if the store has moved. One thread at a time, so that an older look never overtakes a newer."""
        with self._of_store.take() as ours:
            if not ours or self._closed:
                return
            try:
                revision = self._store.revision()
                if revision != self._live_at or self._store_problem:
                    if revision or self._delivery:
                        self.install(live=self._rooms()[1].live())
                    self._live_at = revision
                self._store_problem = ""
            except StoreError as error:
                if not self._store_problem:
                    self.bus.tell(SourceFailed(self._store.url, str(error)))
                self._store_problem = str(error)
                swallow("store", error)

    def _look_and_tick(self) -> None:
        """The second thread's job: live state every time, and a step of the controller (or just our window) when it is due."""
        self._look_at_store()
        if self._delivery is None or self.clock.monotonic() < self._tick_at:
            return
        self._tick_at = self.clock.monotonic() + _TICK
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
        if self._closed:
            return
        self._closed = True
        self._unhear()
        end = time.monotonic() + _CLOSING
        ended = [thread.stop(0.6) for thread in self._threads]
        if all(ended):  # one that didn't hangs at the store, and so would this
            self._put_up_the_rest(end)
        if self._owns_store:
            self._store.close()

    def _put_up_the_rest(self, end: float) -> None:
        """The last window, of a program that ran shorter than a tick the only one; a store that hangs is left behind."""
        if not self._threads or self._delivery is None:
            return
        last = threading.Thread(target=self._last_window, args=(self._delivery[1],), name="progflags-close", daemon=True)
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


_OFF: Final = frozenset({"", "0", "false", "off", "no"})


def _thread(seconds: float, job: Any) -> Refresher:
    thread = Refresher()
    thread.every(seconds, job, name=job.__name__)
    thread.start()
    return thread


def login() -> str:
    """Who runs this process, by name where the system knows one."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        return f"pid {os.getpid()}"
