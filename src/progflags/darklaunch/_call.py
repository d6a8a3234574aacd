"""One call being shadowed: what the candidate is given, and the way from the control's answer to a conclusion."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from progflags.context import current
from progflags.darklaunch._interrupt import is_delivered
from progflags.darklaunch.compare import Given, NotIsolated
from progflags.darklaunch.lanes import GRACE, Drive, Runaway, Stopped, shadowed, start
from progflags.darklaunch.record import Conclusion, Observation, Outcome, Shed, mute, observe
from progflags.darklaunch.shadow import Shadow

if TYPE_CHECKING:
    from progflags.darklaunch._experiment import Experiment

__all__ = ["Call"]

T = TypeVar("T")
_numbers = itertools.count(1)
STALE: Final = 1.0  # seconds in the queue after which a shadow would read a later world


class Call:
    """
    A call that was admitted. The caller's side ends with `returned` or `raised`; the shadow's with exactly one conclusion.

    `again` runs the control once more where the candidate runs (for noise); None where that was not drawn. `take` reads a
    side's answer into something to compare, where the answer itself would be used up (generators). `reduce` is what of the
    candidate's answer is compared.
    """

    __slots__ = (
        *("again", "again_in", "answer", "answered", "at", "candidate", "context", "deadline", "endpoint", "error", "experiment", "given"),
        *("loop", "number", "reduce", "seconds", "shadow", "size", "swapped", "runaway", "take", "who"),
    )

    def __init__(
        self,
        experiment: Experiment,
        candidate: Callable[..., Any],
        given: Given,
        context: Context,
        size: int = 0,
    ) -> None:
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

    # The caller's side.

    def returned(self, value: T, seconds: float, *, isolated: bool = False) -> T:
        """The control answered: hand the shadow over, and give the caller back what it gave. `isolated`: nobody else holds it."""
        try:
            self._hand_over(value, seconds, isolated)
        except BaseException as error:
            self._not_handed_over(error)
        return value

    def raised(self, error: BaseException, seconds: float) -> None:
        """The control failed. Its exception is compared too, unless it is no failure but an end (cancellation, exit)."""
        try:
            if isinstance(error, Exception):
                self.error, self.seconds = error, seconds
                self.experiment.dispatch(self)
            else:
                self.experiment.drop(self, Shed.CONTROL_CANCELLED)
        except BaseException as failure:
            self._not_handed_over(failure)

    def _hand_over(self, value: Any, seconds: float, isolated: bool) -> None:
        experiment = self.experiment
        try:
            kept, size = (value, 0) if isolated else experiment.keep(value)
        except NotIsolated as refused:
            return experiment.refused(self, value, refused)
        self.size += size
        self.answer, self.seconds = kept, seconds
        return experiment.dispatch(self)

    def _not_handed_over(self, error: BaseException) -> None:
        experiment = self.experiment
        if experiment.is_ours(error) or is_delivered(error):
            experiment.drop(self, Shed.CONTROL_CANCELLED, quiet=True)
            raise error
        mute(f"dark launch {experiment.flag}", error)
        experiment.drop(self, Shed.HOOK)

    async def finish(self) -> None:
        """Inline on an event loop: run the shadow now, in a task of its own, so that a cancellation here is the caller's."""
        if self.at and self in self.experiment.flight:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # trio, or another: the control is its own, the shadow is left out
                self.refuse(Shed.NO_LOOP)
                return
            task = start(loop, self.walk(), self.context)
            await asyncio.wait({task})
            error = None if task.cancelled() else task.exception()
            if error is not None and self.experiment.is_ours(error):
                raise error

    # The shadow's side, in a thread.

    def work(self) -> None:
        """Run the candidate in this thread, compare, conclude. Inline callers use it too."""
        if self.expired_in_queue():
            return
        try:
            candidate = self.context.run(self._observe, self.candidate)
            value = candidate.value
            if candidate.error is None and inspect.isawaitable(value) and self.take is None:
                self._awaitable(value)
                return
            self.experiment.settle(self, candidate)
        except BaseException as error:
            if is_delivered(error) or self.experiment.is_ours(error):
                self.experiment.conclude(self, Outcome.CANCELLED_SHUTDOWN)
                raise
            mute(f"dark launch {self.experiment.flag}", error)
            self.experiment.conclude(self, Outcome.COMPARE_ERROR)

    def _observe(self, run: Callable[..., Any], *, is_candidate: bool = True) -> Observation:
        experiment = self.experiment
        shadow = Shadow(experiment.flag, f"{self.number:x}", time.monotonic() + experiment.deadline)
        if is_candidate:
            self.shadow = shadow
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

    def _stoppable(self, run: Callable[..., Any], stops: bool) -> Callable[..., Any]:
        if not stops or not Runaway.possible():
            return run
        self.runaway = Runaway()
        return partial(self.runaway.run, run)

    def arguments(self, is_candidate: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The isolated arguments. A repeat of the control, and a record, must find them as they were."""
        experiment = self.experiment
        read_later = experiment.captures or (is_candidate and self.again is not None)
        return experiment.isolator.fresh(self.given, last=not read_later)

    def _awaitable(self, value: Awaitable[Any]) -> None:
        """A candidate that looked synchronous has given something to await: the background loop does."""
        self.candidate = lambda *_args, **_kwargs: value
        self.experiment.engine.background.submit(self)

    def repeat(self) -> Observation | None:
        """The control, run where the candidate ran; None unless that was drawn."""
        again = self.again
        return None if again is None else self.again_in.run(self._observe, again, is_candidate=False)

    # The shadow's side, in a loop.

    async def walk(self) -> None:
        """Drive a coroutine candidate in this loop; comparing is left to a worker, it computes."""
        if self.expired_in_queue():
            return
        experiment = self.experiment
        drive = Drive(GRACE, self.grew)
        try:
            candidate = await self._drive(drive, self.candidate, is_candidate=True)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) or is_delivered(error):
                experiment.conclude(self, Outcome.CANCELLED_SHUTDOWN)
                raise
            mute(f"dark launch {experiment.flag}", error)  # a guard that could not be entered, a copy that could not be made
            experiment.conclude(self, Outcome.COMPARE_ERROR)
            return
        finally:
            experiment.engine.cpu.spend(drive.cpu)
        if drive.blocked:
            experiment.blocked_loop(drive.blocked, drive.longest)
        if drive.abandoned:
            experiment.conclude(self, Outcome.ABANDONED)
        elif drive.expired and drive.grown:  # for all we know it was somebody else's memory: no word against the candidate
            experiment.conclude(self, Conclusion(Outcome.INCOMPLETE, (), "memory"), candidate.seconds)
        elif drive.expired:
            experiment.conclude(self, Outcome.TIMEOUT, candidate.seconds)
        else:
            await self._settle(candidate)

    async def _drive(self, drive: Drive, run: Callable[..., Any], *, is_candidate: bool) -> Observation:
        experiment = self.experiment
        shadow = Shadow(experiment.flag, f"{self.number:x}", time.monotonic() + experiment.deadline)
        if is_candidate:
            self.shadow = shadow
        with shadowed(shadow, experiment.guards, self.who):
            args, kwargs = self.arguments(is_candidate)
            return await drive.run(lambda: _awaited(run, args, kwargs, self.take), experiment.deadline)

    async def _settle(self, candidate: Observation) -> None:
        again = self.again
        repeat: Observation | None = None
        if again is not None:
            loop = asyncio.get_running_loop()
            repeat = await start(loop, self._drive(Drive(GRACE, self.grew), again, is_candidate=False), self.again_in)
        if self.experiment.inline:
            self.experiment.settle(self, candidate, repeat)
            return
        try:
            self.experiment.engine.workers.put(_Settle(self, candidate, repeat))
        except RuntimeError as error:  # no thread to be had, as while the interpreter ends: nobody compares any more
            if threading.main_thread().is_alive():
                mute(f"dark launch {self.experiment.flag}", error)
            self.experiment.conclude(self, Outcome.CANCELLED_SHUTDOWN)

    # Both.

    def expired_in_queue(self) -> bool:
        waited = time.monotonic() - self.at
        if self.experiment.inline or waited <= STALE:
            self.experiment.record.waited(waited)
            return False
        self.experiment.drop(self, Shed.STALE)
        return True

    def abandon(self) -> None:
        self.experiment.conclude(self, Outcome.ABANDONED)

    def stop(self) -> bool:
        runaway, experiment = self.runaway, self.experiment
        if runaway is None:
            return False
        if self in experiment.flight or runaway.strike():  # not before it is concluded as abandoned
            return True
        experiment.unstoppable(self, runaway.where())
        if self.runaway is None:  # it has come back meanwhile, and perhaps before it was noted
            experiment.record.unstoppable.discard(self.number)
        return False

    def refuse(self, reason: Shed) -> None:
        self.experiment.drop(self, reason)

    def spent(self, cpu: float) -> None:
        self.experiment.engine.cpu.spend(cpu)

    def grew(self, size: int) -> None:
        self.experiment.grew(size)

    @property
    def owner(self) -> object:
        return self.experiment


async def _awaited(run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], take: Callable[[Any], Any] | None) -> Any:
    value = run(*args, **kwargs)
    if take is not None:
        return await take(value)
    return await value if inspect.isawaitable(value) else value


class _Settle:
    """The second half of a coroutine's call, as a job for a worker."""

    __slots__ = ("_call", "_candidate", "_repeat", "at", "deadline")

    def __init__(self, call: Call, candidate: Observation, repeat: Observation | None) -> None:
        self._call = call
        self._candidate = candidate
        self._repeat = repeat
        self.deadline = call.deadline
        self.at = call.at

    def work(self) -> None:
        try:
            self._call.experiment.settle(self._call, self._candidate, self._repeat)
        except BaseException as error:
            mute(f"dark launch {self._call.experiment.flag}", error)
            self._call.experiment.conclude(self._call, Outcome.COMPARE_ERROR)

    def abandon(self) -> None:
        self._call.abandon()

    def stop(self) -> bool:
        return False  # the candidate has answered; what hangs is a comparison

    def refuse(self, reason: Shed) -> None:
        self._call.experiment.conclude(self._call, Conclusion(Outcome.INCOMPLETE, (), reason.value))

    def spent(self, cpu: float) -> None:
        self._call.spent(cpu)

    def grew(self, size: int) -> None:
        self._call.grew(size)

    @property
    def owner(self) -> object:
        return self._call.experiment
