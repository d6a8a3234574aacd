"""What a client puts up when it ends: the last window, of a program that ran shorter than a tick the only one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from progflags._process import Thread
from progflags._trouble import swallow

if TYPE_CHECKING:
    from progflags.rollout import Rollouts

__all__ = ["put_up_the_rest"]


def put_up_the_rest(rollouts: Rollouts, until: float) -> None:
    """Until then (monotonic); a store that hangs is left behind. Never raises."""
    last = Thread(_last_window, args=(rollouts,), name="progflags-close")
    try:
        last.start()
    except RuntimeError as error:  # the interpreter is ending, or the system is at its limit
        swallow("close", error)
    else:
        last.join(max(0.0, until - time.monotonic()))


def _last_window(rollouts: Rollouts) -> None:
    try:
        rollouts.leave()
    except Exception as error:
        swallow("close", error)
