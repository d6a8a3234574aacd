"""What a comparison has noted so far: differences, what could not be compared, and which rules it went by."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from progflags.darklaunch.compare._allow import close
from progflags.darklaunch.compare._comparison import Budget, Difference
from progflags.darklaunch.compare._paths import Path, render
from progflags.darklaunch.compare._rules import State

__all__ = ["Notes", "Stop"]


class Stop(Exception):  # noqa: N818 - an end, not an error
    """A budget is used up."""


class Notes:
    """At most as many of each as the budget has. `Stop` is raised by the last one."""

    __slots__ = ("budget", "differences", "uncomparable", "used")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.differences: list[Difference] = []
        self.uncomparable: list[tuple[str, str]] = []
        self.used: set[str] = set()

    def differ(self, path: Path, kind: str, a: Any, b: Any) -> None:
        self.differences.append(Difference(render(path), kind, a, b))
        if len(self.differences) >= self.budget.differences:
            raise Stop

    def give_up(self, path: Path, a: Any, b: Any, why: str = "") -> None:
        left, right = type(a).__qualname__, type(b).__qualname__
        self.uncomparable.append((render(path), why or (left if left == right else f"{left}, {right}")))
        if len(self.uncomparable) >= self.budget.differences:
            raise Stop

    def use(self, state: State | None, kind: str) -> bool:
        """Whether there is a rule of this kind, which then has been used."""
        if state is not None and kind in state.rules:
            self.used.add(str(state.rules[kind]))
            return True
        return False

    def close(self, a: Any, b: Any, state: State) -> bool:
        """Whether two numbers or times are as near each other as their rule allows."""
        near = state.near
        if near is None or not close(a, b, near):
            return False
        self.used.add(near[2])
        return True

    def ignored(self, state: State | None, key: Any) -> bool:
        """Whether what stands under `key` is ignored by a rule."""
        below = None if state is None else state.step(key)
        return below is not None and self.use(below, "ignore")

    def leeway(self, state: State | None) -> tuple[Decimal, float]:
        """The tolerance at this path: absolute and relative."""
        return state.rules["tolerance"].value if state is not None and "tolerance" in state.rules else (Decimal(0), 0.0)
