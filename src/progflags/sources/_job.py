"""A job of the background reader: what to run every so many seconds, and how that goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from progflags._beside import RUNNING, failing, said
from progflags._chance import chance
from progflags._process import outdated
from progflags._trouble import ends, swallow

__all__ = ["LONGEST", "Job", "behind", "spread"]

_JITTER = 0.1  # a tenth, so that the processes of a host do not all look at the same instant
LONGEST = 30.0  # seconds a failing job waits at most
_LATE = 5.0  # seconds, or three intervals, after which a job has missed its time


@dataclass(slots=True)
class Job:
    """
    What to run every so many seconds, `slowest` apart when it fails. `due` is on the monotonic clock; `failures` in a row.

    `pace`: seconds until the next run after one that succeeded, where that is not always the same.
    """

    name: str
    every: float
    run: Callable[[], object]
    due: float
    slowest: float = LONGEST
    pace: Callable[[], float] | None = None
    woken: bool = False  # since the present run began
    failures: int = 0
    error: str = ""
    since: float = 0.0  # when the present run began; 0 between two

    def health(self, now: float) -> str:
        late = max(_LATE, 3 * self.every)
        if self.since and now - self.since > late:
            return f"has not come back for {now - self.since:.0f} s, and runs every {self.every:g} s"
        if not self.since and now - self.due > late:
            return f"is late by {now - self.due:.0f} s, and runs every {self.every:g} s"
        return failing(self.failures, self.error) or RUNNING

    def wake(self) -> None:
        """Run it now, and if it runs just now, once more: what it is woken for it may not have seen."""
        self.woken = True
        self.due = min(self.due, time.monotonic())

    def go(self, struck: Callable[[BaseException], object]) -> None:
        """
        Run it now, in the caller's thread, and say when it is due again. `struck` hears of what would have ended a thread.

        Raises:
            BaseException: what ends the caller's own thread or request, and nothing else.
        """
        self.since, self.woken = time.monotonic(), False
        try:
            self.run()
        except BaseException as error:
            if ends(error):  # in a request's thread, which may be told to end
                raise
            if outdated():
                return
            if not isinstance(behind(error), Exception):  # the next run may well succeed: told of as if it had ended the thread
                struck(error)
            self.failures += 1
            self.error = said(error)
            swallow(f"refresher, {self.name}", error)
        else:
            self.failures = 0
        finally:
            self.since = 0.0
            self.due = time.monotonic() + self._rest()
            if self.woken:
                self.due = time.monotonic()

    def _rest(self) -> float:
        if self.failures or self.pace is None:
            return spread(min(self.every * 2 ** min(self.failures, 10), max(self.every, self.slowest)))
        return max(spread(self.every), self.pace())


def behind(error: BaseException) -> BaseException:
    """What was meant to end the thread, where a lock that it struck in says something of its own about that; else `error` itself."""
    first: BaseException | None = error
    while isinstance(first, Exception):
        first = first.__context__
    return first or error


def spread(seconds: float) -> float:
    """About as long: the processes of a host don't all look at the same instant."""
    return seconds * chance.uniform(1 - _JITTER, 1 + _JITTER)
