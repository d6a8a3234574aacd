"""
Concluding: how the calls of a dark launch end. Each is compared, counted and told once, or left out and counted as that.

Whoever takes a call out of `flight` concludes it, so a candidate that comes back after it was given up is not counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from progflags.darklaunch._inflight import InFlight
from progflags.darklaunch._launch import Launch
from progflags.darklaunch._options import Options
from progflags.darklaunch._taken import Taken
from progflags.darklaunch._told import Teller
from progflags.darklaunch.compare import DarkLaunchMismatch, Proposal
from progflags.darklaunch.lanes import Engine
from progflags.darklaunch.record import Conclusion, Observation, Outcome, Shed
from progflags.darklaunch.shadow import Expired
from progflags.events import Compared

__all__ = ["Concluding"]

#: How heavily an outcome weighs against a candidate. One that hangs holds a thread: five are as bad as fifty that fail.
_WEIGHT: Mapping[Outcome, int] = {Outcome.CANDIDATE_ERROR: 1, Outcome.COMPARE_ERROR: 1, Outcome.TIMEOUT: 10, Outcome.ABANDONED: 10}
_DISAGREEING = frozenset({Outcome.MISMATCH, Outcome.CONTROL_ERROR_MISMATCH, Outcome.CANDIDATE_ERROR})


class Concluding(Launch):
    """A Launch whose calls end: `flight` has those that have not yet."""

    def __init__(self, flag: str, options: Options, own_engine: Engine | None) -> None:
        super().__init__(flag, options, own_engine)
        self._teller = Teller(flag, options.get("record"), capture=self.captures, redactor=self.record.redactor)
        self.flight: InFlight[Taken] = InFlight(
            options.get("max_inflight", 4096), lambda call: self.conclude(call, Outcome.CANCELLED_SHUTDOWN)
        )

    def after_fork(self) -> None:
        self.flight.clear()
        super().after_fork()

    def settle(self, call: Taken, candidate: Observation, repeat: Observation | None = None) -> None:
        """Compare what both sides said, and conclude."""
        if call not in self.flight:
            return
        if call.shadow is not None and call.shadow.blocked:
            self.conclude(call, Conclusion(Outcome.GUARD_BLOCKED, (), call.shadow.blocked[0]), candidate.seconds)
            return
        if candidate.seconds > self.deadline or isinstance(candidate.error, Expired):
            self.conclude(call, Outcome.TIMEOUT, candidate.seconds)
            return
        if call.reduce is not None and candidate.error is None:
            candidate = Observation(call.reduce(candidate.value), None, candidate.seconds)
        if call.answered is not None:
            call.answered(candidate)
        sides = (candidate, call.control) if call.swapped else (call.control, candidate)
        conclusion = self.comparer.conclude(*sides)
        self._learn(call, conclusion, repeat or call.repeat())
        told = self.conclude(call, conclusion, candidate.seconds)
        if told and self.raises and conclusion.outcome in _DISAGREEING:
            raise DarkLaunchMismatch(self.flag, conclusion.differences, f"{conclusion.outcome} {conclusion.error or ''}".strip())

    def conclude(self, call: Taken, said: Outcome | Conclusion, candidate: float | None = None) -> bool:
        """The end of a call, whose candidate took `candidate` seconds: count it, tell it. False when it had ended already."""
        mark = self.flight.begin_end(call)
        if mark is None:
            return False
        try:
            self._release(call)
            self._conclude(call, said if isinstance(said, Conclusion) else Conclusion(said), candidate)
        finally:
            self.flight.ended(mark)
        return True

    def _conclude(self, call: Taken, said: Conclusion, candidate: float | None) -> None:
        outcome, differences, error, _, scored, failure = said
        self.record.note(said, call.seconds, candidate, call.endpoint)
        if outcome is not Outcome.CANCELLED_SHUTDOWN and self.breaker.note(_WEIGHT.get(outcome, 0)):
            self._say(f"the candidate keeps failing ({outcome}): paused for {self.breaker.pause:g} s", "breaker")
        if failure is not None and outcome is Outcome.CANDIDATE_ERROR:
            self._say(f"the candidate fails where the control does not: {failure}", str(failure))
        client = self.gate.client
        if client is not None and client.bus.hears(Compared):
            paths = tuple(dict.fromkeys(difference.path for difference in differences))[:20]
            score = None if scored is None else scored.score
            client.bus.tell(Compared(self.flag, outcome.value, call.seconds, candidate, paths, error, score, self.candidate_name))
        self._teller.tell(call, said, candidate, self._clock.now())

    def drop(self, call: Taken, reason: Shed, culprit: str = "", *, at: str = "", quiet: bool = False) -> None:
        """Leave out a call that had been admitted."""
        mark = self.flight.begin_end(call)
        if mark is None:
            return
        try:
            self._release(call)
            self.record.shed(reason, culprit)
        finally:
            self.flight.ended(mark)
        if culprit and not quiet:
            where = f" at {at}" if at else ""
            self._say(f"not compared: the result holds {culprit}{where}; see reduce= and isolate=", culprit)

    def _release(self, call: Taken) -> None:
        """Give back what a call held that had been handed over."""
        if call.at:
            self.engine.release(call.size)

    def unstoppable(self, call: Taken, where: str) -> None:
        """One was told to end, and has not: it holds its thread until it comes back by itself."""
        if call.number not in self.record.unstoppable:
            self.record.unstoppable.add(call.number)
            held = f"it is at {where or 'an unknown place'}, in native code or where everything is caught"
            self._say(f"a candidate that did not come back can't be stopped: {held}", "unstoppable")

    # What the control differs in from itself.

    def proposals(self) -> list[Proposal]:
        """Rules for paths at which the control differs from itself; `approve` puts them into force."""
        known = {rule.path for rule in self.comparer.rules}
        return [proposal for proposal in self.noise.proposals() if proposal.path not in known]

    def approve(self, *paths: str) -> None:
        """Add the proposed rules for these paths to the experiment's, from the next comparison on."""
        added = tuple(proposal.rule for proposal in self.proposals() if proposal.path in paths)
        if added:
            old = self.comparer
            self.comparer = replace(old, rules=(*old.rules, *added))

    def _learn(self, call: Taken, conclusion: Conclusion, repeat: Observation | None) -> None:
        if repeat is None or repeat.error is not None or call.error is not None:
            return
        self.record.repeated(repeat.seconds)
        again: Any = call.reduce(repeat.value) if call.reduce is not None else repeat.value
        self.noise.note(conclusion.differences, self.comparer.conclude(call.control, Observation(again), scoring=False).differences)
        if self._learns:
            self.approve(*(proposal.path for proposal in self.noise.proposals()))
