"""What a comparison of two values may cost, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["Budget", "Comparison", "Difference"]


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one comparison may cost: nodes looked at, differences kept, CPU seconds."""

    nodes: int = 50_000
    differences: int = 64
    seconds: float = 0.025


class Difference(NamedTuple):
    """
    One way the candidate differs. `kind`: value, type, missing (in the candidate), extra, length, order, shape, dtype, …

    `control` and `candidate` are the values themselves, for redaction to reduce before anything is kept.
    """

    path: str
    kind: str
    control: Any = None
    candidate: Any = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    What came of it. `same` is a proof: everything was looked at and nothing differs. Neither `same` nor `differences`: not comparable.

    `uncomparable` holds (path, class names); `truncated` says a budget ended the walk; `used` names the rules that let
    something pass.
    """

    differences: tuple[Difference, ...] = ()
    uncomparable: tuple[tuple[str, str], ...] = ()
    truncated: bool = False
    used: frozenset[str] = frozenset()

    @property
    def same(self) -> bool:
        return not (self.differences or self.uncomparable or self.truncated)
