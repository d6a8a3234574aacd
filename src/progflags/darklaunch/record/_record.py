"""What an experiment has seen: every call in one outcome, both sides' durations, the causes of mismatches."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from progflags._clock import Clock
from progflags.darklaunch.compare import Scored, Scores
from progflags.darklaunch.record._conclude import Conclusion
from progflags.darklaunch.record._failure import Failures
from progflags.darklaunch.record._latency import Durations
from progflags.darklaunch.record._outcome import BAD, GOOD, Outcome, Shed
from progflags.darklaunch.record._redact import Redactor
from progflags.darklaunch.record._samples import Cause, Causes
from progflags.darklaunch.record._summary import ShadowSummary
from progflags.darklaunch.record._tally import Tally

__all__ = ["Record"]


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
        self.stopped = Tally()
        self.unstoppable: set[int] = set()  # calls, by number
        # Tallies, for a signal's handler may count between any two steps of ours.
        self._ended = {outcome: Tally() for outcome in Outcome}
        self._shed = {reason: Tally() for reason in Shed}
        self._not_isolated: Counter[str] = Counter()
        self._control, self._candidate, self._repeat, self._waited = Durations(), Durations(), Durations(), Durations()
        self._causes = Causes(self.redactor)
        self.scores = Scores()
        self._failures = Failures(self.redactor)

    @property
    def not_isolated(self) -> Mapping[str, int]:
        return self._not_isolated

    @property
    def shed_so_far(self) -> dict[str, int]:
        """By reason, those that occurred."""
        return {reason.value: count for reason, tally in self._shed.items() if (count := tally.read())}

    def shed(self, reason: Shed, culprit: str = "") -> None:
        """A call that had been taken in was left out; `culprit` is the class that could not be isolated."""
        self._shed[reason].bump()
        if culprit:
            with self._lock:
                self._not_isolated[culprit if culprit in self._not_isolated or len(self._not_isolated) < _CLASSES else "…"] += 1

    def note(self, said: Conclusion, control: float | None, candidate: float | None, endpoint: str = "") -> None:
        """A shadow ended; the two sides took so many seconds."""
        outcome, differences, _, _, scored, failure = said
        now = self._clock.now()
        self._ended[outcome].bump()
        with self._lock:
            if control is not None:
                self._control.add(control)
            if candidate is not None:
                self._candidate.add(candidate)
            if differences:
                self._causes.note(endpoint, differences, now)
            if failure is not None:
                self._failures.note(failure, now)
            if scored is not None:
                self.scores.add(scored.score, lambda: self._example(endpoint, scored, now))

    def _example(self, endpoint: str, scored: Scored, now: float) -> dict[str, Any]:
        describe = self.redactor.describe
        values = {"control": describe("$", scored.control), "candidate": describe("$", scored.candidate)}
        return {"at": now, "endpoint": endpoint, **values}

    def waited(self, seconds: float) -> None:
        """A shadow's turn has come, so long after it was handed over."""
        with self._lock:
            self._waited.add(seconds)

    def repeated(self, seconds: float) -> None:
        with self._lock:
            self._repeat.add(seconds)

    def counts(self) -> tuple[int, int]:
        """Calls that answer differently, and all that could be compared: what a verdict is about."""
        bad = sum(self._ended[outcome].read() for outcome in BAD)
        return bad, bad + sum(self._ended[outcome].read() for outcome in GOOD)

    def failures(self) -> tuple[int, int]:
        """As `counts`, where an answer that differs is none against the candidate: it is scored."""
        bad, n = self.counts()
        return bad - self._ended[Outcome.MISMATCH].read(), n

    def summary(self, flag: str, function: str, candidate: str, breaker: str, *, graded: bool) -> ShadowSummary:
        """What adds up over processes: the same counts, and never a value."""
        found = ShadowSummary(flag, function, candidate, shed=Counter(self.shed_so_far), breaker=Counter([breaker]))
        found.outcomes.update({outcome.value: count for outcome, tally in self._ended.items() if (count := tally.read())})
        found.outcomes.update({"off": self.off.read(), "not_sampled": self.not_sampled.read(), "shed": sum(found.shed.values())})
        found.runaways.update({"stopped": self.stopped.read(), "unstoppable": len(self.unstoppable)})
        with self._lock:
            found.failures.update(self._failures.counts())
            found.mismatches.update(self._causes.by_path)
            found.not_isolated.update(self._not_isolated)
            found.control.merge(self._control)
            found.shadow.merge(self._candidate)
            if graded:
                found.scored = replace(self.scores.of)
        return found

    def causes(self) -> list[Cause]:
        with self._lock:
            return self._causes.read()

    def report(self) -> dict[str, Any]:
        """Causes with their samples, and how mismatches group by all the paths they have, as JSON data."""
        with self._lock:
            groups = [{"paths": list(mark), "count": count} for mark, count in self._causes.prints.most_common()]
            found: dict[str, Any] = {"causes": [cause.to_dict() for cause in self._causes.read()], "groups": groups}
            found["failures"] = self._failures.read()
            if self.scores.n:
                found["scores"] = {"n": self.scores.n, "mean": self.scores.mean, "worst": self.scores.worst()}
            return found
