"""
Duty: which of the processes of a host asks the server, as one of them sees it.

Who has the folder's lock does; the others read what it keeps there, for as long as it says every second that it lives. Where it is
silent (stopped, or hangs), and where the folder can't be used, each goes to the server itself, one after the other.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from progflags._chance import chance
from progflags._process import in_child
from progflags._trouble import say, swallow
from progflags.errors import StoreError, WentBackError
from progflags.store.host._copy import Copy
from progflags.store.host._lock import Lock
from progflags.store.host._sign import Sign, Signs, identity

__all__ = ["Duty", "Part"]

T = TypeVar("T")

_FIRST: Final = 2.0  # seconds that a process waits for another that has the lock and has only just begun
_SPREAD: Final = 2.0  # seconds over which those that have lost their folder go to the server
_AGAIN: Final = (20.0, 40.0)  # seconds until a folder that could not be used is tried again
_SOME: Final = 3  # failures within so many seconds after which it can't be: one may be a machine that has much to do
_WITHIN: Final = 10.0


class Part(StrEnum):
    """What a process does just now."""

    ASKS = "asks the server for the processes of this host"
    FOLLOWS = "reads what another process of this host has asked for"
    APART = "goes to the server by itself"
    WAITS = "waits for a process that asks for this host"


class Duty:
    """
    One process's. `tends`: whether it may have the lock; else it only reads.

    `part`: as it was at the last look. `copy` is there while the folder can be used, and `host` the name under which the server
    knows it; `why`: why it can't be used, or what is wrong with who asks. `sign`: what that one said last.
    """

    def __init__(self, folder: Path, name: str, *, tends: bool) -> None:
        self._folder, self._name = folder, name
        self._lock = Lock(folder / f"{name}.lock")
        self._tends = tends
        self._signs = Signs()
        self._failed_at: deque[float] = deque(maxlen=_SOME)
        self._broken: tuple[float, float] | None = None  # when (monotonic) we go to the server, and when the folder is tried again
        self.copy: Copy | None = None
        self.host = self.why = ""
        self.sign = Sign("")
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """The parent has the lock, if it had it."""
        self.part = Part.WAITS
        self._first = time.monotonic() + _FIRST

    def begin(self) -> None:
        """The first look, and more of them while whoever has the lock begins, too."""
        while self.look() is Part.WAITS:
            time.sleep(0.02)

    def look(self) -> Part:
        """Have the lock if it is free, else see whether somebody asks. Never raises."""
        before = self.part
        try:
            self.part = self._looked()
        except (OSError, StoreError) as error:
            self._failed(error)
        if self.part is Part.APART and before is not Part.APART:
            say("host", f"{self._folder}: {self.why}; this process {Part.APART}", cause="apart")
        return self.part

    def use(self, act: Callable[[Copy], T]) -> T:
        """
        What `act` returns.

        Raises:
            StoreError: there is no folder, or it failed just now, which is the end of its use for a while if it goes on so.
        """
        copy = self.copy
        if copy is None:
            raise StoreError(f"{self._folder} can't be used: {self.why or self.part}")
        try:
            return act(copy)
        except WentBackError:  # of the server, and whoever keeps the folder knows
            raise
        except StoreError as error:
            self._failed(error)
            raise

    def say(self, sign: Sign) -> None:
        """Put a sign up, if that can be done."""
        self.sign = sign
        with suppress(StoreError):  # noted, and tried again in a moment
            self.use(lambda copy: self._signs.put_up(copy, sign))

    def lost(self, error: Exception) -> None:
        """The folder can't be used: go to the server, after a moment of one's own, and try the folder again in half a minute."""
        now = time.monotonic()
        alone = now + (chance.uniform(0, _SPREAD) if self.part in (Part.ASKS, Part.FOLLOWS) else 0.0)
        self._broken = alone, now + chance.uniform(*_AGAIN)
        self.why = f"{error}. It only holds what the server has, so it may be removed"
        self._end()
        self.part = Part.APART if alone <= now else Part.WAITS

    def _failed(self, error: Exception) -> None:
        if self._broken is None:
            swallow("host", error)
            now = time.monotonic()
            self._failed_at.append(now)
            if self.copy is None or (len(self._failed_at) == _SOME and now - self._failed_at[0] < _WITHIN):
                self.lost(error)

    def close(self) -> None:
        """Let another process have the lock, for good."""
        self._tends, self.part = False, Part.APART
        self._end()

    def _looked(self) -> Part:
        now = time.monotonic()
        if self._broken is not None:
            alone, again = self._broken
            if now < again:
                return Part.APART if now >= alone else Part.WAITS
            self._broken = None
            self._failed_at.clear()
        copy = self._opened()
        if self._tends and self._lock.take():
            if self.part is not Part.ASKS:
                self._signs.begin(copy)
            return Part.ASKS
        sign = self._signs.last(copy)
        if sign is not None:
            self.sign = sign
            return Part.FOLLOWS
        if self._tends and self.part is Part.WAITS and (now < self._first or self._signs.begins(copy)):
            return Part.WAITS
        self.why = "nobody asks for this host" if not self._tends else "the process that asks for this host has been silent for seconds"
        return Part.APART

    def _opened(self) -> Copy:
        if self.copy is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            copy = Copy.of_this_boot(self._folder, self._name)
            self.host = identity(copy)
            self.copy = copy
        return self.copy

    def _end(self) -> None:
        copy, self.copy = self.copy, None
        self._lock.release()
        if copy is not None:
            copy.close()
