"""
A claim: which of the processes that share a store serves a sink.

The claim itself is a word in the sink's document, taken by compare-and-set. Whoever has it says every other second on the Board that
it lives; another takes over as soon as that has not been said for a while, or once the word was given back.
"""

from __future__ import annotations

from itertools import count
from typing import Final

from progflags._clock import Clock
from progflags._trouble import swallow
from progflags.errors import StoreError
from progflags.store import Board, Document

__all__ = ["GONE", "PATIENCE", "Claim"]

GONE: Final = 8.0  # seconds without a sign of life after which a claim is free: four signs that were missed
PATIENCE: Final = 30.0  # likewise where there never was one, as of a progflags before this: seconds that the document stands still
_BEAT: Final = 2.0  # seconds between two signs of life
_LEFT: Final = b"left"
_NUMBERS: Final = count(1)  # of this process, whatever became of the claim meanwhile: the Board takes growing ones alone


class Claim:
    """One sink's, as one process sees it. `held`: by this process, when the document was last read."""

    def __init__(self, board: Board, clock: Clock, sink: str) -> None:
        self._board = board
        self._clock = clock
        self._topic = f"outbox/{sink}"
        self._seen = (-1, 0.0)  # the document's revision, and when it was first seen
        self._beaten: float | None = None
        self.held = False

    def look(self, document: Document, worker: str) -> bool:
        """Whether `worker`, this process, has the claim. Asks nobody."""
        self.held = document.body["worker"] == worker
        if self._seen[0] != document.revision:
            self._seen = document.revision, self._clock.monotonic()
        return self.held

    def free(self, document: Document) -> bool:
        """
        Whether whoever has it is gone. To be asked after `look`.

        Raises:
            StoreError: the board is out of reach.
        """
        row = next((row for row in self._board.collect(self._topic) if row.worker == document.body["worker"]), None)
        if row is not None:
            return row.body == _LEFT or row.age >= GONE
        return self._clock.monotonic() - self._seen[1] >= PATIENCE

    def beat(self, worker: str) -> None:
        """Say that we live, if it is time. Never raises."""
        now = self._clock.monotonic()
        if self.held and (self._beaten is None or now - self._beaten >= _BEAT):
            self._beaten = now
            self._say(worker, b"")

    def leave(self, worker: str) -> None:
        """Give it back, so that nobody waits for us. Never raises."""
        if self.held:
            self.held, self._beaten = False, None
            self._say(worker, _LEFT)

    def taken(self, worker: str) -> None:
        """It is ours from now on; what the dead said of themselves is taken down."""
        if not self.held:
            self.held, self._beaten = True, None
            try:
                self._board.clear(self._topic)
            except StoreError as error:
                swallow("outbox", error)
            self.beat(worker)

    def _say(self, worker: str, body: bytes) -> None:
        try:
            self._board.publish(self._topic, worker, next(_NUMBERS), body)
        except StoreError as error:
            swallow("outbox", error)
