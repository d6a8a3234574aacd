"""
Chance of our own: what is drawn here takes nothing from the sequence of an application that has called `random.seed`.

A child of a fork begins a sequence of its own, or all the workers of a server would draw the same.
"""

from __future__ import annotations

from random import Random
from typing import Final

from progflags._process import in_child

__all__ = ["chance"]


class _Chance(Random):
    def after_fork(self) -> None:
        self.seed()


chance: Final = _Chance()
in_child(chance)
