"""
Loader: from a source to the snapshot that may serve.

It fails static. Whatever is wrong with what is there now, the last known good serves on, and the answer says what is wrong
and where. Nothing here raises except `first`, whose caller has nothing to serve yet.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from progflags._clock import SYSTEM, Clock
from progflags._process import in_child, look
from progflags._trouble import swallow
from progflags.errors import DefinitionError, Problem, StoreError
from progflags.flags import Snapshot, quiet
from progflags.sources._contract import Loaded, Piece, Source
from progflags.sources._generations import Generations
from progflags.sources._guard import held_back
from progflags.sources._layered import let_go
from progflags.sources._merge import assemble, remembering

__all__ = ["Loader"]

SERVED_FOR = 10.0
"""Seconds a snapshot must have served before it becomes a persisted generation: one that crashes the program does not."""


SETTLED = 1.0
"""Seconds a file must have been left alone before flags that are missing from it are believed to be gone."""


@dataclass(frozen=True, slots=True)
class _Good:
    """What serves, what it was made from, and since when (monotonic)."""

    snapshot: Snapshot
    pieces: tuple[Piece, ...]
    since: float
    saved: bool = False


class Loader:
    """
    Looks at `source` when told to, as one `environment` has it (empty: none). With `keep`, the last known good outlives the process.

    Safe to call from any thread.
    """

    def __init__(self, source: Source, *, keep: Generations | None = None, clock: Clock = SYSTEM, environment: str = "") -> None:
        self.source = source
        self.environment = environment
        self._keep = keep
        self._clock = clock
        self._good: _Good | None = None
        self._looked: tuple[Piece, ...] | None = None  # what the last look found, so that a bad file is parsed once
        self._standing = Loaded()  # the answer to that look, without its snapshot
        self._doubted: tuple[tuple[Piece, ...], float] | None = None  # what lacks flags, and when (monotonic) it is believed
        self._saved_at: float | None = None  # set while the persisted last known good serves
        self._lock = threading.Lock()
        in_child(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()  # another thread may have been looking; here it is not

    @property
    def name(self) -> str:
        """The source's name."""
        return self.source.name

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """What the snapshot that serves was made of; empty while none does."""
        good = self._good
        return () if good is None else good.pieces

    def first(self) -> Snapshot:
        """
        The snapshot to begin with: the source's, else the persisted last known good (then the next `load` says stale).

        Raises:
            DefinitionError: neither is there.
        """
        loaded = self.load()
        if loaded.snapshot is None:
            raise DefinitionError(loaded.problems)
        return loaded.snapshot

    def load(self) -> Loaded:
        """Look once. Never raises: what is wrong stands in the answer, again at every look until it is right."""
        look()
        with self._lock:
            cold = self._good is None and self._looked is None
            if cold:
                self._restore()
            loaded = self._look()
            if not loaded.stale:
                self._saved_at = None
            elif self._saved_at is not None:
                loaded = replace(loaded, saved_at=self._saved_at)
            if cold and loaded.snapshot is None and self._good is not None:
                loaded = replace(loaded, snapshot=self._good.snapshot)
            self._standing = replace(loaded, snapshot=None)
            self._persist()
            return loaded

    def _look(self) -> Loaded:
        try:
            pieces = tuple(self.source.read())
        except (DefinitionError, StoreError) as error:
            self._looked = ()  # the next piece that is found is news
            return self._refused(error)
        except Exception as error:  # somebody's own Source
            swallow(f"source {self.name}", error)
            self._looked = ()
            return self._refused(error)
        if pieces == self._looked:
            return self._standing
        before, self._looked = self._looked, pieces
        good = self._good
        if good is not None and pieces == good.pieces:
            return Loaded()  # what was there before came back
        try:
            with quiet(sum(len(piece.text) for piece in pieces) // 100):  # from the text to the snapshot, with nothing collected in between
                snapshot = assemble(self.name, pieces, None if good is None else good.snapshot, self.environment)
        except DefinitionError as error:
            return self._refused(error)
        except Exception as error:  # a mistake of ours must not take a running program's flags away
            swallow(f"source {self.name}", error)
            return self._refused(error)
        held = held_back(pieces, snapshot, good.pieces, good.snapshot) if good is not None else ()
        if held:
            return Loaded(stale=True, problems=held)
        if good is not None and before is not None and self._doubts(pieces, snapshot, good):
            self._looked = before
            return self._standing
        self._good = _Good(snapshot, pieces, self._clock.monotonic())
        return Loaded(snapshot)

    @property
    def unsettled(self) -> float:
        """Seconds until what the last look found is believed, 0.0 where nothing is in doubt."""
        doubted = self._doubted
        return 0.0 if doubted is None else max(0.0, doubted[1] - time.monotonic())

    def _doubts(self, pieces: tuple[Piece, ...], snapshot: Snapshot, good: _Good) -> bool:
        """
        Whether flags are missing from a file so young that somebody may still be writing it; asked again at the next look.

        A program that saves in place and pauses on the way leaves, for as long, a file that is valid and lacks its tail.
        """
        missing = [key for key in good.snapshot.flags if key not in snapshot.flags and key not in snapshot.broken]
        gone = [key for key in missing if key not in snapshot.retired]
        doubted, now = self._doubted, time.monotonic()
        if doubted is None or doubted[0] != pieces:
            age = min((piece.age for piece in pieces if piece not in good.pieces), default=SETTLED)
            self._doubted = doubted = (pieces, now + max(0.0, SETTLED - max(0.0, age)))
        if gone and now < doubted[1]:
            return True
        self._doubted = None
        return False

    def _refused(self, error: Exception) -> Loaded:
        problems: Sequence[Problem] = getattr(error, "problems", ()) or (Problem(self.name, None, "", str(error) or type(error).__name__),)
        return Loaded(stale=True, problems=tuple(problems))

    def close(self) -> None:
        """Let go of what the source holds open; a look after that opens it again. Never raises."""
        try:
            let_go(self.source)
        except Exception as error:  # somebody's own Source
            swallow(f"source {self.name}", error)

    # The persisted last known good.

    def _restore(self) -> None:
        """Take up the persisted last known good, so that the first look is compared with it."""
        snapshot: Snapshot | None = None
        pieces: tuple[Piece, ...] = ()
        for generation in self._keep.read() if self._keep is not None else ():
            try:  # oldest first: a flag that was broken in one generation has its definition from the one before
                snapshot = assemble(self.name, generation.pieces, remembering(generation.types, snapshot), self.environment)
            except DefinitionError as error:  # written by another version of progflags
                swallow("last known good", error)
            else:
                pieces, self._saved_at = generation.pieces, generation.at
        if snapshot is not None:
            self._good = _Good(snapshot, pieces, self._clock.monotonic(), saved=True)

    def _persist(self) -> None:
        """Write what serves, once it has served for a while; at once when there is nothing yet that it could supersede."""
        good, keep = self._good, self._keep
        if good is None or good.saved or keep is None:
            return
        if self._clock.monotonic() - good.since < SERVED_FOR and not keep.empty:
            return
        self._good = replace(good, saved=True)
        keep.write(good.pieces, self._clock.now(), good.snapshot.types)
