"""
Moving data from one store to another in six stages, without a moment in which either is wrong.

    stage      authority   reads           writes
    off        old         old             old
    dualwrite  old         old             old, then new
    shadow     old         both, compared  old, then new
    live       new         both, compared  new, then old
    rampdown   new         new             new, then old
    complete   new         new             new

The stage is a flag with these six variants, so it moves for a share of the users first and back within a second. The
authority writes first; if it fails, the other is not tried. What the other fails at is never the caller's: it goes to
`repair`, to be written again later; so does what a cancellation or the program's end keeps from it, which goes on. Reads
are compared in the background, always old against new, whoever answers.

Source: the stages are LaunchDarkly's; the pattern is Stripe's "online migrations at scale" (2017).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Unpack

from progflags._process import in_child
from progflags.darklaunch import shadow
from progflags.darklaunch._answered import answered, awaited
from progflags.darklaunch._bind import is_coroutine
from progflags.darklaunch._experiment import Experiment
from progflags.darklaunch._options import Options
from progflags.darklaunch.lanes import Later
from progflags.darklaunch.record import mute
from progflags.flags import Client

__all__ = ["STEPS", "Migration", "Stage", "Unrepaired"]


class Stage(StrEnum):
    """Where a migration stands; the variants of its flag."""

    OFF = "off"
    DUALWRITE = "dualwrite"
    SHADOW = "shadow"
    LIVE = "live"
    RAMPDOWN = "rampdown"
    COMPLETE = "complete"

    @property
    def new_leads(self) -> bool:
        """Whether the new store's answer is the caller's."""
        return self in {Stage.LIVE, Stage.RAMPDOWN, Stage.COMPLETE}

    @property
    def reads_both(self) -> bool:
        return self in {Stage.SHADOW, Stage.LIVE}

    @property
    def writes_both(self) -> bool:
        return self not in {Stage.OFF, Stage.COMPLETE}


#: Where a migration may go from each stage. From `complete` there is no way back: the old store has missed writes. Back
#: to `off` only before the new store has led, or what was written to it alone would be lost.
STEPS: dict[Stage, frozenset[Stage]] = {
    Stage.OFF: frozenset({Stage.DUALWRITE}),
    Stage.DUALWRITE: frozenset({Stage.OFF, Stage.SHADOW}),
    Stage.SHADOW: frozenset({Stage.DUALWRITE, Stage.LIVE}),
    Stage.LIVE: frozenset({Stage.SHADOW, Stage.RAMPDOWN}),
    Stage.RAMPDOWN: frozenset({Stage.LIVE, Stage.COMPLETE}),
    Stage.COMPLETE: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Unrepaired:
    """
    A write that one store took and the other did not: which one is behind, what was to be written, and why it failed.

        def repair(missed: Unrepaired):
            behind.append((missed.behind, missed.args, missed.kwargs, repr(missed.error)))

        read, write = (old.get, new.get), (old.put, new.put)
        moved = Migration("orders-store", read=read, write=write, repair=repair, flags=flags)
    """

    behind: str  # "old" | "new"
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    error: BaseException


class Migration:
    """
    Reads and writes through whichever store the stage says; `dark_launch` is the experiment that compares the reads.

        read, write = (old.get, new.get), (old.put, new.put)
        moved = Migration("orders-store", read=read, write=write, flags=flags)
        moved.read("user-42", order_id)
        moved.write("user-42", order)

    `flag` has the six stages as variants; unknown, or without a client, the stage is `off`. All four functions are sync, or
    all are coroutine functions (`aread`, `awrite`). `repair(Unrepaired)` is called for a write the second store failed at;
    without it such writes are kept in `unrepaired`, at most 1,000 of them, and counted in `lost` beyond.
    """

    def __init__(
        self,
        flag: str,
        *,
        read: tuple[Callable[..., Any], Callable[..., Any]],
        write: tuple[Callable[..., Any], Callable[..., Any]],
        repair: Callable[[Unrepaired], object] | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.flag = flag
        self._read = read
        self._write = write
        self._repair = repair
        self.unrepaired: list[Unrepaired] = []
        self.lost = 0
        self.dark_launch = experiment = Experiment(flag, **options)
        self._async = is_coroutine(read[0])
        if experiment.inline:
            experiment.lane = Later() if self._async else experiment.lane
        else:
            experiment.lane = experiment.engine.tasks if self._async else experiment.engine.workers
        in_child(self)

    def after_fork(self) -> None:
        """What the parent's writes left behind is for the parent to repair."""
        self.unrepaired, self.lost = [], 0

    def stage(self, who: Any = None) -> Stage:
        """The stage for this user (or the bound context's)."""
        client: Client | None = self.dark_launch.gate.client
        if client is None:
            return Stage.OFF
        try:
            return Stage(client.get(self.flag, Stage.OFF.value, who))
        except ValueError:
            return Stage.OFF

    def read(self, who: Any, *args: Any, **kwargs: Any) -> Any:
        """Read from the store that leads; where the stage reads both, the other is compared in the shadow."""
        stage = self.stage(who)
        return answered(self.dark_launch, self._begun(stage, who, args, kwargs), self._read[stage.new_leads], args, kwargs)

    async def aread(self, who: Any, *args: Any, **kwargs: Any) -> Any:
        """As `read`, for coroutine functions."""
        stage = self.stage(who)
        return await awaited(self.dark_launch, self._begun(stage, who, args, kwargs), self._read[stage.new_leads], args, kwargs)

    def _begun(self, stage: Stage, who: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        experiment = self.dark_launch
        if shadow.active():
            return None
        if not stage.reads_both:
            experiment.gate.off()
            return None
        if not experiment.gate.drawn(who, args, kwargs):
            return None
        other = self._read[not stage.new_leads]
        call = experiment.admit(lambda: other, args, kwargs)
        if call is not None:
            call.swapped = stage.new_leads
        return call

    def write(self, who: Any, *args: Any, **kwargs: Any) -> Any:
        """Write where the stage says; the answer, or the failure, is that of the store that leads."""
        stage = self.stage(who)
        value = self._write[stage.new_leads](*args, **kwargs)
        if stage.writes_both:
            try:
                # In a copied context: what the second store's driver sets there is not the caller's business.
                copy_context().run(self._write[not stage.new_leads], *args, **kwargs)
            except BaseException as error:
                self._behind(stage, args, kwargs, error)
                if not isinstance(error, Exception):  # somebody wants us to end: a signal's handler, perhaps
                    raise
        return value

    async def awrite(self, who: Any, *args: Any, **kwargs: Any) -> Any:
        """As `write`, for coroutine functions."""
        stage = self.stage(who)
        value = await self._write[stage.new_leads](*args, **kwargs)
        if stage.writes_both:
            try:
                await self._write[not stage.new_leads](*args, **kwargs)
            except BaseException as error:
                self._behind(stage, args, kwargs, error)
                if not isinstance(error, Exception) and not _is_the_stores_own(error):
                    raise
        return value

    def _behind(self, stage: Stage, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException) -> None:
        missed = Unrepaired("old" if stage.new_leads else "new", args, kwargs, error)
        mute(f"migration {self.flag} second write", error)
        if self._repair is not None:
            try:
                self._repair(missed)
            except Exception as failure:
                mute(f"migration {self.flag} repair", failure)
            else:
                return
        if len(self.unrepaired) < 1000:
            self.unrepaired.append(missed)
        else:
            self.lost += 1

    @staticmethod
    def check(source: Stage | str, target: Stage | str) -> None:
        """
        Refuse a step that would lose writes.

        Raises:
            ValueError: `target` can't follow `source`; the message names what can.
        """
        start, end = Stage(source), Stage(target)
        if end is not start and end not in STEPS[start]:
            legal = ", ".join(stage for stage in Stage if stage in STEPS[start]) or "nothing: the old store has missed writes"
            raise ValueError(f"a migration can't go from {start} to {end}; from {start} comes {legal}")


def _is_the_stores_own(error: BaseException) -> bool:
    """Whether a cancellation is one that the store's driver came up with: nobody has cancelled the task we run in."""
    if not isinstance(error, asyncio.CancelledError) or asyncio._get_running_loop() is None:
        return False
    task = asyncio.current_task()
    return task is not None and not task.cancelling()
