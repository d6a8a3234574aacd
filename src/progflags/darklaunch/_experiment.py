"""
Experiment: one dark launch, from admission to verdict.

The caller's side of a call is `gate.passes`, `admit`, and `returned` or `raised` on the Call; the shadow's side ends in
exactly one `conclude`. Whoever takes a call out of `flight` concludes it, so a candidate that comes back after it was
given up is not counted twice.
"""

from __future__ import annotations

import contextvars
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Unpack

from progflags._clock import SYSTEM, Clock
from progflags._fork import in_child
from progflags._trouble import say
from progflags.darklaunch import _exit
from progflags.darklaunch._call import Call
from progflags.darklaunch._commit import when_committed
from progflags.darklaunch._comparison import Difference
from progflags.darklaunch._conclude import Comparer, Conclusion
from progflags.darklaunch._engine import Engine, engine
from progflags.darklaunch._gate import Gate
from progflags.darklaunch._harm import HarmMonitor
from progflags.darklaunch._inflight import InFlight
from progflags.darklaunch._interrupt import is_delivered
from progflags.darklaunch._isolate import Isolator, NotIsolated
from progflags.darklaunch._lane import Here, Lane
from progflags.darklaunch._limits import Breaker, Rate
from progflags.darklaunch._mismatch import DarkLaunchMismatch
from progflags.darklaunch._noise import Noise, Proposal
from progflags.darklaunch._observation import Observation
from progflags.darklaunch._options import Options, check
from progflags.darklaunch._outcome import Outcome, Shed
from progflags.darklaunch._record import DarkLaunchStats, Record
from progflags.darklaunch._redact import Redactor, mute
from progflags.darklaunch._told import Teller
from progflags.darklaunch._verdict import DarkLaunchVerdict, judge
from progflags.darklaunch.shadow import Expired
from progflags.events import Compared

__all__ = ["Experiment"]


DEADLINE: Final = 1.0  # seconds a candidate may take unless told otherwise

#: How heavily an outcome weighs against a candidate. One that hangs holds a thread: five are as bad as fifty that fail.
_WEIGHT: Mapping[Outcome, int] = {Outcome.CANDIDATE_ERROR: 1, Outcome.COMPARE_ERROR: 1, Outcome.TIMEOUT: 10, Outcome.ABANDONED: 10}


