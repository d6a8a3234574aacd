"""Mismatches as a person wants to read them: few causes, exact counts, a handful of redacted samples each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from progflags._chance import chance
from progflags.darklaunch.compare import Difference
from progflags.darklaunch.record._redact import Redactor

__all__ = ["Cause", "Causes"]

_PATHS: Final = 200  # (endpoint, path, kind) kept apart; the rest is counted under OTHER
_KEPT: Final = 5  # samples per cause
_PRINTS: Final = 100
OTHER: Final = "(other)"


@dataclass(slots=True)
class Cause:
    """One way of differing: how often, since when, and samples drawn evenly from all of them (the first ones grow stale)."""

    endpoint: str
    path: str
    kind: str
    count: int = 0
    first: float = 0.0
    last: float = 0.0
    samples: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return {
            "endpoint": self.endpoint,
            "path": self.path,
            "kind": self.kind,
            "count": self.count,
            "first": self.first,
            "last": self.last,
            "samples": list(self.samples),
        }


class Causes:
    """The table of causes. Not locked: its owner is. Bounded: paths, samples, fingerprints."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._causes: dict[tuple[str, str, str], Cause] = {}
        self.prints: Counter[tuple[str, ...]] = Counter()
        self.by_path: dict[str, int] = {}

    def note(self, endpoint: str, differences: Iterable[Difference], now: float) -> None:
        """One mismatching call. A path counts once per call, however many elements below it differ."""
        first: dict[tuple[str, str], Difference] = {}
        for difference in differences:
            first.setdefault((difference.path, difference.kind), difference)
        for (path, kind), difference in first.items():
            self._one(endpoint, path, kind, difference, now)
        for path in {path if path in self.by_path or len(self.by_path) < _PATHS else OTHER for path, _ in first}:
            self.by_path[path] = self.by_path.get(path, 0) + 1
        mark = tuple(sorted(f"{path} {kind}" for path, kind in first))
        self.prints[mark if mark in self.prints or len(self.prints) < _PRINTS else (OTHER,)] += 1

    def _one(self, endpoint: str, path: str, kind: str, difference: Difference, now: float) -> None:
        key = (endpoint, path, kind)
        if key not in self._causes and len(self._causes) >= _PATHS:
            key = ("", OTHER, "")
        cause = self._causes.get(key)
        if cause is None:
            cause = self._causes[key] = Cause(*key, first=now)
        cause.count += 1
        cause.last = now
        # Vitter's algorithm R: each of the `count` mismatches is among the samples with equal chance.
        place = len(cause.samples) if len(cause.samples) < _KEPT else chance.randrange(cause.count)
        if place < _KEPT and key[1] != OTHER:
            cause.samples[place : place + 1] = [self.sample(difference, now)]

    def sample(self, difference: Difference, now: float) -> dict[str, Any]:
        path, kind, control, candidate = difference
        describe = self._redactor.describe
        return {"at": now, "path": path, "kind": kind, "control": describe(path, control), "candidate": describe(path, candidate)}

    def read(self) -> list[Cause]:
        """The causes, most frequent first."""
        return sorted(self._causes.values(), key=lambda cause: -cause.count)
