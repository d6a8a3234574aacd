"""The shadow's side of a call: what a lane runs, and the way to exactly one conclusion."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable
from typing import Any, Final

from progflags.darklaunch._handing import Handing
from progflags.darklaunch._interrupt import is_delivered
from progflags.darklaunch._taken import Taken
from progflags.darklaunch.lanes import GRACE, Drive, start
from progflags.darklaunch.record import Conclusion, Observation, Outcome, Shed, mute

__all__ = ["Shadowed"]

STALE: Final = 1.0  # seconds in the queue after which a shadow would read a later world


class Shadowed(Taken):
    """A job for a lane (see `lanes.Job`): in a thread `work`, in a loop `walk`."""

    __slots__ = ()

    experiment: Handing

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

    def _awaitable(self, value: Awaitable[Any]) -> None:
        """A candidate that looked synchronous has given something to await: the background loop does."""
        self.candidate = lambda *_args, **_kwargs: value
        self.experiment.engine.background.submit(self)

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


class _Settle:
    """The second half of a coroutine's call, as a job for a worker."""

    __slots__ = ("_call", "_candidate", "_repeat", "at", "deadline")

    def __init__(self, call: Shadowed, candidate: Observation, repeat: Observation | None) -> None:
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
