"""Taken: a call that was taken in, and how either side of it is run in its shadow."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import time
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any

from progflags.context import current
from progflags.darklaunch._launch import Launch
from progflags.darklaunch.compare import Given
from progflags.darklaunch.lanes import Drive, Runaway, Stopped, shadowed
from progflags.darklaunch.record import Observation, observe
from progflags.darklaunch.shadow import Shadow

__all__ = ["Taken"]

_numbers = itertools.count(1)


class Taken:
    """
    `again` runs the control once more where the candidate runs (for noise); None where that was not drawn. `take` reads a
    side's answer into something to compare, where the answer itself would be used up (generators). `reduce` is what of the
    candidate's answer is compared.
    """

    __slots__ = (
        *("again", "again_in", "answer", "answered", "at", "candidate", "context", "deadline", "endpoint", "error", "experiment", "given"),
        *("loop", "number", "reduce", "seconds", "shadow", "size", "swapped", "runaway", "take", "who"),
    )

    def __init__(self, experiment: Launch, candidate: Callable[..., Any], given: Given, context: Context, size: int = 0) -> None:
        self.experiment = experiment
        self.candidate = candidate
        self.given = given
        self.context = context
        self.size = size
        self.who = current()
        self.swapped = False  # the caller is served by the new side: compare as if it were the old one
        self.deadline = experiment.deadline + experiment.slack
        self.answer: Any = None
        self.error: BaseException | None = None
        self.seconds = 0.0
        self.at = 0.0
        self.endpoint = ""
        self.again: Callable[..., Any] | None = None
        self.again_in = context  # the context of a repeat: the candidate may set what it likes in its own
        self.take: Callable[[Any], Any] | None = None
        self.answered: Callable[[Observation], None] | None = None  # hears the candidate's answer, where several are held together
        self.reduce = experiment.reduce
        self.loop: asyncio.AbstractEventLoop | None = None
        self.number = next(_numbers)
        self.shadow: Shadow | None = None
        self.runaway: Runaway | None = None  # what may be ended of it just now

    @property
    def control(self) -> Observation:
        """What the control answered. (Its three parts are set on the caller's time, this is made on the shadow's.)"""
        return Observation(self.answer, self.error, self.seconds)

    def arguments(self, is_candidate: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The isolated arguments. A repeat of the control, and a record, must find them as they were."""
        experiment = self.experiment
        read_later = experiment.captures or (is_candidate and self.again is not None)
        return experiment.isolator.fresh(self.given, last=not read_later)

    def repeat(self) -> Observation | None:
        """The control, run where the candidate ran; None unless that was drawn."""
        again = self.again
        return None if again is None else self.again_in.run(self._observe, again, is_candidate=False)

    def _observe(self, run: Callable[..., Any], *, is_candidate: bool = True) -> Observation:
        """What a side answers in this thread."""
        experiment = self.experiment
        shadow = self._begin_shadow(is_candidate)
        args, kwargs = self.arguments(is_candidate)
        with shadowed(shadow, experiment.guards, self.who):
            stops = experiment.stops and is_candidate
            seen = observe(self._stoppable(experiment.runner(run, experiment.deadline), stops), args, kwargs)
            if self.take is not None and seen.error is None:
                taken = observe(self._stoppable(self.take, stops), (seen.value,))
                seen = taken._replace(seconds=seen.seconds + taken.seconds)
            if is_candidate:
                self.runaway = None
                experiment.record.unstoppable.discard(self.number)
            if isinstance(seen.error, Stopped):
                experiment.stopped(seen.where)
            return seen

    async def _drive(self, drive: Drive, run: Callable[..., Any], *, is_candidate: bool) -> Observation:
        """What a side answers in this loop."""
        experiment = self.experiment
        with shadowed(self._begin_shadow(is_candidate), experiment.guards, self.who):
            args, kwargs = self.arguments(is_candidate)
            return await drive.run(lambda: _awaited(run, args, kwargs, self.take), experiment.deadline)

    def _begin_shadow(self, is_candidate: bool) -> Shadow:
        shadow = Shadow(self.experiment.flag, f"{self.number:x}", time.monotonic() + self.experiment.deadline)
        if is_candidate:
            self.shadow = shadow
        return shadow

    def _stoppable(self, run: Callable[..., Any], stops: bool) -> Callable[..., Any]:
        if not stops or not Runaway.possible():
            return run
        self.runaway = Runaway()
        return partial(self.runaway.run, run)


async def _awaited(run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], take: Callable[[Any], Any] | None) -> Any:
    value = run(*args, **kwargs)
    if take is not None:
        return await take(value)
    return await value if inspect.isawaitable(value) else value