class Experiment:
    """
    One dark launch. `price.dark_launch` is that of a decorated function, `middleware.dark_launch` that of a middleware.

    `lane` is where its shadows run; inline ones run before the caller gets its answer.
    """

    def __init__(self, flag: str, *, own_engine: Engine | None = None, **options: Unpack[Options]) -> None:
        if not isinstance(flag, str) or not flag:
            raise ValueError(f"a dark launch is named by its flag's key, not {flag!r}")
        check(options)
        executor, raises = options.get("executor", "auto"), options.get("raise_on_mismatch", False)
        client = options.get("flags")
        self.flag = flag
        self.name = ""  # the decorated function, as "module:qualname"
        self.executor = executor
        self.deadline = _positive("deadline", options.get("deadline", DEADLINE))
        self.slack = 0.0 if executor != "process" else 30.0  # what a lane may need before the candidate begins
        self.guards = tuple(options.get("guards", ()))
        self.engine = own_engine or engine()
        self.lane: Lane[Call] = Here()
        self.inline = executor == "inline" or raises
        self.raises = raises
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
        self.flight = InFlight(options.get("max_inflight", 4096), lambda call: self.conclude(call, Outcome.CANCELLED_SHUTDOWN))
        self._closed = False
        self._limits()
        in_child(self)
        _exit.remember(self)

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
        self.record.taken.bump()
        try:
            refused = None if self.inline else self._no_room()
            if refused is not None:
                self.record.shed(refused)
                return None
            given, size = self.isolator.given(args, kwargs)
            call = Call(self, candidate(), given, contextvars.copy_context(), size)
            if again is not None and self._aa_rate and random.random() < self._aa_rate:
                call.again = again
        except NotIsolated as refusal:
            self.record.shed(Shed.ISOLATION, str(refusal))
            say(f"dark launch {self.flag}", f"not shadowed: an argument holds {refusal}; see isolate= and share=", cause=str(refusal))
            return None
        except BaseException as error:
            if is_delivered(error):
                raise
            mute(f"dark launch {self.flag}", error)
            self.record.shed(Shed.HOOK)
            return None
        self.flight.add(call)
        return call

    def _no_room(self) -> Shed | None:
        if self._closed:
            return Shed.CLOSED
        if not self.breaker.allows():
            return Shed.BREAKER
        if self.rate.value < 1.0 and random.random() >= self.rate.value:
            return Shed.ADAPTIVE
        if self.harm.pausing():
            return Shed.PROBE
        full = Shed.INFLIGHT if self.flight.full else self.lane.room() or self.engine.room()
        self.rate.note(full is not None)
        return full

    def keep(self, value: Any) -> tuple[Any, int]:
        """What of the control's answer the shadow may read later, and its size. Raises NotIsolated, or what `reduce` raises."""
        if self.reduce is not None:
            value = self.reduce(value)
        return (value, 0) if self.inline else self.isolator.kept(value)

    def keep_item(self, value: Any) -> tuple[Any, int]:
        """As `keep`, for one item of a generator: its consumer may edit it long before the answer is whole."""
        return self.isolator.copied(value if self.reduce is None else self.reduce(value))

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
            refused = self.lane.submit(call)
        else:
            call.size, refused = 0, Shed.BYTES
        if refused is not None:
            self.drop(call, refused)

    def drop(self, call: Call, reason: Shed, culprit: str = "", *, quiet: bool = False) -> None:
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
            say(f"dark launch {self.flag}", f"not compared: the result holds {culprit}; see reduce= and isolate=", cause=culprit)

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
            self.conclude(call, Outcome.GUARD_BLOCKED, candidate.seconds, error=call.shadow.blocked[0])
            return
        if candidate.seconds > self.deadline or isinstance(candidate.error, Expired):
            self.conclude(call, Outcome.TIMEOUT, candidate.seconds)
            return
        if call.reduce is not None and candidate.error is None:
            candidate = Observation(call.reduce(candidate.value), None, candidate.seconds)
        sides = (candidate, call.control) if call.swapped else (call.control, candidate)
        conclusion = self.comparer.conclude(*sides)
        self._learn(call, conclusion, repeat or call.repeat())
        told = self.conclude(call, conclusion.outcome, candidate.seconds, conclusion.differences, conclusion.error)
        if told and self.raises and conclusion.outcome in _DISAGREEING:
            raise DarkLaunchMismatch(self.flag, conclusion.differences, f"{conclusion.outcome} {conclusion.error or ''}".strip())

    def _learn(self, call: Call, conclusion: Conclusion, repeat: Observation | None) -> None:
        if repeat is None or repeat.error is not None or call.error is not None:
            return
        self.record.repeated(repeat.seconds)
        again = call.reduce(repeat.value) if call.reduce is not None else repeat.value
        self.noise.note(conclusion.differences, self.comparer.conclude(call.control, Observation(again)).differences)
        if self._learns:
            self.approve(*(proposal.path for proposal in self.noise.proposals()))

    def conclude(
        self,
        call: Call,
        outcome: Outcome,
        candidate: float | None = None,
        differences: tuple[Difference, ...] = (),
        error: str | None = None,
    ) -> bool:
        """The end of a call: count it, tell it. False when it had ended already."""
        mark = self.flight.begin_end(call)
        if mark is None:
            return False
        try:
            self._release(call)
            self._conclude(call, outcome, candidate, differences, error)
        finally:
            self.flight.ended(mark)
        return True

    def _conclude(
        self, call: Call, outcome: Outcome, candidate: float | None, differences: tuple[Difference, ...], error: str | None
    ) -> None:
        self.record.note(outcome, call.seconds, candidate, differences, call.endpoint)
        if outcome is not Outcome.CANCELLED_SHUTDOWN and self.breaker.note(_WEIGHT.get(outcome, 0)):
            paused = f"the candidate keeps failing ({outcome}): paused for {self.breaker.pause:g} s"
            say(f"dark launch {self.flag}", paused, cause="breaker")
        client = self.gate.client
        if client is not None and client.bus.hears(Compared):
            paths = tuple(dict.fromkeys(difference.path for difference in differences))[:20]
            client.bus.tell(Compared(self.flag, outcome.value, call.seconds, candidate, paths, error))
        self._teller.tell(call, outcome, candidate, differences, error, self._clock.now())

    def blocked_loop(self, steps: int) -> None:
        """A coroutine candidate computed without yielding: no timeout notices that, so the breaker is told."""
        say(f"dark launch {self.flag}", f"the candidate held the event loop in {steps} steps; executor='thread' keeps it out", cause="loop")
        for _ in range(min(steps, 3)):
            self.breaker.note(10)

    # What it found.

    def stats(self) -> DarkLaunchStats:
        """Counts by outcome, durations of both sides, mismatches by path, so far in this process."""
        return self.record.read(rate=self.rate.value, breaker=self.breaker.state)

    def verdict(self, max_mismatch: float = 0.001, confidence: float = 0.95) -> DarkLaunchVerdict:
        """
        Whether the candidate differs in less than `max_mismatch` of the calls. Look as often as you like: it stays honest.

        A call counts against the candidate when it answers differently, fails where the control does not, or takes longer
        than its deadline.
        """
        bad, n = self.record.counts()
        return judge(bad, n, max_mismatch=max_mismatch, confidence=confidence, caveats=self._caveats(n))

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
            self.comparer = Comparer(
                (*old.rules, *added),
                old.compare,
                old.compare_errors,
                old.ignore_if,
                strict=old.strict,
                budget=old.budget,
                flag=old.flag,
                read=old.read,
            )

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


_DISAGREEING = frozenset({Outcome.MISMATCH, Outcome.CONTROL_ERROR_MISMATCH, Outcome.CANDIDATE_ERROR})


def _as_it_is(run: Callable[..., Any], _deadline: float) -> Callable[..., Any]:
    return run


def _positive(name: str, seconds: float) -> float:
    if not (isinstance(seconds, (int, float)) and seconds > 0):
        raise ValueError(f"{name} is a positive number of seconds, not {seconds!r}")
    return float(seconds)
