"""The mirror: a store that can only be read, for it has what somebody else's published snapshot says."""

from __future__ import annotations

import threading
from typing import Final

from progflags._process import in_child
from progflags.contrib._snapshot import Snapshot
from progflags.errors import ReadOnlyError, WentBackError
from progflags.store import Board, Commit, Document, Entry, Row

__all__ = ["Mirror"]

_HINT: Final = "do it where the store is (progflags --store URL …): it arrives here with the next snapshot"


class Mirror:
    """
    A Store of what `take` was given last. Nothing that is put on its board gets anywhere, and it has no history.

    Bodies are handed out as they are: nobody in the house changes a document in place.
    """

    def __init__(self, url: str, snapshot: Snapshot) -> None:
        self._url = url
        self._now = snapshot
        self._next: Snapshot | None = None  # of another era, until `accept`
        self.read_only = f"{url} is a published snapshot, which nobody can write to from here: {_HINT}"
        self.board: Board = _NoBoard()
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        self._moved = threading.Condition()

    @property
    def url(self) -> str:
        return self._url

    def take(self, snapshot: Snapshot) -> None:
        """Have this one from now on; one of another era as soon as whoever looks has accepted that there is less than there was."""
        with self._moved:
            if snapshot.era == self._now.era:
                self._now, self._next = snapshot, None
            else:
                self._next = snapshot
            self._moved.notify_all()

    def accept(self) -> None:
        """Go on with another era."""
        with self._moved:
            self._now, self._next = self._next or self._now, None

    def revision(self) -> int:
        return self._there().revision

    def read(self, prefix: str = "") -> tuple[int, dict[str, Document]]:
        there = self._there()
        return there.revision, {key: one for key, one in there.documents.items() if key.startswith(prefix)}

    def commit(self, commit: Commit) -> int:  # noqa: ARG002 - the contract's
        raise ReadOnlyError(self.read_only)

    def wait(self, revision: int, timeout: float) -> int:
        with self._moved:
            self._moved.wait_for(lambda: self._there().revision > revision, max(0.0, timeout))
            return self._there().revision

    def history(self, subject: str, *, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:  # noqa: ARG002 - the contract's
        return ()

    def close(self) -> None:
        """Nothing is held open: the source that fills it is closed for itself."""

    def _there(self) -> Snapshot:
        if self._next is not None:
            raise WentBackError(f"{self._url}: another store is published there now, on purpose; what it has takes over in a moment")
        return self._now


class _NoBoard:
    """Whoever can't write is heard by nobody."""

    def publish(self, topic: str, worker: str, seq: int, body: bytes) -> None:
        pass

    def collect(self, topic: str) -> tuple[Row, ...]:  # noqa: ARG002 - the contract's
        return ()

    def clear(self, topic: str) -> None:
        pass
