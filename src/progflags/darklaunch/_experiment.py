"""
Experiment: one dark launch, from admission to verdict.

The caller's side of a call is `gate.passes`, `admit`, and `returned` or `raised` on the Call; the shadow's side ends in
exactly one `conclude`. Whoever takes a call out of `flight` concludes it, so a candidate that comes back after it was
given up is not counted twice.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Unpack

from progflags._chance import chance
from progflags._clock import SYSTEM, Clock
from progflags._names import must_be_named
from progflags._printed import quoted
from progflags._process import in_child, look
from progflags._trouble import say
from progflags.darklaunch._call import Call
from progflags.darklaunch._commit import when_committed
from progflags.darklaunch._found import argument_path, result_path
from progflags.darklaunch._gate import Gate
from progflags.darklaunch._inflight import InFlight
from progflags.darklaunch._interrupt import is_delivered
from progflags.darklaunch._options import Options, check
from progflags.darklaunch._told import Teller
from progflags.darklaunch.compare import DarkLaunchMismatch, Isolator, Noise, NotIsolated, Proposal
from progflags.darklaunch.lanes import Breaker, Engine, HarmMonitor, Here, Lane, Rate, engine, remember, remembered
from progflags.darklaunch.record import (
    Comparer,
    Conclusion,
    DarkLaunchStats,
    DarkLaunchVerdict,
    Observation,
    Outcome,
    Record,
    Redactor,
    ShadowSummary,
    Shed,
    judge,
    judge_score,
    mute,
)
from progflags.darklaunch.shadow import Expired
from progflags.events import Compared

__all__ = ["Experiment", "experiments"]


HARD_STEP: Final = 0.25  # seconds in one step of a coroutine after which it may not be in the application's loop
DEADLINE: Final = 1.0  # seconds a candidate may take unless told otherwise

#: How heavily an outcome weighs against a candidate. One that hangs holds a thread: five are as bad as fifty that fail.
_WEIGHT: Mapping[Outcome, int] = {Outcome.CANDIDATE_ERROR: 1, Outcome.COMPARE_ERROR: 1, Outcome.TIMEOUT: 10, Outcome.ABANDONED: 10}


class Experiment:
    """
    One dark launch. `price.dark_launch` is that of a decorated function, `middleware.dark_launch` that of a middleware.

    `lane` is where its shadows run; inline ones run before the caller gets its answer.
    """

    def __init__(self, flag: str, *, own_engine: Engine | None = None, **options: Unpack[Options]) -> None:
        must_be_named(flag, "a dark launch's flag")
        check(options)
        executor, raises = options.get("executor", "auto"), options.get("raise_on_mismatch", False)
        client = options.get("flags")
        self.flag = flag
        self.name = ""  # the decorated function, as "module:qualname"
        self.candidate_name = ""  # which one of several this is about
        self.executor = executor
        self.deadline = _positive("deadline", options.get("deadline", DEADLINE))
        self.slack = 0.0 if executor != "process" else 30.0  # what a lane may need before the candidate begins
        self.guards = tuple(options.get("guards", ()))
        self.engine = own_engine or engine()
        self.lane: Lane[Call] = Here()
        self.inline = executor == "inline" or raises
        self.raises = raises
        self.stops = options.get("stop_runaways", False) and not self.inline
        self.runner: Callable[[Callable[..., Any], float], Callable[..., Any]] = _as_it_is
        self.isolator = Isolator(options.get("isolate", "auto"), options.get("share", ()))
        self.reduce = options.get("reduce")
        self._clock: Clock = SYSTEM if client is None else client.clock
        self.record = Record(Redactor(options.get("reveal", ()), options.get("redact", ())), self._clock)
        self.comparer = Comparer(
            tuple(options.get("rules", ())),
            options.get("compare"),
            options.get("compare_errors"),
            options.get("ignore_if"),
            strict=options.get("strict_types", True),
            flag=flag,
            score=options.get("score"),
        )
        self.gate = Gate(
            flag,
            client,
            off=self.record.off.bump,
            not_sampled=self.record.not_sampled.bump,
            key=options.get("key"),
            sample=options.get("sample", 1.0),
            run_if=options.get("run_if"),
        )
        self.noise = Noise()
        self._aa_rate = options.get("aa_rate", 0.0)
        self._learns = options.get("learn", "propose") == "apply"
        self.captures = options.get("capture", False)  # a call's arguments are told as well
        self._teller = Teller(flag, options.get("record"), capture=self.captures, redactor=self.record.redactor)
        self.flight: InFlight[Call] = InFlight(
            options.get("max_inflight", 4096), lambda call: self.conclude(call, Outcome.CANCELLED_SHUTDOWN)
        )
        self._closed = False
        self._limits()
        in_child(self)
        remember(self)

    def _limits(self) -> None:
        self.breaker = Breaker(self._clock)
        self.rate = Rate(self._clock)
        self.harm = HarmMonitor(time.monotonic, lambda: self.engine.cpu.spent)

    def after_fork(self) -> None:
        """A child counts its own calls; its parent's shadows are its parent's."""
        self.flight.clear()
        self.record.clear()
        self.gate.off, self.gate.not_sampled = self.record.off.bump, self.record.not_sampled.bump
        self.noise.clear()
        self._limits()

    # The caller's side.

    def admit(
        self,
        candidate: Callable[[], Callable[..., Any]],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        again: Callable[..., Any] | None = None,
    ) -> Call | None:
        """
        A call that the gate let pass: take it in, or count why not and return None. Never raises.

        `candidate()` finds the function to run; `again` is the control, for a repeat if one is drawn.
        The copies are made here, before the control can change anything.
        """
        look()
        self.record.taken.bump()
        try:
            refused = None if self.inline else self._no_room()
            if refused is not None:
                self.record.shed(refused)
                return None
            given, size = self.isolator.given(args, kwargs)
            call = Call(self, candidate(), given, contextvars.copy_context(), size)
            if again is not None and self._aa_rate and chance.random() < self._aa_rate:
                call.again, call.again_in = again, call.context.copy()
        except NotIsolated as refusal:
            culprit = str(refusal)
            at = self._at(culprit, lambda: argument_path(again, args, kwargs, culprit))
            self.record.shed(Shed.ISOLATION, culprit)
            held = f"the argument {at} is" if at else "an argument holds"
            say(f"dark launch {self.flag}", f"not shadowed: {held} {culprit}; see isolate= and share=", cause=culprit)
            return None
        except BaseException as error:
            if is_delivered(error):
                raise
            mute(f"dark launch {self.flag}", error)
            self.record.shed(Shed.HOOK)
            return None
        self.flight.add(call)
        return call

    def turn_away(self, reason: Shed) -> None:
        """A call that the gate let pass and that has no candidate to run."""
        self.record.taken.bump()
        self.record.shed(reason)

    def _at(self, culprit: str, search: Callable[[], str]) -> str:
        """Where it was found: looked for the first time only, for that takes longer than the copy that failed."""
        try:
            return "" if culprit in self.record.not_isolated else search()
        except Exception as error:  # an attribute of somebody's that fails
            mute(f"dark launch {self.flag}", error)
            return ""

    def _no_room(self) -> Shed | None:
        if self._closed:
            return Shed.CLOSED
        if not self.breaker.allows():
            return Shed.STUCK if self.lane.room(self) is Shed.STUCK else Shed.BREAKER  # what hangs is told as that
        if self.rate.value < 1.0 and chance.random() >= self.rate.value:
            return Shed.ADAPTIVE
        if self.harm.pausing():
            return Shed.PROBE
        full = Shed.INFLIGHT if self.flight.full else self.lane.room(self) or self.engine.room()
        self.rate.note(full is not None)
        return full

    def keep(self, value: Any) -> tuple[Any, int]:
        """What of the control's answer the shadow may read later, and its size. Raises NotIsolated, or what `reduce` raises."""
        if self.reduce is not None:
            value = self.isolator.reduced(value, self.reduce)
        if not self.inline:
            return self.isolator.kept(value)
        return (self.isolator.spare(value) if self.comparer.asks else value), 0

    def refused(self, call: Call, value: Any, refusal: NotIsolated) -> None:
        """The control's answer can't be kept: the call is left out, and where that lies is said."""
        culprit = str(refusal)
        self.drop(call, Shed.RESULT_ISOLATION, culprit, at=self._at(culprit, lambda: result_path(value, culprit)))

    def keep_item(self, value: Any) -> tuple[Any, int]:
        """As `keep`, for one item of a generator: its consumer may edit it long before the answer is whole."""
        return self.isolator.copied(value if self.reduce is None else self.isolator.reduced(value, self.reduce))

    def timed(self, seconds: float) -> None:
        """The control took so long: what the self-harm monitor is about."""
        self.harm.note(seconds)
        if self.harm.look():
            self.rate.cut()
            low, ratio, _ = self.harm.ratio or (0.0, 0.0, 0.0)
            slower = f"the control's p95 is {ratio:.2f} times what it is without shadows (at least {low:.2f})"
            say(f"dark launch {self.flag}", f"{slower}: rate lowered to {self.rate.value:.0%}", cause="harm")

    def dispatch(self, call: Call) -> None:
        """The control has answered: let the candidate run, after the caller's transaction if it is in one."""
        if self.inline or not when_committed(lambda: self._submit(call), lambda: self.drop(call, Shed.ROLLED_BACK)):
            self._submit(call)

    def _submit(self, call: Call) -> None:
        call.at = time.monotonic()
        if self.engine.hold(call.size):
            refused = self._handed_over(call)
        else:
            call.size, refused = 0, Shed.BYTES
        if refused is not None:
            self.drop(call, refused)

    def _handed_over(self, call: Call) -> Shed | None:
        try:
            return self.lane.submit(call)
        except RuntimeError:
            if threading.main_thread().is_alive():
                raise
            return Shed.CLOSED  # a call made in `atexit`: Python starts no threads by then, some versions say so by raising

    def drop(self, call: Call, reason: Shed, culprit: str = "", *, at: str = "", quiet: bool = False) -> None:
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
            say(f"dark launch {self.flag}", f"not compared: the result holds {culprit}{where}; see reduce= and isolate=", cause=culprit)

    def _release(self, call: Call) -> None:
        """Give back what a call held that had been handed over."""
        if call.at:
            self.engine.release(call.size)

    def is_ours(self, error: BaseException) -> bool:
        """Whether the caller asked for this exception by `raise_on_mismatch`."""
        return self.raises and isinstance(error, DarkLaunchMismatch)

    # The shadow's side.

    def settle(self, call: Call, candidate: Observation, repeat: Observation | None = None) -> None:
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

    def _learn(self, call: Call, conclusion: Conclusion, repeat: Observation | None) -> None:
        if repeat is None or repeat.error is not None or call.error is not None:
            return
        self.record.repeated(repeat.seconds)
        again = call.reduce(repeat.value) if call.reduce is not None else repeat.value
        self.noise.note(conclusion.differences, self.comparer.conclude(call.control, Observation(again), scoring=False).differences)
        if self._learns:
            self.approve(*(proposal.path for proposal in self.noise.proposals()))

    def conclude(self, call: Call, said: Outcome | Conclusion, candidate: float | None = None) -> bool:
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

    def _conclude(self, call: Call, said: Conclusion, candidate: float | None) -> None:
        outcome, differences, error, _, scored, failure = said
        self.record.note(said, call.seconds, candidate, call.endpoint)
        if outcome is not Outcome.CANCELLED_SHUTDOWN and self.breaker.note(_WEIGHT.get(outcome, 0)):
            paused = f"the candidate keeps failing ({outcome}): paused for {self.breaker.pause:g} s"
            say(f"dark launch {self.flag}", paused, cause="breaker")
        if failure is not None and outcome is Outcome.CANDIDATE_ERROR:
            say(f"dark launch {self.flag}", f"the candidate fails where the control does not: {failure}", cause=str(failure))
        client = self.gate.client
        if client is not None and client.bus.hears(Compared):
            paths = tuple(dict.fromkeys(difference.path for difference in differences))[:20]
            score = None if scored is None else scored.score
            client.bus.tell(Compared(self.flag, outcome.value, call.seconds, candidate, paths, error, score, self.candidate_name))
        self._teller.tell(call, outcome, candidate, differences, error, self._clock.now())

    def blocked_loop(self, steps: int, longest: float) -> None:
        """A coroutine candidate computed without yielding: no timeout notices that, so the breaker is told."""
        say(f"dark launch {self.flag}", f"the candidate held the event loop in {steps} steps; executor='thread' keeps it out", cause="loop")
        if longest > HARD_STEP and self.lane is self.engine.tasks:
            self.lane = self.engine.background
            moved = f"the candidate held the event loop for {longest:.1f} s in one step: from here on it runs in a thread of ours"
            say(f"dark launch {self.flag}", moved, cause="moved")
        for _ in range(min(steps, 3)):
            self.breaker.note(10)

    def stopped(self, where: str) -> None:
        """A candidate that did not come back was ended in its thread."""
        self.record.stopped.bump()
        say(f"dark launch {self.flag}", f"a candidate that did not come back was stopped at {where or 'an unknown place'}", cause="stopped")

    def unstoppable(self, call: Call, where: str) -> None:
        """One was told to end, and has not: it holds its thread until it comes back by itself."""
        if call.number not in self.record.unstoppable:
            self.record.unstoppable.add(call.number)
            held = f"it is at {where or 'an unknown place'}, in native code or where everything is caught"
            say(f"dark launch {self.flag}", f"a candidate that did not come back can't be stopped: {held}", cause="unstoppable")

    def grew(self, size: int) -> None:
        """The process has grown while the candidate ran: whoever's memory that is, there is none to spare for a shadow."""
        if self.breaker.trip():
            grown = f"the process grew by {size >> 20:,} MiB while the candidate ran: paused for {self.breaker.pause:g} s"
            say(f"dark launch {self.flag}", grown, cause="memory")

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
        return self.record.read(rate=self.rate.value, breaker=self.breaker.state)

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


_DISAGREEING = frozenset({Outcome.MISMATCH, Outcome.CONTROL_ERROR_MISMATCH, Outcome.CANDIDATE_ERROR})


def _as_it_is(run: Callable[..., Any], _deadline: float) -> Callable[..., Any]:
    return run


def _positive(name: str, seconds: float) -> float:
    if not (isinstance(seconds, (int, float)) and seconds > 0):
        raise ValueError(f"{name} is a positive number of seconds, not {quoted(seconds)}")
    return float(seconds)
