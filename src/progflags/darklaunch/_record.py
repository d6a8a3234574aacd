"""What an experiment has seen: every call in one outcome, both sides' durations, the causes of mismatches."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from progflags._clock import Clock
from progflags.darklaunch._comparison import Difference
from progflags.darklaunch._latency import Durations, Latency
from progflags.darklaunch._outcome import BAD, GOOD, Outcome, Shed
from progflags.darklaunch._redact import Redactor
from progflags.darklaunch._samples import Cause, Causes
from progflags.darklaunch._tally import Tally

__all__ = ["DarkLaunchStats", "Record"]


@dataclass(frozen=True, slots=True)
class DarkLaunchStats:
    """
    A moment's reading. `sum(outcomes.values()) == calls` once nothing is pending (after a drain).

    `outcomes` has all the names of Outcome, `shed` the reasons that occurred; `control` and `candidate` are durations
    of shadowed calls, `repeat` those of control runs repeated where the candidate runs (the fair one to compare with).
    `mismatches`: calls by the path that differed, `$` being the whole value.
    """

    calls: int
    outcomes: dict[str, int]
    shed: dict[str, int]
    control: Latency
    candidate: Latency
    mismatches: dict[str, int]
    repeat: Latency = field(default=Latency(0, None, None, None))
    rate: float = 1.0
    breaker: str = "closed"
    not_isolated: dict[str, int] = field(default_factory=dict)


_CLASSES: Final = 32  # class names remembered as not copyable


class Record:
    """
    Counters that add up. Callers bump, workers note; nobody waits for anybody longer than a dictionary update.

    `calls` is counted where a call is taken in, outcomes where it ends: that the two agree is a finding, not an identity.
    """

    def __init__(self, redactor: Redactor, clock: Clock) -> None:
        self._clock = clock
        self.redactor = redactor
        self.clear()

    def clear(self) -> None:
        """Forget everything and begin anew: after a fork, or when asked."""
        self._lock = threading.RLock()
        self.off = Tally()
        self.not_sampled = Tally()
        self.taken = Tally()
        # Tallies, for a signal's handler may count between any two steps of ours.
        self._ended = {outcome: Tally() for outcome in Outcome}
        self._shed = {reason: Tally() for reason in Shed}
        self._not_isolated: Counter[str] = Counter()
        self._control, self._candidate, self._repeat = Durations(), Durations(), Durations()
        self._causes = Causes(self.redactor)

    def shed(self, reason: Shed, culprit: str = "") -> None:
        """A call that had been taken in was left out; `culprit` is the class that could not be isolated."""
        self._shed[reason].bump()
        if culprit:
            with self._lock:
                self._not_isolated[culprit if culprit in self._not_isolated or len(self._not_isolated) < _CLASSES else "…"] += 1

    def note(
        self,
        outcome: Outcome,
        control: float | None,
        candidate: float | None,
        differences: tuple[Difference, ...] = (),
        endpoint: str = "",
    ) -> None:
        """A shadow ended."""
        now = self._clock.now()
        self._ended[outcome].bump()
        with self._lock:
            if control is not None:
                self._control.add(control)
            if candidate is not None:
                self._candidate.add(candidate)
            if differences:
                self._causes.note(endpoint, differences, now)

    def repeated(self, seconds: float) -> None:
        with self._lock:
            self._repeat.add(seconds)

    def counts(self) -> tuple[int, int]:
        """Calls that answer differently, and all that could be compared: what a verdict is about."""
        bad = sum(self._ended[outcome].read() for outcome in BAD)
        return bad, bad + sum(self._ended[outcome].read() for outcome in GOOD)

    def read(self, *, rate: float, breaker: str) -> DarkLaunchStats:
        off, not_sampled = self.off.read(), self.not_sampled.read()
        shed = {reason.value: count for reason, tally in self._shed.items() if (count := tally.read())}
        ended: dict[str, int] = {outcome.value: tally.read() for outcome, tally in self._ended.items()}
        ended |= {"off": off, "not_sampled": not_sampled, "shed": sum(shed.values())}
        with self._lock:
            return DarkLaunchStats(
                calls=off + not_sampled + self.taken.read(),
                outcomes=ended,
                shed=shed,
                control=self._control.read(),
                candidate=self._candidate.read(),
                mismatches=dict(self._causes.by_path),
                repeat=self._repeat.read(),
                rate=rate,
                breaker=breaker,
                not_isolated=dict(self._not_isolated),
            )

    def causes(self) -> list[Cause]:
        with self._lock:
            return self._causes.read()

    def report(self) -> dict[str, Any]:
        """Causes with their samples, and how mismatches group by all the paths they have, as JSON data."""
        with self._lock:
            groups = [{"paths": list(mark), "count": count} for mark, count in self._causes.prints.most_common()]
            return {"causes": [cause.to_dict() for cause in self._causes.read()], "groups": groups}
