"""One call being shadowed, as its caller's side knows it: from the control's answer to the hand-over."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from progflags.darklaunch._interrupt import is_delivered
from progflags.darklaunch._shadowed import Shadowed
from progflags.darklaunch.compare import NotIsolated
from progflags.darklaunch.lanes import start
from progflags.darklaunch.record import Shed, mute

__all__ = ["Call"]

T = TypeVar("T")


class Call(Shadowed):
    """
    A call that was admitted. The caller's side ends with `returned` or `raised`; the shadow's with exactly one conclusion.

    `again` runs the control once more where the candidate runs (for noise); None where that was not drawn. `take` reads a
    side's answer into something to compare, where the answer itself would be used up (generators). `reduce` is what of the
    candidate's answer is compared.
    """

    __slots__ = ()

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
