"""
Notifications: every change (steps, kills, panics, definitions), to whoever wants to know, at least once, in order, and never in the way.

The history *is* the outbox: a line is written in the same commit as the step it tells of, so nothing can be announced that
did not happen, and nothing that happened can be forgotten. For each sink the store keeps how far it has been told, per
flag. `deliver` reads on from there, hands the lines over, and writes the new place down; if it dies in between, the next
one hands the same lines over again. Lines carry an `id` by which a receiver can tell.

One process delivers for a sink at a time: the one that has its claim. Failures back off, up to a minute, for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import uuid4

from progflags._beside import RUNNING, Beside, failing, said
from progflags._clock import Clock
from progflags._process import in_child, look
from progflags._trouble import swallow
from progflags.errors import ConflictError, StoreError
from progflags.rollout.run._claim import Claim
from progflags.rollout.run._places import Places, key_of, line_of, places_of
from progflags.rollout.run._sinks import Batch, Gathering, Sink
from progflags.store import Document, Entry, Store

__all__ = ["LIMIT", "Outbox"]

_BEHIND: Final = 2.0  # seconds that lines wait before others than the one that has the claim ask whether it lives
_SLOWEST: Final = 60.0  # seconds between two tries of a sink that fails
LIMIT: Final = 30.0  # seconds after which a round of one sink is said to hang


@dataclass(slots=True)
class _Tries:
    """
    How a sink has been doing in this process, and where it runs. `told`: lines it took; `at`: the revision at which it had all.
    `behind`: the revision of its place at which lines were seen to wait, and since when.
    """

    beside: Beside
    claim: Claim
    told: int = 0
    error: str = ""
    failures: int = 0
    next: float = 0.0
    at: int = -1
    behind: tuple[int, float] = (-1, 0.0)


@dataclass(slots=True)
class _Round:
    """What waits for a sink: lines with where they stand in the store, and how far it was told."""

    entries: Sequence[Entry]
    places: dict[str, int]
    told: int = 0
    failure: BaseException | None = None

    def tell(self, batches: Sequence[Batch]) -> None:
        """Hand them over; moves the place with each batch that was taken, and notes what stopped it."""
        for batch in batches:
            try:
                if batch.send is not None:
                    batch.send()
            except BaseException as error:  # sys.exit() in a hook is no receipt, and what was taken before it is written down
                self.failure = error
                return
            for at in batch.of:
                self.places[self.entries[at].subject] = self.entries[at].number
            self.told += len(batch.of)


class Outbox:
    """Delivers the histories of `store` to sinks. `deliver` is one round; call it from a thread of its own, a sink may be slow."""

    def __init__(self, store: Store, clock: Clock, wait: Callable[[], float] = lambda: LIMIT) -> None:
        self.store = store
        self._clock = clock
        self._wait = wait
        self._sinks: dict[str, Sink | Gathering] = {}
        self._tries: dict[str, _Tries] = {}
        self._places = Places(store)
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """A child is another deliverer: the claim stays its parent's."""
        self._me = uuid4().hex[:12]
        for name, tries in self._tries.items():
            tries.claim = Claim(self.store.board, self._clock, name)

    def add(self, sink: Sink | Gathering) -> None:
        """Tell `sink` from now on. A new name begins with what happens next; a known one goes on where it was."""
        name = str.__str__(sink.name)
        self.drop(name)
        self._tries[name] = _Tries(Beside(f"sink {name}", limit=LIMIT), Claim(self.store.board, self._clock, name))
        self._sinks[name] = sink

    def drop(self, name: str) -> None:
        """Tell the sink of that name nothing more, if there is one. Its place is kept."""
        self._sinks.pop(name, None)
        tries = self._tries.pop(name, None)
        if tries is not None:
            tries.claim.leave(self._me)
            tries.beside.close()

    def begin(self) -> None:
        """Write down where new sinks begin: here and now, not when they are first served. Never raises: else they begin there."""
        try:
            known = self._places.look()
            for name, tries in self._tries.items():
                if key_of(name) not in known.told:
                    self._new(name, tries, known.ends)
        except (StoreError, ConflictError) as error:  # somebody else's beginning is as good
            swallow("outbox", error)

    def __bool__(self) -> bool:
        return bool(self._sinks)

    @property
    def serves(self) -> bool:
        """Whether this process has the claim of one of its sinks."""
        return bool(self.held)

    @property
    def held(self) -> frozenset[str]:
        """The sinks whose claim this process had when the store was last read."""
        return frozenset(name for name, tries in tuple(self._tries.items()) if tries.claim.held)

    def deliver(self) -> int:
        """
        One round over all sinks; how many lines were taken by its end. Never raises: what fails is tried again later.

        Each sink has a thread of its own, so one that hangs keeps nothing from the others.
        """
        look()
        each = [(name, sink, self._tries[name]) for name, sink in tuple(self._sinks.items()) if name in self._tries]
        before = sum(tries.told for _, _, tries in each)
        begun = []
        for name, sink, tries in each:
            tries.claim.beat(self._me)
            if self._clock.monotonic() >= tries.next:
                begun.append(tries.beside.begin(partial(self._serve, name, sink, tries)))
        until = time.monotonic() + self._wait()
        for done in begun:
            if done is not None:
                done.wait(max(0.0, until - time.monotonic()))
        return sum(tries.told for _, _, tries in each) - before

    def health(self) -> dict[str, str]:
        """How each sink is doing."""
        each = tuple(self._sinks.items())
        return {f"sink {name}": _doing(sink, tries) for name, sink in each if (tries := self._tries.get(name)) is not None}

    def close(self) -> None:
        """End the sinks' threads and give the claims back; they begin again with the next round."""
        for tries in tuple(self._tries.values()):
            tries.claim.leave(self._me)
            tries.beside.close()

    def _serve(self, name: str, sink: Sink | Gathering, tries: _Tries) -> None:
        try:
            tries.told += self._round(name, sink, tries)
            tries.failures = 0
        except ConflictError:
            return  # another process is at it
        except BaseException as error:
            swallow(f"notifying {name}", error)
            tries.failures += 1
            tries.error = said(error)
            slower = min(_SLOWEST, 2.0 ** min(tries.failures, 6))
            tries.next = self._clock.monotonic() + max(slower, float(getattr(error, "after", 0.0)))

    def _round(self, name: str, sink: Sink | Gathering, tries: _Tries) -> int:
        known = self._places.look()
        if known.revision == tries.at:
            return 0
        document, ends = known.told.get(key_of(name)), known.ends
        if document is None:
            self._new(name, tries, ends)
            return 0
        places = places_of(document, ends)
        if "others" not in document.body:  # from here on what comes next is told of, whoever looks
            document = self._places.write(document, document.body["worker"], places)
        mine = tries.claim.look(document, self._me)
        behind = [subject for subject, end in ends.items() if places.get(subject, 0) < end]
        if not behind:
            tries.at, tries.behind = known.revision, (-1, 0.0)
            return 0
        if not mine and not self._abandoned(tries, document):
            return 0
        return self._hand_over(sink, tries, document, _Round(self._places.waiting(behind, places), places))

    def _abandoned(self, tries: _Tries, document: Document) -> bool:
        """Whether another has the claim and is gone; asked only where lines have waited for a while, for usually it tells them at once."""
        now = self._clock.monotonic()
        if tries.behind[0] != document.revision:
            tries.behind = document.revision, now
        return now - tries.behind[1] >= _BEHIND and tries.claim.free(document)

    def _new(self, name: str, tries: _Tries, ends: Mapping[str, int]) -> None:
        """A sink that nobody knew begins here, and is ours."""
        self._places.write(Document(key_of(name), 0, {}), self._me, ends)
        tries.claim.taken(self._me)

    def _hand_over(self, sink: Sink | Gathering, tries: _Tries, document: Document, waiting: _Round) -> int:
        batches = _gathered(sink, [line_of(entry, self.store.url) for entry in waiting.entries])
        if not batches:
            return 0
        if not tries.claim.held or any(batch.send is not None for batch in batches):
            document = self._places.write(document, self._me, waiting.places)  # the claim: from here on it is ours
            tries.claim.taken(self._me)
        waiting.tell(batches)
        self._places.write(document, self._me, waiting.places)
        if waiting.failure is not None:
            raise waiting.failure
        return waiting.told


def _doing(sink: Sink | Gathering, tries: _Tries) -> str:
    doing = failing(tries.failures, tries.error) or tries.beside.health()
    note = sink.note if isinstance(sink, Gathering) else ""
    return f"{doing}, {note}" if note and doing == RUNNING else doing


def _gathered(sink: Sink | Gathering, lines: Sequence[Mapping[str, Any]]) -> Sequence[Batch]:
    if isinstance(sink, Gathering):
        return sink.gather(lines)
    return [Batch((at,), partial(sink.tell, line)) for at, line in enumerate(lines)]
