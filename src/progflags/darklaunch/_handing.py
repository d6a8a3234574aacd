"""Handing: what of the control's answer a shadow may read later, and how it is handed to the lane."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from progflags.darklaunch._commit import when_committed
from progflags.darklaunch._concluding import Concluding
from progflags.darklaunch._found import result_path
from progflags.darklaunch._taken import Taken
from progflags.darklaunch.compare import NotIsolated
from progflags.darklaunch.record import Shed, mute

__all__ = ["Handing"]


class Handing(Concluding):
    """A dark launch whose controls have answered: what is asked of it on their callers' time."""

    def keep(self, value: Any) -> tuple[Any, int]:
        """What of the control's answer the shadow may read later, and its size. Raises NotIsolated, or what `reduce` raises."""
        if self.reduce is not None:
            value = self.isolator.reduced(value, self.reduce)
        if not self.inline:
            return self.isolator.kept(value)
        return (self.isolator.spare(value) if self.comparer.asks else value), 0

    def keep_item(self, value: Any) -> tuple[Any, int]:
        """As `keep`, for one item of a generator: its consumer may edit it long before the answer is whole."""
        return self.isolator.copied(value if self.reduce is None else self.isolator.reduced(value, self.reduce))

    def refused(self, call: Taken, value: Any, refusal: NotIsolated) -> None:
        """The control's answer can't be kept: the call is left out, and where that lies is said."""
        culprit = str(refusal)
        self.drop(call, Shed.RESULT_ISOLATION, culprit, at=self._at(culprit, lambda: result_path(value, culprit)))

    def dispatch(self, call: Taken) -> None:
        """The control has answered: let the candidate run, after the caller's transaction if it is in one."""
        if self.inline or not when_committed(lambda: self._submit(call), lambda: self.drop(call, Shed.ROLLED_BACK)):
            self._submit(call)

    def timed(self, seconds: float) -> None:
        """The control took so long: what the self-harm monitor is about."""
        self.harm.note(seconds)
        if self.harm.look():
            self.rate.cut()
            low, ratio, _ = self.harm.ratio or (0.0, 0.0, 0.0)
            slower = f"the control's p95 is {ratio:.2f} times what it is without shadows (at least {low:.2f})"
            self._say(f"{slower}: rate lowered to {self.rate.value:.0%}", "harm")

    def _submit(self, call: Taken) -> None:
        call.at = time.monotonic()
        if self.engine.hold(call.size):
            refused = self._handed_over(call)
        else:
            call.size, refused = 0, Shed.BYTES
        if refused is not None:
            self.drop(call, refused)

    def _handed_over(self, call: Taken) -> Shed | None:
        try:
            return self.lane.submit(call)
        except RuntimeError:
            if threading.main_thread().is_alive():
                raise
            return Shed.CLOSED  # a call made in `atexit`: Python starts no threads by then, some versions say so by raising

    def _at(self, culprit: str, search: Callable[[], str]) -> str:
        """Where it was found: looked for the first time only, for that takes longer than the copy that failed."""
        try:
            return "" if culprit in self.record.not_isolated else search()
        except Exception as error:  # an attribute of somebody's that fails
            mute(f"dark launch {self.flag}", error)
            return ""
