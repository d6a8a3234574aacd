"""A queue that experiments take turns at: one that hands in very many or very slow jobs does not keep the others from theirs."""

from __future__ import annotations

import queue
import threading
import weakref
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Fair"]

T = TypeVar("T")


class Fair(Generic[T]):
    """
    Jobs by owner, taken in turn. Whoever hands one in takes no lock: two steps, each of which can't be interrupted.

    A job is put where its owner's wait, then a token is put into the queue that takers wait at; a token is a right to some
    job, not to that one. An owner is forgotten when it is gone, for then nothing of its can wait or come.
    """

    __slots__ = ("_lock", "_tokens", "_turn", "_waiting")

    def __init__(self) -> None:
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()  # by its module: gevent puts its own there
        self._waiting: dict[int, deque[T]] = {}
        self._turn: deque[int] = deque()
        self._lock = threading.RLock()  # of takers only

    def put(self, owner: object, job: T) -> None:
        jobs = self._waiting.get(id(owner))
        if jobs is None:
            jobs = self._waiting.setdefault(id(owner), deque())
            weakref.finalize(owner, self._waiting.pop, id(owner), None).atexit = False
        jobs.append(job)
        self._tokens.put(None)

    def get(self) -> T:
        """The next job, of the owner whose turn it is; waits for one."""
        self._tokens.get()
        with self._lock:
            while True:  # there is a job for each token: it was put before the token was
                if not self._turn:
                    self._turn.extend(tuple(self._waiting))
                jobs = self._waiting.get(self._turn.popleft())
                if jobs:
                    return jobs.popleft()

    def full(self, owner: object, most: int) -> bool:
        """Whether no more of this owner's may wait: `most` where it is alone, a fair share of them where others wait too."""
        if self._tokens.qsize() < most // 8:  # as nearly always
            return False
        others = sum(1 for key, jobs in tuple(self._waiting.items()) if jobs and key != id(owner))
        return len(self._waiting.get(id(owner), ())) >= most // (others + 1)

    def empty(self) -> bool:
        return self._tokens.empty()
