"""What a compiled condition has of its client: the clock, and where it tells of values that it has no use for."""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Final, NamedTuple

from progflags.flags.conditions._unfit import Uncompared

__all__ = ["ALONE", "Setting"]


class Setting(NamedTuple):
    """`now` in seconds since the epoch; `uncompared` None where nobody wants to know."""

    now: Callable[[], float] = time
    uncompared: Uncompared | None = None


ALONE: Final = Setting()
"""For a condition that no client holds: a check of how conditions relate, a test."""
