"""The exception of `raise_on_mismatch`."""

from __future__ import annotations

from typing import Any

from progflags.darklaunch.compare._comparison import Difference
from progflags.errors import ProgflagsError

__all__ = ["DarkLaunchMismatch"]


class DarkLaunchMismatch(ProgflagsError, AssertionError):  # noqa: N818 - what it says
    """`raise_on_mismatch=True`, and the candidate disagreed. `differences` says where; the values are in it, this is for tests."""

    def __init__(self, flag: str, differences: tuple[Difference, ...], outcome: str) -> None:
        self.flag = flag
        self.differences = differences
        self.outcome = outcome
        lines = [f"{d.path}: {d.kind}: control {d.control!r}, candidate {d.candidate!r}" for d in differences]
        super().__init__("\n  ".join([f"{flag}: {outcome}", *lines]))

    def __reduce__(self) -> tuple[type[DarkLaunchMismatch], tuple[Any, ...]]:
        return (DarkLaunchMismatch, (self.flag, self.differences, self.outcome))
