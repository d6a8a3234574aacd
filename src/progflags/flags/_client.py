"""Client: holds the ruleset that serves, swaps it by one assignment, and is what applications read flags from."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from math import isfinite
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self, TypeVar

from progflags._clock import Clock
from progflags._fork import in_child
from progflags._trouble import say
from progflags.context import NOBODY, Context, as_context, current, scope
from progflags.events import Bus, Reloaded, Tracked
from progflags.flags._compile import Workshop
from progflags.flags._counters import Counters, Outcome, Watch
from progflags.flags._evaluation import Evaluation
from progflags.flags._exposures import Exposures
from progflags.flags._live import Live
from progflags.flags._model import Snapshot
from progflags.flags._overrides import Layer, aware, layers, resolve_pins
from progflags.flags._quiet import let_go
from progflags.flags._reader import Reader, Who
from progflags.flags._ruleset import EMPTY, Pin, Ruleset, assemble, forced_by
from progflags.flags._typed import Flag

__all__ = ["Client", "Silent", "View"]

T = TypeVar("T")


class Client(Reader):
    """
    Flags for one application: reads them (see Reader), and takes what others load: definitions, live state, pins.

    Reading takes no lock; everything that changes what is read does, and tells `Reloaded` on the bus.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_active",
        "_aware",
        "_base",
        "_everywhere",
        "_handles",
        "_lives",
        "_lock",
        "_panic",
        "_pins",
        "_token",
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
        self._lives: Mapping[str, Live] = {}
        self._pins: dict[str, Pin] = {}
        self._panic = False
        self._active = 0
        self._everywhere: dict[str, str] = {}
        self._handles: weakref.WeakKeyDictionary[Any, Callable[[], None]] = weakref.WeakKeyDictionary()
        self._token = object()
        self._lock = threading.RLock()
        in_child(self)

    def after_fork(self) -> None:
        """In a child: a lock that another thread of the parent held would never be released here."""
        self._lock = threading.RLock()

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
        return Silent(None, False, lasting) if compiled is None else Silent(compiled.decide, compiled.forced is not None, lasting)

    @property
    def definitions(self) -> Snapshot | None:
        """The definitions that serve, None before the first install."""
        return self._base.snapshot

    def live(self, key: str) -> Live:
        """The live state that serves; that of an untouched flag when there is none."""
        return self._lives.get(key) or Live(key)

    @property
    def stale(self) -> bool:
        """Whether the last known good serves because the present document was refused or is gone."""
        return self._stale

    def install(self, snapshot: Snapshot | None = None, live: Mapping[str, Live] | None = None) -> tuple[str, ...]:
        """
        Serve these definitions and this live state (of all flags) from now on; None keeps what is there.

        Returns the keys of the flags that changed. A pin whose flag has moved on in `live` is lifted by the same swap.
        """
        with self._lock:
            lives, pins = self._lives, self._pins
            if live is not None:
                self._lives = {state.key: state for state in live.values()}
                self._pins = {key: pin for key, pin in pins.items() if self.live(key).revision <= pin.revision}
            if snapshot is not None:
                changed, event = self._serve(snapshot)
            else:
                changed, event = self._serve(self._base.snapshot, _differing(lives, self._lives) | _differing(pins, self._pins))
        self._tell(event)
        return changed

    def pin(self, key: str, revision: int, why: str = "") -> None:
        """Serve control to everybody until the flag's live revision is beyond `revision`: the brake."""
        with self._lock:
            self._pins = {**self._pins, key: Pin(revision, why)}
            _, event = self._serve(self._base.snapshot, {key})
        self._tell(event)

    def unpin(self, key: str) -> None:
        """Lift a pin by hand."""
        with self._lock:
            self._pins = {name: pin for name, pin in self._pins.items() if name != key}
            _, event = self._serve(self._base.snapshot, {key})
        self._tell(event)

    def pinned(self, key: str) -> Pin | None:
        """The pin on a flag, if there is one."""
        return self._pins.get(key)

    def panic(self, on: bool = True) -> None:
        """Every flag answers `safe`, whatever else is said, until `panic(False)`."""
        with self._lock:
            self._panic = on
            _, event = self._serve(self._base.snapshot)
        self._tell(event)

    @property
    def panicking(self) -> bool:
        """Whether the panic switch is thrown."""
        return self._panic

    def set_stale(self, stale: bool) -> None:
        """Say with every reason that the last known good answered."""
        self._stale = stale

    def _serve(self, snapshot: Snapshot | None, touched: Iterable[str] | None = None) -> tuple[tuple[str, ...], Reloaded | None]:
        """
        Under the lock: compile and swap. The event, if there is one, is for telling once the lock is free.

        `touched`: the definitions are the same, and only these flags' live state or pin may be another.
        """
        before = self._base
        forced = forced_by(self._pins, panic=self._panic)
        ruleset, changed = assemble(snapshot, self._lives, forced, self._workshop, before, touched)
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

    def _swap(self) -> None:
        """The one assignment."""
        self._ruleset = self._aware if self._active or self._everywhere else self._base
        for follow in tuple(self._handles.values()):
            follow()

    def _now(self) -> Ruleset:
        layer = (layers.get() or {}).get(self._token)
        if layer is None:
            return self._everywhere_layer().over(self._base) if self._everywhere else self._base
        return layer.over(self._base)

    # ── overrides and snapshots ────────────────────────────────────────────

    @contextmanager
    def override(self, pins: Mapping[str, Any]) -> Iterator[None]:
        """
        Pin flags to a variant (by name, else by value) for this task or thread, until the block ends.

        Threads and tasks started inside a copy of this context follow; others do not notice. Nested ones add up, the inner
        wins. Nothing answered under an override counts as an exposure.

        Raises:
            ValueError: there is no such flag, or it has no such variant.
        """
        here = (layers.get() or {}).get(self._token)
        snapshot = self._now().snapshot
        resolved = resolve_pins(pins, {} if snapshot is None else snapshot.flags)
        outer = self._everywhere if here is None else here.pins
        with self._layer(Layer({**outer, **resolved}, self._workshop, None if here is None else here.base)):
            yield

    def snapshot(self) -> View:
        """What serves at this moment, frozen: several answers from one revision. In a `with`, this client answers from it."""
        return View(self)

    @contextmanager
    def _layer(self, layer: Layer) -> Iterator[None]:
        with self._lock:
            self._active += 1
            self._swap()
        token = layers.set({**(layers.get() or {}), self._token: layer})
        try:
            yield
        finally:
            with suppress(ValueError):  # left in another context than it was entered in: nothing to put back
                layers.reset(token)
            with self._lock:
                self._active -= 1
                self._swap()

    def pin_everywhere(self, pins: Mapping[str, Any]) -> None:
        """Pin flags for the whole process, in place of what was pinned so before; `{}` ends it. For test fixtures."""
        snapshot = self._base.snapshot
        with self._lock:
            self._everywhere = resolve_pins(pins, {} if snapshot is None else snapshot.flags)
            self.__dict__.pop("_everywhere_made", None)
            self._swap()

    @property
    def pinned_everywhere(self) -> dict[str, Any]:
        """What `pin_everywhere` pinned, as variant names."""
        return dict(self._everywhere)

    def _everywhere_layer(self) -> Layer:
        layer: Layer | None = self.__dict__.get("_everywhere_made")
        if layer is None:
            layer = self.__dict__["_everywhere_made"] = Layer(self._everywhere, self._workshop)
        return layer

    # ── the rest of an application's needs ─────────────────────────────────

    def track(self, event: str, context: Who = None, value: float = 1.0) -> None:
        """A business event of this unit, credited to the arms it was exposed to. Never raises; without a key it counts nothing."""
        try:
            here = scope()
            if here is not None and here.silent:
                return
            who = as_context(context) or current() or NOBODY
            number = float(value)
            if who._kb is None or not isfinite(number):
                say("track", f"event {event!r} has no targeting key or no finite value; it was not counted", cause=str(event)[:80])
                return
            self.bus.tell(Tracked(event, who._kb, number))
        except Exception as error:
            say("track", f"event not counted: {type(error).__name__}", error=error, cause=type(error).__name__)

    def counts(self) -> dict[Outcome, int]:
        """How often each (flag, variant, reason) was answered since this client was made."""
        return self._counters.read()

    def watch(self, see: Watch) -> Callable[[], None]:
        """
        Call `see` with flag, variant, reason and error code of every answer; the returned function ends that.

        For telemetry and hooks. `see` runs inside the evaluation, so keep it short; what it raises is swallowed and counted, and
        after ten times it is not called any more. While nobody watches, an evaluation costs nothing more.
        """
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
            ruleset, _ = assemble(self._base.snapshot, self._lives, forced_by(self._pins, panic=self._panic), self._workshop, EMPTY)
            self._base = ruleset
            self._swap()

    def _bind(self, flag: Flag[T]) -> Callable[..., T]:
        """A typed flag as a function of the context; see Flag.bind."""
        function: Callable[..., T]

        def ask(context: Who = None) -> T:
            try:
                if context.__class__ is Context:
                    return function(context._kb, context._attributes)  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]
                who = as_context(context) or current() or NOBODY
                return function(who._kb, who._attributes)
            except Exception as error:
                answer: T = self._otherwise(flag, flag.default, context, error, type)
                return answer

        def late(kb: bytes | None, attributes: Mapping[str, Any]) -> Any:
            return self._now().typed[type][flag](kb, attributes)

        def follow() -> None:
            nonlocal function
            try:
                function = late if self._active or self._everywhere else self._base.typed[type][flag]
            except Exception:  # no such flag, or of another type: `late` finds out again and answers the default
                function = late

        ask.__name__ = ask.__qualname__ = f"flag {flag.key}"
        with self._lock:
            self._handles[ask] = follow
            follow()
        return ask


