"""Admission: which of the calls that the gate let pass are taken in, and why the others are not."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

from progflags._chance import chance
from progflags._process import look
from progflags.darklaunch._call import Call
from progflags.darklaunch._found import argument_path
from progflags.darklaunch._handing import Handing
from progflags.darklaunch._interrupt import is_delivered
from progflags.darklaunch._options import Options
from progflags.darklaunch.compare import NotIsolated
from progflags.darklaunch.lanes import Engine
from progflags.darklaunch.record import Shed, mute

__all__ = ["Admission"]


class Admission(Handing):
    """A dark launch that takes calls in: as long as it is not closed, its candidate does not fail, and there is room."""

    def __init__(self, flag: str, options: Options, own_engine: Engine | None) -> None:
        super().__init__(flag, options, own_engine)
        self._closed = False

    def admit(
        self,
        candidate: Callable[[], Callable[..., Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        again: Callable[..., Any] | None = None,
    ) -> Call | None:
        """
        A call that the gate let pass: take it in, or count why not and return None. Never raises.

        `candidate()` finds the function to run; `again` is the control, for a repeat if one is drawn.
        The copies are made here, before the control can change anything.
        """
        look()
        self.record.taken.bump()
        try:
            refused = None if self.inline else self._no_room()
            if refused is not None:
                self.record.shed(refused)
                return None
            given, size = self.isolator.given(args, kwargs)
            call = Call(self, candidate(), given, contextvars.copy_context(), size)
            if again is not None and self._aa_rate and chance.random() < self._aa_rate:
                call.again, call.again_in = again, call.context.copy()
        except NotIsolated as refusal:
            culprit = str(refusal)
            at = self._at(culprit, lambda: argument_path(again, args, kwargs, culprit))
            self.record.shed(Shed.ISOLATION, culprit)
            held = f"the argument {at} is" if at else "an argument holds"
            self._say(f"not shadowed: {held} {culprit}; see isolate= and share=", culprit)
            return None
        except BaseException as error:
            if is_delivered(error):
                raise
            mute(f"dark launch {self.flag}", error)
            self.record.shed(Shed.HOOK)
            return None
        self.flight.add(call)
        return call

    def turn_away(self, reason: Shed) -> None:
        """A call that the gate let pass and that has no candidate to run."""
        self.record.taken.bump()
        self.record.shed(reason)

    def _no_room(self) -> Shed | None:
        if self._closed:
            return Shed.CLOSED
        if not self.breaker.allows():
            return Shed.STUCK if self.lane.room(self) is Shed.STUCK else Shed.BREAKER  # what hangs is told as that
        if self.rate.value < 1.0 and chance.random() >= self.rate.value:
            return Shed.ADAPTIVE
        if self.harm.pausing():
            return Shed.PROBE
        full = Shed.INFLIGHT if self.flight.full else self.lane.room(self) or self.engine.room()
        self.rate.note(full is not None)
        return full
