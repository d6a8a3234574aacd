"""
Flags: the client an application holds, and what people do with it.

What keeps it supplied is beside: `_definitions` (the source), `_supply` (the store), `_delivery` (recorder and rollouts),
`_background` (the threads).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Self

from progflags._clock import Clock
from progflags._connect._background import Background
from progflags._connect._definitions import Definitions, has_rollouts
from progflags._connect._delivery import Delivery
from progflags._connect._ending import put_up_the_rest
from progflags._connect._panic import PanicSwitch
from progflags._connect._past import Past
from progflags._connect._reach import Reach
from progflags._connect._standing import Standing
from progflags._connect._status import Status
from progflags._connect._supply import Supply
from progflags._connect._telling import Telling
from progflags._connect._terms import Terms
from progflags._connect._who import signature
from progflags._deadline import within
from progflags._process import look
from progflags.errors import ClosedError, DefinitionError, StoreError
from progflags.events import Bus, Change
from progflags.flags import Client, Explanation, Flag, Who
from progflags.sources import Defined, Loader, Seen
from progflags.store import MemoryStore, Store

if TYPE_CHECKING:
    from progflags.canary import Recorder
    from progflags.notify import Channel
    from progflags.rollout import Rollouts

__all__ = ["Flags"]

_CLOSING: Final = 1.8  # seconds that closing takes at most, the last window included
_LET_GO: Final = 0.1  # seconds of them that the store has to close, at least
_TIMEOUT: Final = 2.0  # seconds a verb takes at most, unless it is told otherwise
_OWN: Final = "memory://"  # the store of a client that was given none


# Left whole, though long: the one object users hold. Its methods are a few lines each, over the parts that this room has.
class Flags(Client):
    """
    The client an application holds: everything a Client evaluates, plus metrics, rollouts, kill switches and a status.

    `connect` makes one. Safe from any thread, task and forked child. `close` (or leaving its `with` block) ends the
    background threads; evaluation goes on from the last snapshot, verbs are refused.
    """

    def __init__(self, loader: Loader, store: Store, *, clock: Clock, control: bool = True, notify: Sequence[Channel] = ()) -> None:
        super().__init__(bus=Bus(), clock=clock)
        self._store = store
        self._control = control
        self._owns_store = True
        self._panic = PanicSwitch(super().panic)
        self._definitions = Definitions(self, loader, clock)
        self._supply = Supply(self, store, rollouts=lambda: self._delivery.rooms()[1], made=lambda: self.delivers)
        self._delivery = Delivery(self, store, refresh=self._supply.look, notify=self._notify)
        self._telling = Telling(self, self._definitions, self._delivery, notify, away=lambda: self._supply.trouble)
        self._definitions.also = lambda: self._telling.problems
        self._past = Past(store, self._definitions, self._write_down)
        self._background = Background()
        self._supply.moved = self._background.step
        self._standing = Standing(self, self._definitions, self._supply, self._delivery, self._background)

    def after_fork(self) -> None:
        """A child has locks of its own: the parent's may have been held."""
        super().after_fork()
        self._definitions.renew()
        self._supply.renew()
        self._delivery.renew()

    # -- the beginning ---------------------------------------------------------------------------------------------------

    def _begin(self, terms: Terms) -> None:
        if terms.host is not None and terms.poll is not None:
            self._background.tend(terms.host)  # first of all: while this process loads, the others of its host wait for a sign
        try:
            self._load(terms)
        except BaseException:
            self._background.end()
            raise

    def _load(self, terms: Terms) -> None:
        self._owns_store, self._delivery.keep = terms.owns_store, terms.keep
        self._panic.look()
        if self._control or terms.poll is not None:  # a look by hand, as a command's, serves nobody: what it finds is no change
            self._definitions.notes = self._notes(keeps=not terms.follows)
        try:
            self._definitions.first()
        except DefinitionError:
            if terms.defined_in_store:
                self._store.revision()  # out of reach is another trouble than having none
            raise
        self._look_at_source()  # what began from the persisted last known good is stale from the first moment, and says so
        self._begin_with_store(required=terms.requires_store)
        if self._definitions.notes is not None and not terms.follows:
            with within(_TIMEOUT):
                self._telling.begin()
        if terms.poll is not None:
            self.bus.apart = True
            self._background.begin(
                terms.poll,
                source=self._look_at_source,
                store=self._look_when_due,
                step=self._step,
                rest=lambda: self._delivery.rest,
                alone=self._alone,
            )
            self._supply.left = self._background.look
            if isinstance(self._store, Reach):
                self._background.pace(self._store, terms.store_poll)
            self._telling.deliver()

    def _begin_with_store(self, *, required: bool) -> None:
        if not isinstance(self._store, MemoryStore) or has_rollouts(self.definitions):
            self._delivery.rooms()  # now, not in the background thread: a fork in the middle of an import would leave the child its lock
        self._supply.look()
        if not self._supply.away:
            self._delivery.carry()
        elif required:
            raise StoreError(self._supply.away)
        else:
            self._supply.serve_last()

    @property
    def _alone(self) -> bool:
        """Whether the store is in this client's memory, and nobody else can have it."""
        return isinstance(self._store, MemoryStore) and self._owns_store and self._store.url == _OWN

    def _notes(self, *, keeps: bool) -> Defined:
        loader = self._definitions.loader
        pushed = loader.name == self._store.url
        name = f"{loader.name} ({loader.environment})" if loader.environment else loader.name  # each environment has changes of its own
        return Defined(self, self._store if keeps and not self._alone else None, name, actor=signature(), told=pushed)

    # -- what serves, and how well --------------------------------------------------------------------------------------

    def refresh(self) -> str:
        """
        Look at source and store once, now, in this thread; the revision (digest of the definitions) served after it.

        Never raises for what is there: what can't be read or is refused stands in `status()`, and the last good serves.

            flags = pf.connect("flags.toml", poll=None)              # nothing looks by itself
            flags.refresh()
        """
        look()
        self._panic.look()
        self._definitions.look_until_settled()
        self._telling.notice()
        self._telling.look()
        self._supply.look()
        self._delivery.carry()
        self._write_down()
        self._supply.check()
        self._telling.observe()
        snapshot = self.definitions
        return "" if snapshot is None else snapshot.digest

    def status(self) -> Status:
        """
        How well this client is supplied, and what is wrong where. Starts threads again that have ended.

            status = flags.status()
            if status.state != "READY":
                print(status)                                       # what is wrong, and where
        """
        look()
        threads = self._standing.health()
        self._background.look_after()
        return self._standing.now(threads)

    # -- the rooms above ------------------------------------------------------------------------------------------------

    @property
    def delivers(self) -> bool:
        """Whether anything is counted here: a store is shared, or a rollout is defined. Asking does not make it so."""
        return self._delivery.made is not None

    @property
    def metrics(self) -> Recorder:
        """What is counted: `record`, `read`, and external metrics by `source`."""
        return self._delivery.rooms()[0]

    @property
    def rollouts(self) -> Rollouts:
        """
        The rollouts: `start`, `status`, `rollback`, `tick` and the other verbs.

        Raises:
            ClosedError: the client was closed.
        """
        if self._supply.ended:
            raise ClosedError("this client is closed: it evaluates from its last snapshot and changes nothing. Connect again")
        return self._delivery.rooms()[1]

    def kill(self, flag: str, *, reason: str = "", by: str | None = None, timeout: float = _TIMEOUT) -> None:
        """
        The safe variant of `flag` for everybody, at once, whatever else happens; again changes nothing.

        Here before the store is asked; with the store out of reach it stays so here, is stored as soon as the store is back, and
        until then stands in `status().pending`.

            flags.kill("new-search", reason="the index is gone", by="ann")

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

            flags.panic(reason="everything burns", by="ann")
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
        with within(timeout):
            return self._past.changes(flag, since, limit)

    def seen(self, *flags: str, timeout: float = _TIMEOUT) -> dict[str, Seen]:
        """
        Since when each of `flags` is known, and what became of its definition; left out is one that no history reaches.

        Raises:
            StoreError: the store is out of reach, or did not answer in time.
        """
        with within(timeout):
            return self._past.seen(flags)

    def explain(self, flag: str | Flag[Any], context: Who = None, *, at: float | None = None, timeout: float = _TIMEOUT) -> Explanation:
        """
        Every step of the decision: why a rule did or did not match, the bucket and its threshold. Counts nothing.

        `at` (wall time, in seconds): as of that moment, with shares, kills and panics as the store's history has them. The definition
        is that of now, and the `notes` say whether it has changed since. A brake, an override, `PROGFLAGS_PANIC` are in no history.

            print(flags.explain("new-search", "user-42"))
            print(flags.explain("new-search", "user-42", at=time.time() - 3600))

        Raises:
            StoreError: with `at`, and the store is out of reach, or did not answer in time.
            ValueError: `at` is no time that a calendar has.
        """
        if at is None:
            return super().explain(flag, context)
        with within(timeout):
            return self._past.explain(self.definitions, flag.key if isinstance(flag, Flag) else flag, context, at)

    # -- what runs in the background ------------------------------------------------------------------------------------

    def _look_at_source(self) -> None:
        self._panic.look()
        self._definitions.look()
        self._telling.notice()
        if self._definitions.notes is not None and self._definitions.notes.waits:
            self._background.look()

    def _look_when_due(self) -> None:
        self._supply.look_when_due()
        self._write_down()

    def _write_down(self) -> None:
        """Tell whoever reads the store what became of the definitions here."""
        notes = self._definitions.notes
        if notes is not None and notes.waits and not self._supply.problem:
            with within(_TIMEOUT):
                notes.write()

    def _step(self) -> None:
        """None while the store does not answer, for each would wait for it; and once it does again, first what somebody waits for."""
        if not self._supply.away and (self._supply.calm or self._delivery.pending):
            self._delivery.step(control=self._control)

    def _notify(self) -> None:
        self._background.notify(self._telling.round)

    # -- the end ---------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """
        End the background threads, put up what was counted last, and let go of the store; returns within 2 s.

        Idempotent. Evaluation goes on.
        """
        look()
        if self._supply.ended:
            return
        self._supply.ended = True
        end = time.monotonic() + _CLOSING
        made = self._delivery.made
        if (
            self._background.end() and self._background and made is not None
        ):  # a thread that didn't end hangs at the store, and so would this
            put_up_the_rest(made[1], end)
        self.bus.close()
        self._definitions.loader.close()
        with within(max(_LET_GO, end - time.monotonic())):
            self._delivery.close()
        if self._owns_store:
            with within(max(_LET_GO, end - time.monotonic())):
                self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