def _differing(one: Mapping[str, object], other: Mapping[str, object]) -> set[str]:
    """The keys under which two tables do not say the same."""
    return {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)}


class Silent(NamedTuple):
    """
    One flag's `decide(unit, attributes)`, None where there is no such flag.

    `forced`: everybody gets the same, whatever the rules say. It holds as long as the client's `serving` is this one; where
    an override was in force that is None, for then the answer depends on who asks.
    """

    decide: Callable[[bytes | None, Mapping[str, Any]], Evaluation] | None
    forced: bool
    serving: object


class View(Reader):
    """
    A client's answers frozen at one moment: the same methods, one revision.

    Used in a `with`, the client itself answers from it in this task or thread, so that code further down sees the same.
    """

    __slots__ = ("_client", "_open")

    def __init__(self, client: Client) -> None:
        super().__init__(client._now(), client._counters, stale=client._stale)
        self._client = client
        self._open: list[tuple[Layer, Any]] = []

    @property
    def definitions(self) -> Snapshot | None:
        """The definitions it answers from."""
        return self._ruleset.snapshot

    def __enter__(self) -> Self:
        here = (layers.get() or {}).get(self._client._token)
        layer = Layer({} if here is None else here.pins, self._client._workshop, self._ruleset)
        held = self._client._layer(layer)
        held.__enter__()
        self._open.append((layer, held))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Several threads or tasks may be in it at once: what ends is what this one began, whoever came in since.
        here = (layers.get() or {}).get(self._client._token)
        own = next((at for at in reversed(range(len(self._open))) if self._open[at][0] is here), -1)
        self._open.pop(own)[1].__exit__(kind, error, trace)
