"""
Several candidates in one dark launch: each an experiment of its own, beside what they share, the control and the flag.

A call runs one of them, drawn evenly, so that two candidates cost what one does; or all of them, and then it is also seen
where the candidates differ from each other.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Unpack

from progflags._chance import chance
from progflags._printed import quoted
from progflags.darklaunch._call import Call
from progflags.darklaunch._experiment import Experiment
from progflags.darklaunch._options import Options
from progflags.darklaunch.record import DarkLaunchStats, DarkLaunchVerdict, JsonLines, Observation, Outcome, ShadowSummary, reading

__all__ = ["CONTROL", "Calls", "Several"]

CONTROL = "control"


class Several(Experiment):
    """
    The experiment of a dark launch with `candidates=`. Its numbers are sums over them; each has its own.

    `stats("v2")`, `verdict(candidate="v2")` are of one; `differing()` is the table of who differs from whom.
    """

    def __init__(self, flag: str, names: tuple[str, ...], *, every: bool = False, **options: Unpack[Options]) -> None:
        sink = options.get("record")
        if isinstance(sink, (str, os.PathLike)):  # one file, and one that writes to it
            options["record"] = JsonLines(sink)
        super().__init__(flag, **options)
        self.every = every
        self.of: Mapping[str, Experiment] = {name: Experiment(flag, own_engine=self.engine, **options) for name in names}
        for name, one in self.of.items():
            one.candidate_name = name
        self._pairs: dict[tuple[str, str], Counter[str]] = {}
        self._lock = threading.Lock()

    def after_fork(self) -> None:
        super().after_fork()
        self._pairs, self._lock = {}, threading.Lock()

    def drawn(self) -> list[tuple[str, Experiment]]:
        """Whose turn it is: one of them, or all."""
        every = list(self.of.items())
        return every if self.every else [chance.choice(every)]

    def met(self, control: Call, name: str, answer: Observation, others: Mapping[str, Observation]) -> None:
        """One candidate has answered a call that all of them get: hold it against those that answered before."""
        for other, said in others.items():
            pair = (other, name) if other < name else (name, other)
            first, second = (said, answer) if other < name else (answer, said)
            outcome = control.experiment.comparer.conclude(first, second, scoring=False).outcome
            with self._lock:
                counts = self._pairs.setdefault(pair, Counter())
                counts["n"] += 1
                counts["differ"] += outcome not in _SAME

    def timed(self, seconds: float) -> None:
        for one in self.of.values():
            one.timed(seconds)

    # What it found.

    def stats(self, candidate: str | None = None) -> DarkLaunchStats:
        """
        Counts by outcome, durations, mismatches by path: of one candidate, or of all together.

        Raises:
            LookupError: there is no candidate of that name.
        """
        if candidate is not None:
            return self._one(candidate).stats()
        every = self.record, *(one.record for one in self.of.values())
        return reading(every, rate=min(one.rate.value for one in self.of.values()), breaker=self._breakers())

    def summaries(self) -> tuple[ShadowSummary, ...]:
        return ()  # each of its candidates is an experiment, and tells its own

    def _breakers(self) -> str:
        states = {one.breaker.state for one in self.of.values()}
        return next(state for state in ("open", "half-open", "closed") if state in states)

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
        As of an experiment with one candidate, of the one named.

        Raises:
            LookupError: there is no candidate of that name, or none is named. ValueError: as there.
        """
        return self._one(candidate).verdict(max_mismatch, confidence, min_score=min_score, margin=margin)

    def differing(self) -> dict[tuple[str, str], tuple[int, int]]:
        """
        Who differs from whom: (one, other) → (calls that differ, calls compared). `control` stands for the control.

        Pairs of candidates are there where a call runs all of them.
        """
        table = {(CONTROL, name): one.record.counts() for name, one in self.of.items()}
        with self._lock:
            return table | {pair: (counts["differ"], counts["n"]) for pair, counts in sorted(self._pairs.items())}

    def report(self) -> dict[str, Any]:
        """Each candidate's report, and who differs from whom: plain JSON data."""
        pairs = [{"between": list(pair), "differ": differ, "n": n} for pair, (differ, n) in self.differing().items()]
        return {"flag": self.flag, "candidates": {name: one.report() for name, one in self.of.items()}, "differing": pairs}

    def _one(self, name: str | None) -> Experiment:
        if name is None or name not in self.of:
            raise LookupError(f"which candidate? there are {', '.join(self.of)}" + ("" if name is None else f", not {quoted(name)}"))
        return self.of[name]

    # Its end.

    @property
    def pending(self) -> int:
        return sum(one.pending for one in self.of.values())

    def drain(self, timeout: float = 2.0) -> bool:
        drained = [one.drain(timeout) for one in self.of.values()]
        return all(drained)

    async def adrain(self, timeout: float = 2.0) -> bool:  # noqa: ASYNC109 - the same word as in drain
        drained = [await one.adrain(timeout) for one in self.of.values()]
        return all(drained)

    def close(self, timeout: float = 2.0) -> bool:
        super().close(0.0)
        closed = [one.close(timeout) for one in self.of.values()]
        return all(closed)


_SAME = frozenset({Outcome.MATCH, Outcome.IGNORED, Outcome.CONTROL_ERROR_MATCH})


class Calls:
    """One call for several candidates: what the control says is handed to each."""

    __slots__ = ("_calls",)

    def __init__(self, launch: Several, calls: Mapping[str, Call]) -> None:
        self._calls = tuple(calls.values())
        if len(calls) > 1:
            said: dict[str, Observation] = {}
            lock = threading.Lock()
            for name, call in calls.items():
                call.answered = _meeting(launch, call, name, said, lock)

    def returned(self, value: Any, seconds: float) -> Any:
        with ExitStack() as every:  # all of them, also where one raises what the caller asked for
            for call in self._calls:
                every.callback(call.returned, value, seconds)
        return value

    def raised(self, error: BaseException, seconds: float) -> None:
        for call in self._calls:
            call.raised(error, seconds)

    async def finish(self) -> None:
        for call in self._calls:
            await call.finish()


def _meeting(launch: Several, call: Call, name: str, said: dict[str, Observation], lock: threading.Lock) -> Callable[[Observation], None]:
    def answered(answer: Observation) -> None:
        with lock:
            others = dict(said)
            said[name] = answer
        launch.met(call, name, answer, others)

    return answered
