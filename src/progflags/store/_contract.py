"""
What a store promises: documents under compare-and-set, an append-only history, and a Board for workers' windows.

A store knows documents, not flags. Everything that must move together (a flag's share and its rollout's state) moves in
one `commit`, which either happens whole or not at all and names the revisions it was decided on. So a second
controller is harmless and no leader needs electing: the loser gets ConflictError, reads again and decides again.

A call may be in a hurry: `progflags.store.left(seconds)` says how many of its own `seconds` a store may still wait. One that does not
ask is called aside, and left behind when the time is up.

Stores are synchronous, safe to call from any thread, and safe after a fork (a child opens its own connection).
`progflags.testing.StoreContract` is this page as a test suite; a backend is done when it passes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

from progflags.errors import StoreError

__all__ = ["PROBE", "Board", "Commit", "Document", "Entry", "Hinting", "Row", "Store", "Timed", "Trimming", "read_only", "time_of", "trim"]

PROBE: Final = "probe/"
"""Topics that begin so are put up and taken down at once, by who wants to know whether the store takes writes."""

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """
    A JSON object under a key. `revision` is the store's revision at its last write: it only grows, also over deletion.

        revision, there = store.read("rollout/")
        for document in there.values():
            print(document.key, document.revision, document.body)
    """

    key: str
    revision: int
    body: Body


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One line of history. `number` counts from 1 without gaps within its `subject`; `revision` is that of its commit.

        store.commit(Commit({}, entries=[("notes", {"by": "ann"})]))
        [first] = store.history("notes", after=0, limit=10)
        first.number, first.body                                # 1, {"by": "ann"}
    """

    subject: str
    number: int
    revision: int
    body: Body


@dataclass(frozen=True, slots=True)
class Commit:
    """
    What is to become true together.

    `writes`: key → new body, or None to delete. `expects`: key → the document revision the decision was made on, 0 for
    "absent"; keys may be expected without being written. `entries`: (subject, body) lines appended to history. `id`
    makes a retry harmless: a commit whose id the store has already taken returns the revision it got then. `quiet`: nobody needs to
    hear of it before they look anyway (see `Hinting`).

        revision, there = store.read("notes/")
        known = {key: document.revision for key, document in there.items()}
        line = ("notes", {"by": "ann"})
        store.commit(Commit({"notes/a": {"n": 1}}, expects={"notes/a": 0, **known}, entries=[line]))
    """

    writes: Mapping[str, Body | None]
    expects: Mapping[str, int] = field(default_factory=dict)
    entries: Sequence[tuple[str, Body]] = ()
    id: str = ""
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """What one worker last published on a topic. `seq` is its own counter; `age` is seconds since, by the store's clock."""

    worker: str
    seq: int
    body: bytes
    age: float


@runtime_checkable
class Board(Protocol):
    """
    Workers' windows: many, short-lived, mergeable. Never moves the store's revision.

    One row per (topic, worker). A row is replaced only by a higher `seq`, so a re-send or an overtaken write is harmless.
    """

    def publish(self, topic: str, worker: str, seq: int, body: bytes) -> int | None:
        """
        Put up `body` as what `worker` has to say on `topic`, unless a row with the same or a higher `seq` is there.

        Returns the store's revision where the answer brings it along, which saves a look; None where it does not.
        """
        ...

    def collect(self, topic: str) -> tuple[Row, ...]:
        """Every worker's row on `topic`, ordered by worker. Empty when there is none."""
        ...

    def clear(self, topic: str) -> None:
        """Take a topic down with all its rows, and whatever else nobody has put up again for a day. One that is not there is fine."""
        ...


