"""What one dark launch has found, in a few hundred numbers that add up over processes. No value of a call is ever in it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from progflags._printed import printable
from progflags.darklaunch.compare import Mean
from progflags.darklaunch.record._latency import Durations
from progflags.darklaunch.record._outcome import BAD, GOOD, Outcome
from progflags.darklaunch.record._verdict import DarkLaunchVerdict, judge, judge_score

__all__ = ["ShadowSummary"]

_NAMED: Final = 64  # names kept of each kind; the rest is counted under OTHER
_LONGEST: Final = 200  # characters of a name
OTHER: Final = "(other)"
_COUNTED: Final = ("outcomes", "shed", "failures", "mismatches", "not_isolated", "breaker", "runaways")


@dataclass(slots=True)
class ShadowSummary:
    """
    One experiment, of one process or of several together: `flag`, the decorated `function` ("module:name", empty for a
    middleware), and which `candidate` where there are several.

    `outcomes`, `shed`, `failures`, `mismatches`, `not_isolated` count calls as in `stats()`; `breaker` counts processes by
    the state of their breaker, `runaways` candidates by what `stop_runaways` came to ("stopped", "unstoppable"). `control` and
    `shadow` are both sides' durations. `scored` are the sums of their scores, None where the launch has no `score=`.

        for found in flags.rollouts.dark_launches():
            print(found.flag, found.function, found.processes, found.outcomes.most_common(3))
            print(found.verdict(max_mismatch=0.01))
    """

    flag: str
    function: str = ""
    candidate: str = ""
    outcomes: Counter[str] = field(default_factory=Counter)
    shed: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    mismatches: Counter[str] = field(default_factory=Counter)
    not_isolated: Counter[str] = field(default_factory=Counter)
    breaker: Counter[str] = field(default_factory=Counter)
    runaways: Counter[str] = field(default_factory=Counter)
    control: Durations = field(default_factory=Durations)
    shadow: Durations = field(default_factory=Durations)
    scored: Mean | None = None
    processes: int = 1

    @property
    def name(self) -> tuple[str, str, str]:
        return self.flag, self.function, self.candidate

    @property
    def scores(self) -> int:
        """How many calls have a score."""
        return 0 if self.scored is None else self.scored.n

    @property
    def mean(self) -> float:
        """The mean score; 0.0 where there is none."""
        return 0.0 if self.scored is None else self.scored.mean

    def merge(self, other: Self) -> None:
        """Add what another process has found of the same experiment."""
        for kind in _COUNTED:
            mine: Counter[str] = getattr(self, kind)
            mine.update(getattr(other, kind))
            setattr(self, kind, _bounded(mine))
        self.control.merge(other.control)
        self.shadow.merge(other.shadow)
        if other.scored is not None:
            self.scored = self.scored or Mean()
            self.scored.merge(other.scored)
        self.processes += other.processes

    def verdict(
        self, max_mismatch: float = 0.001, confidence: float = 0.95, *, min_score: float | None = None, margin: float = 0.0
    ) -> DarkLaunchVerdict:
        """
        Whether less than `max_mismatch` of the calls differ, over all that is in here. Where answers are scored one that
        differs is none against the candidate: the verdict is then of calls that failed and, with `min_score`, of the mean score,
        as an experiment's own.

        Raises:
            ValueError: a bound is out of range, or `min_score` is given and answers are not scored.
        """
        bad, good = (sum(self.outcomes[outcome.value] for outcome in kinds) for kinds in (BAD, GOOD))
        held = bad - (self.outcomes[Outcome.MISMATCH.value] if self.scores else 0)
        failing = judge(held, bad + good, max_mismatch=max_mismatch, confidence=confidence)
        if min_score is None:
            return failing
        if self.scored is None:
            raise ValueError("min_score asks for scores, and this dark launch has no score=")
        return judge_score(failing, self.scored, min_score=min_score, margin=margin, confidence=confidence)

    def to_dict(self, verdict: DarkLaunchVerdict) -> dict[str, Any]:
        """Plain JSON values for people and programs, with a `verdict` of this summary; what is most often is first."""
        ends = verdict.score_interval
        known = ends is not None and all(map(math.isfinite, ends))
        sides = {"control": self.control.read(), "candidate": self.shadow.read()}
        return {
            "flag": self.flag,
            "function": self.function,
            "candidate": self.candidate,
            "processes": self.processes,
            "verdict": str(verdict.state),
            "rate": verdict.rate,
            "interval": list(verdict.interval),
            "compared": verdict.n,
            "needed": verdict.needed,
            **{kind: dict(getattr(self, kind).most_common()) for kind in _COUNTED},
            "latency": {side: {"n": read.n, "p50": read.p50, "p95": read.p95, "p99": read.p99} for side, read in sides.items()},
            "score": {
                "n": self.scores,
                "mean": self.mean if self.scores else None,
                "interval": list(ends) if ends is not None and known else None,
            },
        }

    def to_json(self) -> dict[str, Any]:
        """Bounded, whatever the experiment has met."""
        counts = {kind: dict(_bounded(getattr(self, kind))) for kind in _COUNTED}
        latency = {"control": self.control.to_json(), "shadow": self.shadow.to_json()}
        return {"name": list(self.name), **counts, **latency, "scored": None if self.scored is None else self.scored.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """
        What `to_json` gave.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is something else.
        """
        flag, function, candidate = (printable(str(word)) for word in data["name"])
        made = cls(flag, function, candidate, scored=None if data["scored"] is None else Mean.from_json(data["scored"]))
        for kind in _COUNTED:
            setattr(made, kind, Counter({printable(name): int(n) for name, n in data[kind].items()}))
        made.control, made.shadow = Durations.from_json(data["control"]), Durations.from_json(data["shadow"])
        return made


def _bounded(counts: Mapping[str, int]) -> Counter[str]:
    """The most frequent names, each of bounded length; the rest under one."""
    kept: Counter[str] = Counter()
    for at, (name, count) in enumerate(_by_count(counts)):
        kept[name[:_LONGEST] if at < _NAMED or name == OTHER else OTHER] += count
    return kept


def _by_count(counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return sorted(((name, count) for name, count in counts.items() if count), key=lambda row: (-row[1], row[0]))
