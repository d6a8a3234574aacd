"""Client: holds the ruleset that serves, swaps it by one assignment, and is what applications read flags from."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from math import inf
from typing import Any, NamedTuple, NoReturn, TypeVar

from progflags._clock import Clock
from progflags._names import Refusals
from progflags._process import in_child, look
from progflags.errors import Problem
from progflags.events import Bus, Reloaded
from progflags.flags._bound import Bound
from progflags.flags._evaluation import Evaluation
from progflags.flags._model import Snapshot
from progflags.flags._overrides import aware, resolve_pins
from progflags.flags._overriding import Overriding
from progflags.flags._quiet import let_go
from progflags.flags._reader import Reader, Who
from progflags.flags._said import Said
from progflags.flags._track import track
from progflags.flags._typed import Flag
from progflags.flags._view import View
from progflags.flags._words import EVERYTHING, Word
from progflags.flags.serving import (
    EMPTY,
    Counters,
    Edits,
    Exposures,
    Killed,
    Live,
    Outcome,
    Pin,
    Ruleset,
    Watch,
    Workshop,
    assemble,
)

__all__ = ["Client", "Silent", "View"]

T = TypeVar("T")


def _comparisons(snapshot: Snapshot) -> Iterator[str]:
    """Every comparison of a snapshot, as people read it."""
    conditions = {id(rule.when): rule.when for flag in snapshot.flags.values() for rule in flag.rules if rule.when is not None}
    for when in conditions.values():
        yield from map(str, when.leaves())


# Left whole, though long: what applications and the rest of progflags hold. What it is made of has files of its own.
class Client(Reader):
    """
    Flags for one application: reads them (see Reader), and takes what others load: definitions, live state, pins.

    Reading takes no lock; everything that changes what is read does, and tells `Reloaded` on the bus.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_aware",
        "_base",
        "_bound",
        "_lock",
        "_overriding",
        "_said",
        "_workshop",
        "bus",
        "clock",
    )

    def __init__(self, *, bus: Bus, clock: Clock) -> None:
        super().__init__(EMPTY, Counters())
        self.bus = bus
        self.clock = clock
        self._workshop = Workshop(self._counters, Exposures(bus), clock.now)
        self._base: Ruleset = EMPTY
        self._aware: Ruleset = aware(self._now)
        self._said = Said()
        self._overriding = Overriding(self._workshop, self._swap)
        self._bound = Bound()
        self._lock = threading.RLock()
        #: What was handed over and not taken: names that can't be, arms that are none.
        self.refusals = Refusals()
        #: Of what else runs in the background for this client: how it is, by name.
        self.supervised: list[Callable[[], Mapping[str, str]]] = []
        in_child(self)

    def after_fork(self) -> None:
        """In a child: a lock that another thread of the parent held would never be released here."""
        self._lock = threading.RLock()
        self.refusals.after_fork()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client can't be pickled or copied: connect again where it is needed, for instance in the child process")

    # ── what serves ────────────────────────────────────────────────────────

    #: What serves, as a mark to compare by identity: another one after every change, and while an override is in force anywhere.
    #: (The slot itself under a public name: those who remember an answer ask this at every call.)
    serving: object = vars(Reader)["_ruleset"]

    def silently(self, key: str) -> Silent:
        """How a flag decides, without counting and without an exposure; what goes wrong in it is raised."""
        ruleset = self._ruleset
        compiled = self._now().compiled.get(key)
        lasting = ruleset if ruleset is self._base else None
        return Silent(None, False, lasting) if compiled is None else Silent(compiled.decide, compiled.overruled, lasting)

    @property
    def definitions(self) -> Snapshot | None:
        """The definitions that serve, None before the first install."""
        return self._base.snapshot

    @property
    def uncompared(self) -> tuple[Problem, ...]:
        """
        What contexts brought that no comparison could use, as in "a Foo" or "not a semantic version": attribute and cause once.

        At most 50; each as long as the definitions that serve ask for it.
        """
        snapshot = self._base.snapshot
        if snapshot is None:
            return ()
        return self._workshop.uncompared.problems(snapshot.source, snapshot.attributes, partial(_comparisons, snapshot))

    @property
    def edits(self) -> Edits:
        """What is known here of definitions that are being changed."""
        return self._workshop.edits

    def live(self, key: str) -> Live:
        """The live state that serves; that of an untouched flag when there is none. `EVERYTHING`: the switch of all flags."""
        return self._said.live(key)

    def read(self, key: str) -> Live:
        """The live state as it was installed, without what was said of its switch here since."""
        return self._said.read.get(key) or Live(key)

    @property
    def stale(self) -> bool:
        """Whether the last known good serves because the present document was refused or is gone."""
        return self._stale

    def install(self, snapshot: Snapshot | None = None, live: Mapping[str, Live] | None = None) -> tuple[str, ...]:
        """
        Serve these definitions and this live state (of all flags) from now on; None keeps what is there.

        Returns the keys of the flags that changed. A pin whose flag has moved on in `live` is lifted by the same swap.
        """
        look()
        with self._lock:
            touched = set() if live is None else self._said.install(live)
            changed, event = self._serve(snapshot) if snapshot is not None else self._serve(self._base.snapshot, touched)
        self._tell(event)
        return changed

    def say(self, key: str, killed: Killed | None, until: float = inf) -> None:
        """
        Serve `key` (`EVERYTHING`: all flags) as killed, or as not, from now on, whatever the live state says.

        Until live state of the revision `until` is installed, or a later one.
        """
        self._change(lambda said: said.say(key, Word(killed, until)))

    def unsay(self, key: str) -> None:
        """Leave a switch to the live state."""
        self._change(lambda said: said.unsay(key))

    def pin(self, key: str, revision: int, why: str = "") -> None:
        """Serve control to everybody until the flag's live revision is beyond `revision`: the brake."""
        self._change(lambda said: said.pin(key, Pin(revision, why)))

    def unpin(self, key: str) -> None:
        """Lift a pin by hand."""
        self._change(lambda said: said.pin(key, None))

    def pinned(self, key: str) -> Pin | None:
        """The pin on a flag, if there is one."""
        return self._said.pins.get(key)

    def panic(self, on: bool = True) -> None:
        """Every flag answers `safe` in this process, whatever else is said, until `panic(False)`. That of the live state is another."""
        look()
        with self._lock:
            self._said.panic = on
            _, event = self._serve(self._base.snapshot)
        self._tell(event)

    @property
    def panicking(self) -> bool:
        """Whether a panic switch is thrown: this process's own, or that of the live state."""
        return self._said.panicking

    def set_stale(self, stale: bool) -> None:
        """Say with every reason that the last known good answered."""
        self._stale = stale

    def _change(self, change: Callable[[Said], set[str]]) -> None:
        """Of pins and switches: what changed serves at once; where nothing did, nothing is said."""
        look()
        with self._lock:
            touched = change(self._said)
            event = self._serve(self._base.snapshot, touched)[1] if touched else None
        self._tell(event)

    def _serve(self, snapshot: Snapshot | None, touched: Iterable[str] | None = None) -> tuple[tuple[str, ...], Reloaded | None]:
        """
        Under the lock: compile and swap. The event, if there is one, is for telling once the lock is free.

        `touched`: the definitions are the same, and only these flags' live state or pin may be another.
        """
        before = self._base
        if touched is not None and EVERYTHING in touched:
            touched = None
        ruleset, changed = assemble(snapshot, self._said.stated, self._workshop, before, touched)
        ruleset.panic = self._said.all_killed
        self._base = ruleset
        self._swap()
        digest = "" if snapshot is None else snapshot.digest
        told = changed or before.snapshot is None or before.snapshot.digest != digest
        leaving = before.parts() if touched is None else []
        del before
        let_go(leaving)
        return changed, Reloaded(digest, changed) if told else None

    def _tell(self, event: Reloaded | None) -> None:
        if event is not None:
            self.bus.tell(event)

    def _swap(self, more: int = 0) -> None:
        """The one assignment; `more` layers of overrides are in use than before."""
        with self._lock:
            self._overriding.active += more
            self._ruleset = self._aware if self._overriding.used else self._base
            self._bound.follow()

    def _now(self) -> Ruleset:
        return self._overriding.over(self._base)

    # ── overrides and snapshots ────────────────────────────────────────────

    @contextmanager
    def override(self, pins: Mapping[str, Any]) -> Iterator[None]:
        """
        Pin flags to a variant (by name, else by value) for this task or thread, until the block ends.

        Threads and tasks started inside a copy of this context follow; others do not notice. Nested ones add up, the inner
        wins. Nothing answered under an override counts as an exposure.

            with flags.override({"new-search": "on"}):
                assert flags.is_enabled("new-search", "user-42")

        Raises:
            ValueError: there is no such flag, or it has no such variant.
        """
        with self._overriding.pinned(pins, self._base):
            yield

    def snapshot(self) -> View:
        """What serves at this moment, frozen: several answers from one revision. In a `with`, this client answers from it."""
        return View(self, self._overriding)

    def pin_everywhere(self, pins: Mapping[str, Any]) -> None:
        """Pin flags for the whole process, in place of what was pinned so before; `{}` ends it. For test fixtures."""
        snapshot = self._base.snapshot
        look()
        with self._lock:
            self._overriding.pin_everywhere(resolve_pins(pins, {} if snapshot is None else snapshot.flags))
            self._swap()

    @property
    def pinned_everywhere(self) -> dict[str, Any]:
        """What `pin_everywhere` pinned, as variant names."""
        return dict(self._overriding.everywhere)

    # ── the rest of an application's needs ─────────────────────────────────

    def track(self, event: str, context: Who = None, value: float = 1.0) -> None:
        """
        A business event of this unit, credited to the arms it was exposed to. Never raises; without a key it counts nothing.

            flags.track("order", "user-42", value=49.90)
        """
        track(self.bus, self.refusals, event, context, value)

    def counts(self) -> dict[Outcome, int]:
        """How often each (flag, variant, reason) was answered since this client was made."""
        return self._counters.read()

    def watch(self, see: Watch) -> Callable[[], None]:
        """
        Call `see` with flag, variant, reason and error code of every answer; the returned function ends that.

        For telemetry and hooks. `see` runs inside the evaluation, so keep it short; what it raises is swallowed and counted, and
        after ten times it is not called any more. While nobody watches, an evaluation costs nothing more.
        """
        look()
        with self._lock:
            if self._counters.watch(see):
                self._weave()

        def unwatch() -> None:
            with self._lock:
                if self._counters.unwatch(see):
                    self._weave()

        return unwatch

    def _weave(self) -> None:
        """Compile everything anew, with watchers or without."""
        with self._lock:
            ruleset, _ = assemble(self._base.snapshot, self._said.stated, self._workshop, EMPTY)
            ruleset.panic = self._base.panic
            self._base = ruleset
            self._swap()

    def _bind(self, flag: Flag[T]) -> Callable[..., T]:
        """A typed flag as a function of the context; see Flag.bind."""
        look()
        with self._lock:
            return self._bound.function(flag, self, self._plain)

    def _plain(self) -> Ruleset | None:
        """What answers to everybody; None while anybody's answers are overridden."""
        return None if self._overriding.used else self._base


class Silent(NamedTuple):
    """
    One flag's `decide(unit, attributes)`, None where there is no such flag.

    `forced`: everybody gets the same, whatever the rules say. It holds as long as the client's `serving` is this one; where
    an override was in force that is None, for then the answer depends on who asks.
    """

    decide: Callable[[bytes | None, Mapping[str, Any]], Evaluation] | None
    forced: bool
    serving: object