@runtime_checkable
class Store(Protocol):
    """
    Where live state is kept. Every method raises StoreError when the store is out of reach, full, damaged or foreign.

        class Audited(MemoryStore):
            def commit(self, commit):
                print(sorted(commit.writes), commit.entries)
                return super().commit(commit)

        flags = pf.connect("flags.toml", store=Audited())
    """

    @property
    def url(self) -> str:
        """How a person would name this store; secrets left out."""
        ...

    @property
    def board(self) -> Board: ...

    def revision(self) -> int:
        """The number of the last commit, 0 for an empty store. Cheap: it is asked ten times a second."""
        ...

    def read(self, prefix: str = "") -> tuple[int, dict[str, Document]]:
        """The revision and every document whose key begins with `prefix`, as of one moment."""
        ...

    def commit(self, commit: Commit) -> int:
        """
        Make `commit` true, whole or not at all, and return the new revision (one above the last).

        Durable when it returns, as far as the medium can promise.

        Raises:
            ConflictError: a document is not at the revision expected; nothing was written. `.revisions` has what is.
            StoreError: the store failed. The commit may or may not have happened: repeat it with the same `id`.
        """
        ...

    def wait(self, revision: int, timeout: float) -> int:
        """Return as soon as the store is beyond `revision`, or after `timeout` seconds; either way the revision now."""
        ...

    def history(self, subject: str, *, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:
        """The entries of `subject` numbered above `after`, oldest first, at most `limit`."""
        ...

    def close(self) -> None:
        """Let go of connections and files. Idempotent; a closed store raises StoreError."""
        ...


@runtime_checkable
class Timed(Protocol):
    """
    What a store may have besides: a time of its own. Every store of ours has it.

    Without it a cool-down goes by the wall clock of whichever process meets it, and a wall clock can be set.

        class Dated(MemoryStore):
            def now(self):
                return ask_the_server()                 # as by `SELECT extract(epoch FROM now())`

        assert isinstance(Dated(), Timed)
    """

    def now(self) -> float | None:
        """
        Seconds since the Unix epoch by one clock, the same for everybody who uses this store. None: it has no such clock.

        Asked a few times an hour. Where everybody is on one host, it should not jump when the host's wall clock does.
        """
        ...


@runtime_checkable
class Hinting(Protocol):
    """
    What a store may have besides: it says when it moved, so that nobody has to look often. Those on a server have it.

    A hint may be late, lost or for nothing: it is the look that counts. One that has a `rouse` too, which ends the wait from another
    thread, is waited for at greater length.

        class Telling(MemoryStore):
            deaf, heard = "", -1

            def hint(self, timeout):
                before, self.heard = self.heard, self.wait(self.heard, left(timeout))
                return self.heard > before

        assert isinstance(Telling(), Hinting)
    """

    @property
    def deaf(self) -> str:
        """Why there are no hints here, as behind a pooler of connections; empty where there are."""
        ...

    def hint(self, timeout: float) -> bool:
        """
        Wait for a hint, at most `timeout` seconds: whether one came since the last call. To be called by one thread, again and again.

        True as well when the store begins to listen, at first or on a new connection: what came before is not known.

        Raises:
            StoreError: it is out of reach.
        """
        ...


def read_only(store: object) -> str:
    """
    Why nobody can write to a store from here, where it says so in a `read_only` of its own; empty where one can, or it is not known.

    Nothing is written to such a store, and every verb is refused with this; it is none that takes no writes just now.
    """
    return str(getattr(store, "read_only", ""))


@runtime_checkable
class Trimming(Protocol):
    """
    What a store may have besides: it forgets the beginning of a history, once that is kept elsewhere. Every store of ours can.

        store.commit(Commit({}, entries=[("notes", {"n": number}) for number in (1, 2, 3)]))
        if isinstance(store, Trimming):
            store.trim("notes", through=2)                      # 3
    """

    def trim(self, subject: str, through: int) -> int:
        """
        Forget the entries of `subject` up to number `through`, but never its last one. To do so again changes nothing.

        The numbers of those that stay, and of those to come, are what they would have been. Returns the number of the first entry that is
        there; 1 where there is none. The revision doesn't move.
        """
        ...


def trim(store: object, subject: str, through: int) -> int:
    """
    `store.trim(…)`.

    Raises:
        StoreError: it is not one that can (see `Trimming`), or out of reach.
    """
    if not isinstance(store, Trimming):
        raise StoreError(f"{getattr(store, 'url', store)} forgets nothing: give it the `trim` of progflags.store.Trimming")
    return store.trim(subject, through)


def time_of(store: object) -> float | None:
    """
    The time of a store; None where it has none, or says something else.

    Raises:
        StoreError: it can't be asked just now.
    """
    now = store.now() if isinstance(store, Timed) else None
    return float(now) if isinstance(now, (int, float)) and math.isfinite(now) else None
