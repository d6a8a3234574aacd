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
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from uuid import uuid4

from progflags._beside import RUNNING, Beside, failing, said
from progflags._clock import Clock
from progflags._process import in_child, look
from progflags._trouble import swallow
from progflags.errors import ConflictError, StoreError
from progflags.rollout._timeline import changes_of, lines_of
from progflags.rollout.run._claim import Claim
from progflags.rollout.run._sinks import Batch, Gathering, Sink
from progflags.store import Commit, Document, Entry, Store

__all__ = ["INCIDENT", "LIMIT", "Outbox"]

INCIDENT: Final = "incident/"  # what is no change that anybody made, and worth telling all the same
_SLOWEST: Final = 60.0  # seconds between two tries of a sink that fails
_ROLLOUT: Final = "rollout/"
_TOLD: Final = (_ROLLOUT, "flag/", "panic", "definitions", "defined/", INCIDENT)  # the subjects that sinks are told of
_BATCH: Final = 100  # lines of one subject handed over between two commits of the place
LIMIT: Final = 30.0  # seconds after which a round of one sink is said to hang


@dataclass(slots=True)
class _Tries:
    """How a sink has been doing in this process, and where it runs. `told`: lines it took; `at`: the revision at which it had all."""

    beside: Beside
    claim: Claim
    told: int = 0
    error: str = ""
    failures: int = 0
    next: float = 0.0
    at: int = -1


@dataclass(slots=True)
class _Round:
    """What waits for a sink: lines with where they stand in the store, and how far it was told."""

    entries: Sequence[Entry]
    places: dict[str, int]
    told: int = 0
    failure: BaseException | None = field(default=None)

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
            _, ends, documents = self._ends()
            for name in self._sinks:
                if _place(name) not in documents:
                    self._write(_place(name), 0, ends)
                    self._tries[name].claim.taken(self._me)
        except (StoreError, ConflictError) as error:  # somebody else's beginning is as good
            swallow("outbox", error)

    def __bool__(self) -> bool:
        return bool(self._sinks)

    @property
    def serves(self) -> bool:
        """Whether this process has the claim of one of its sinks."""
        return any(tries.claim.held for tries in tuple(self._tries.values()))

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
        if self.store.revision() == tries.at:
            return 0
        place = _place(name)
        revision, ends, documents = self._ends()
        document = documents.get(place)
        if document is None:
            self._write(place, 0, ends)
            tries.claim.taken(self._me)
            return 0
        document = self._of_everything(document, ends)
        mine, places = tries.claim.look(document, self._me), _places(document)
        behind = [subject for subject, end in ends.items() if places.get(subject, 0) < end]
        if not behind:
            tries.at = revision
            return 0
        if not mine:
            return 0
        return self._hand_over(sink, tries, document, _Round(self._waiting(behind, places), places))

    def _hand_over(self, sink: Sink | Gathering, tries: _Tries, document: Document, waiting: _Round) -> int:
        batches = _gathered(sink, [_line(entry, self.store.url) for entry in waiting.entries])
        if not batches:
            return 0
        revision = document.revision
        if not tries.claim.held or any(batch.send is not None for batch in batches):
            revision = self._write(document.key, revision, waiting.places)  # the claim: from here on it is ours
            tries.claim.taken(self._me)
        waiting.tell(batches)
        self._write(document.key, revision, waiting.places)
        if waiting.failure is not None:
            raise waiting.failure
        return waiting.told

    def _ends(self) -> tuple[int, dict[str, int], dict[str, Document]]:
        """The store's revision, how many lines every subject has, and all documents."""
        revision, documents = self.store.read()
        return revision, {key: lines_of(page) or 0 for key, page in documents.items() if key.startswith(_TOLD)}, documents

    def _of_everything(self, document: Document, ends: Mapping[str, int]) -> Document:
        """A place that a progflags wrote which told of steps alone: of the rest its sink hears what comes next."""
        if "others" in document.body:
            return document
        body = {**document.body, "others": {subject: end for subject, end in ends.items() if not subject.startswith(_ROLLOUT)}}
        self.store.commit(Commit({document.key: body}, {document.key: document.revision}, (), uuid4().hex))
        return self.store.read(document.key)[1][document.key]

    def _waiting(self, subjects: Sequence[str], places: Mapping[str, int]) -> list[Entry]:
        """The lines that were not told yet, in the order of their commits."""
        lines = [entry for subject in subjects for entry in self.store.history(subject, after=places.get(subject, 0), limit=_BATCH)]
        return sorted(lines, key=lambda entry: entry.revision)

    def _write(self, key: str, revision: int, places: Mapping[str, int]) -> int:
        steps = {subject.removeprefix(_ROLLOUT): at for subject, at in places.items() if subject.startswith(_ROLLOUT)}
        others = {subject: at for subject, at in places.items() if not subject.startswith(_ROLLOUT)}
        body = {"v": 1, "worker": self._me, "places": steps, "others": others}
        commit = Commit({key: body}, {key: revision}, (), uuid4().hex)
        try:
            return self.store.commit(commit)
        except StoreError:
            return self.store.commit(commit)


def _place(name: str) -> str:
    return f"outbox/{name}"


def _doing(sink: Sink | Gathering, tries: _Tries) -> str:
    doing = failing(tries.failures, tries.error) or tries.beside.health()
    note = sink.note if isinstance(sink, Gathering) else ""
    return f"{doing}, {note}" if note and doing == RUNNING else doing


def _gathered(sink: Sink | Gathering, lines: Sequence[Mapping[str, Any]]) -> Sequence[Batch]:
    if isinstance(sink, Gathering):
        return sink.gather(lines)
    return [Batch((at,), partial(sink.tell, line)) for at, line in enumerate(lines)]


def _places(document: Document) -> dict[str, int]:
    """How far a sink was told, by subject."""
    steps = {f"{_ROLLOUT}{flag}": int(at) for flag, at in document.body["places"].items()}
    return steps | {subject: int(at) for subject, at in document.body.get("others", {}).items()}


def _line(entry: Entry, store: str) -> dict[str, Any]:
    """
    What a sink is told. A step of a rollout as its history has it; anything else with `kind`, and with the keys that a step has, so
    that who prints steps can print it as well.
    """
    room, _, flag = entry.subject.partition("/")
    if entry.subject.startswith(INCIDENT):
        return {"id": f"{entry.subject}#{entry.number}", "from": None, "to": None, "percent": None, **entry.body}
    if room == "rollout":
        return {"id": f"{flag}#{entry.number}", "flag": flag, "kind": "transition", **entry.body}
    change = changes_of(entry, None, store)[0].to_dict()
    before, after = change.pop("before"), change.pop("after")
    return {**entry.body, "id": f"{entry.subject}#{entry.number}", **change, "from": before, "to": after, "percent": None}
