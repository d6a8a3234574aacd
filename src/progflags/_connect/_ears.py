"""Ears: hear from a store on a server that it moved, so that it need not be asked all the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from progflags._beside import said
from progflags._connect._reach import Reach
from progflags._process import in_child
from progflags._trouble import say, swallow
from progflags.errors import StoreError

__all__ = ["Ears"]

_SAFETY: Final = 5.0  # seconds between two looks at a store that says when it moved: what a lost hint costs
_DEAF: Final = 1.0  # likewise where it can't say so
_LISTEN: Final = 0.25  # seconds that one wait takes: closing waits for no more
_LONG: Final = 1.0  # likewise where it can be ended
_AGAIN: Final = 30.0  # seconds between two tries at a store that can't
_SILENT: Final = 3.0  # seconds after which whoever listened is taken for gone


class Ears:
    """
    One client's. `poll`: seconds between two questions where hints are heard; where they can't be, they come every second at least.
    A store that has no hints at all is asked every `poll` seconds, and at each look where that is None.

    `heard` is called for each hint, in the thread that listens.
    """

    def __init__(self, reach: Reach, poll: float | None, heard: Callable[[], object]) -> None:
        self._reach = reach
        self._poll = poll
        self._heard = heard
        self._listened = self._tried = -_AGAIN
        self._trouble = ""  # why the last wait failed
        self._ended = False
        reach.glance.interval = self._interval
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """Nobody pauses here."""
        self._pause = threading.Event()

    @property
    def note(self) -> str:
        """How often the store is looked at, and why so; empty where it is so often that there is nothing to say."""
        seconds = self._interval()
        why = self._reach.deaf or self._trouble
        return f"looks at the store every {seconds:g} s{f', for {why}' if why else ''}" if seconds else ""

    @property
    def rest(self) -> float:
        """Seconds for which nobody need look, for what is known will do that long, and a hint wakes whoever does; 0 in trouble."""
        return 0.0 if self._reach.missed or self._reach.troubled else self._reach.glance.left()

    def end(self) -> None:
        """Wait no more."""
        self._ended = True
        self._pause.set()
        if (rouse := self._reach.rouse) is not None:
            rouse()

    def listen(self) -> None:
        """One wait, a second at most. Not while the store does not answer: whoever looks finds out when it does again."""
        now = time.monotonic()
        if self._ended or self._reach.missed or (self._reach.deaf and now - self._tried < _AGAIN):
            self._pause.wait(_LISTEN if self._reach.missed else _LONG)
            return
        self._tried = now
        try:
            heard = self._reach.hint(_LISTEN if self._reach.rouse is None else _LONG)
        except StoreError as error:  # whether that is the store's trouble, or that of hints alone, a look finds out
            swallow("store: hints", error)
            self._trouble = said(error)
            self._heard()
            self._pause.wait(_DEAF)
            return
        self._trouble, self._listened = "", time.monotonic()
        if heard:
            self._heard()
        if why := self._reach.deaf:
            say("store", f"{self._reach.url} is looked at every {self._interval():g} s: {why}", cause="deaf")

    def _interval(self) -> float:
        """Seconds that an answer will do."""
        if self._reach.mute:
            return self._poll or 0.0
        poll = _SAFETY if self._poll is None else self._poll
        hears = not self._reach.deaf and time.monotonic() - self._listened < _SILENT
        return poll if hears else min(_DEAF, poll)
