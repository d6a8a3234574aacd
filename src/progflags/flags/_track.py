"""Track: a business event on its way to the bus."""

from __future__ import annotations

from math import isfinite

from progflags._names import Refusals, named, wrong_with
from progflags._trouble import say
from progflags.context import NOBODY, as_context, current, scope
from progflags.events import Bus, Tracked
from progflags.flags._reader import Who

__all__ = ["track"]


def track(bus: Bus, refusals: Refusals, event: str, context: Who, value: float) -> None:
    """Tell it, or refuse it and count that; what a shadow does counts as nothing. Never raises."""
    try:
        here = scope()
        if here is not None and here.silent:
            return
        who = as_context(context) or current() or NOBODY
        number = float(value)
        name = named(event)
        if name is None:
            refusals.note("track", f"an event was not counted for its name: {wrong_with(event)}")
            return
        if who._kb is None or not isfinite(number):
            say("track", f"event {event!r} has no targeting key or no finite value; it was not counted", cause=name[:80])
            return
        bus.tell(Tracked(name, who._kb, number))
    except Exception as error:
        say("track", f"event not counted: {type(error).__name__}", error=error, cause=type(error).__name__)
