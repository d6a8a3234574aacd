"""
Experiment: one dark launch, by what people ask of it.

The caller's side of a call is `gate.passes`, `admit`, and `returned` or `raised` on the Call; the shadow's side ends in
exactly one `conclude`. From the ground up: `_launch` (what it is made of), `_taken` (a call), `_concluding` (how calls end),
`_handing` (the control has answered), `_shadowed` and `_call` (the two sides of a call), `_admission` (who is taken in).
"""

from __future__ import annotations

from typing import Any, Unpack

from progflags._printed import quoted
from progflags._process import in_child, look
from progflags.darklaunch._admission import Admission
from progflags.darklaunch._options import Options
from progflags.darklaunch.lanes import Engine, remember, remembered
from progflags.darklaunch.record import DarkLaunchStats, DarkLaunchVerdict, Outcome, ShadowSummary, judge, judge_score, reading

__all__ = ["Experiment", "experiments"]


class Experiment(Admission):
    """
    One dark launch. `price.dark_launch` is that of a decorated function, `middleware.dark_launch` that of a middleware.

    `lane` is where its shadows run; inline ones run before the caller gets its answer.

        launch = price.dark_launch
        launch.drain()                                          # wait for the shadows under way
        print(launch.verdict(max_mismatch=0.01), launch.stats().mismatches)
    """

    def __init__(self, flag: str, *, own_engine: Engine | None = None, **options: Unpack[Options]) -> None:
        super().__init__(flag, options, own_engine)
        in_child(self)
        remember(self)

    # What it found.

    def stats(self, candidate: str | None = None) -> DarkLaunchStats:
        """
        Counts by outcome, durations of both sides, mismatches by path, so far in this process.

        `candidate`: one of several (`candidates=`), by its name.

        Raises:
            LookupError: there is no candidate of that name.
        """
        look()
        self._only(candidate)
        return reading((self.record,), rate=self.rate.value, breaker=self.breaker.state)

    def verdict(
        self,
        max_mismatch: float = 0.001,
        confidence: float = 0.95,
        *,
        min_score: float | None = None,
        margin: float = 0.0,
        candidate: str | None = None,
    ) -> DarkLaunchVerdict:
        """
        Whether the candidate differs in less than `max_mismatch` of the calls. Look as often as you like: it stays honest.

        A call counts against the candidate when it answers differently, fails where the control does not, or takes longer
        than its deadline.

        With `min_score` (and a `score=` in the launch) answers are judged by how close they are instead: SAFE when the mean
        score is at least `min_score` − `margin` with this confidence, and less than `max_mismatch` of the calls fail.

        Raises:
            ValueError: a bound is out of range, or `min_score` is given and the launch has no `score=`.
            LookupError: `candidate` names one of several, and there is none of that name.
        """
        look()
        self._only(candidate)
        if min_score is None:
            bad, n = self.record.counts()
            return judge(bad, n, max_mismatch=max_mismatch, confidence=confidence, caveats=self._caveats(n))
        if self.comparer.score is None:
            raise ValueError("min_score asks for scores: give the dark launch a score=, such as pf.score.overlap(10)")
        bad, n = self.record.failures()
        failing = judge(bad, n, max_mismatch=max_mismatch, confidence=confidence, caveats=self._caveats(n))
        return judge_score(failing, self.record.scores.of, min_score=min_score, margin=margin, confidence=confidence)

    def summaries(self) -> tuple[ShadowSummary, ...]:
        """What adds up over processes, of each candidate."""
        graded = self.comparer.score is not None
        return (self.record.summary(self.flag, self.name, self.candidate_name, self.breaker.state, graded=graded),)

    def _only(self, candidate: str | None) -> None:
        if candidate is not None and candidate != self.candidate_name:
            raise LookupError(f"this dark launch has one candidate, and none named {quoted(candidate)}: several are given as candidates=")

    def _caveats(self, n: int) -> tuple[str, ...]:
        read = self.stats()
        silent = sum(read.outcomes[name] for name in ("compare_error", "incomplete", "guard_blocked"))
        taken = read.calls - read.outcomes["off"] - read.outcomes["not_sampled"]
        told = []
        if silent > 0.1 * (n + silent):
            told.append(f"{silent} calls ran and could not be compared")
        if taken and read.outcomes["shed"] > 0.5 * taken:
            told.append(f"{read.outcomes['shed']} of {taken} calls were left out under load or for safety; what was compared is the rest")
        if any(rule.kind == "ignore" for rule in self.comparer.rules):
            told.append("parts are ignored by rule")
        return tuple(told)

    def report(self) -> dict[str, Any]:
        """Causes of mismatches with redacted samples, groups, proposals: plain JSON data."""
        return {
            "flag": self.flag,
            **self.record.report(),
            "rules": [str(rule) for rule in self.comparer.rules],
            "proposals": [str(proposal) for proposal in self.proposals()],
        }

    # Its end.

    @property
    def pending(self) -> int:
        """How many shadows have been handed over and have not been concluded: counted and told."""
        return self.flight.pending

    def drain(self, timeout: float = 2.0) -> bool:
        """
        Wait until every shadow handed over so far is concluded; True when nothing is pending.

        Raises:
            RuntimeError: called on a running event loop, where waiting would stop the shadows too: use `adrain`.
        """
        return self.flight.drain(timeout)

    async def adrain(self, timeout: float = 2.0) -> bool:  # noqa: ASYNC109 - the same word as in drain
        """As `drain`, on an event loop."""
        return await self.flight.adrain(timeout)

    def close(self, timeout: float = 2.0) -> bool:
        """Take nothing more in, wait for what runs, count the rest as lost to the shutdown. True when nothing was lost."""
        self._closed = True
        self.flight.wait(timeout)
        left = self.flight.all()
        for call in left:
            self.conclude(call, Outcome.CANCELLED_SHUTDOWN)
        return not left


def experiments() -> tuple[Experiment, ...]:
    """Every dark launch of this process, ordered by flag."""
    return tuple(each for each in remembered() if isinstance(each, Experiment))
