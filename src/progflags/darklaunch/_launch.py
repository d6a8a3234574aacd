"""Launch: what one dark launch is made of, and what is said of it. What is done with it stands in the files above."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from progflags._clock import SYSTEM, Clock
from progflags._names import must_be_named
from progflags._printed import quoted
from progflags._trouble import say
from progflags.darklaunch._gate import Gate
from progflags.darklaunch._options import Options, check
from progflags.darklaunch.compare import DarkLaunchMismatch, Isolator, Noise
from progflags.darklaunch.lanes import Breaker, Engine, HarmMonitor, Here, Lane, Rate, engine
from progflags.darklaunch.record import Comparer, Record, Redactor

__all__ = ["Launch"]

DEADLINE: Final = 1.0  # seconds a candidate may take unless told otherwise
HARD_STEP: Final = 0.25  # seconds in one step of a coroutine after which it may not be in the application's loop
_FOR_A_PROCESS: Final = 30.0  # seconds that a child may need before the candidate begins


class Launch:
    """
    Its options as parts: who is asked, how sides are isolated and compared, what is counted, what limits it.

    `lane` is where its shadows run; inline ones run before the caller gets its answer.
    """

    def __init__(self, flag: str, options: Options, own_engine: Engine | None) -> None:
        must_be_named(flag, "a dark launch's flag")
        check(options)
        client = options.get("flags")
        self.flag = flag
        self.name = ""  # the decorated function, as "module:qualname"
        self.candidate_name = ""  # which one of several this is about
        self.guards = tuple(options.get("guards", ()))
        self.isolator = Isolator(options.get("isolate", "auto"), options.get("share", ()))
        self.reduce = options.get("reduce")
        self.captures = options.get("capture", False)  # a call's arguments are told as well
        self._aa_rate = options.get("aa_rate", 0.0)
        self._learns = options.get("learn", "propose") == "apply"
        self._clock: Clock = SYSTEM if client is None else client.clock
        self.record = Record(Redactor(options.get("reveal", ()), options.get("redact", ())), self._clock)
        self.comparer = _comparer(flag, options)
        self.gate = self._gate(options)
        self._count_turned_away()
        self.noise = Noise()
        self._runs(options, own_engine or engine())
        self._limits()

    def _runs(self, options: Options, own: Engine) -> None:
        """Where, for how long, and what ends it."""
        executor, self.raises = options.get("executor", "auto"), options.get("raise_on_mismatch", False)
        self.executor = executor
        self.engine = own
        self.lane: Lane[Any] = Here()
        self.inline = executor == "inline" or self.raises
        self.stops = options.get("stop_runaways", False) and not self.inline
        self.runner: Callable[[Callable[..., Any], float], Callable[..., Any]] = _as_it_is
        self.deadline = _positive("deadline", options.get("deadline", DEADLINE))
        self.slack = 0.0 if executor != "process" else _FOR_A_PROCESS

    def _gate(self, options: Options) -> Gate:
        return Gate(
            self.flag, options.get("flags"), key=options.get("key"), sample=options.get("sample", 1.0), run_if=options.get("run_if")
        )

    def _count_turned_away(self) -> None:
        self.gate.off, self.gate.not_sampled = self.record.off.bump, self.record.not_sampled.bump

    def _limits(self) -> None:
        self.breaker = Breaker(self._clock)
        self.rate = Rate(self._clock)
        self.harm = HarmMonitor(time.monotonic, lambda: self.engine.cpu.spent)

    def after_fork(self) -> None:
        """A child counts its own calls; its parent's shadows are its parent's."""
        self.record.clear()
        self._count_turned_away()
        self.noise.clear()
        self._limits()

    def is_ours(self, error: BaseException) -> bool:
        """Whether the caller asked for this exception by `raise_on_mismatch`."""
        return self.raises and isinstance(error, DarkLaunchMismatch)

    # What is noticed of its candidate besides what it answers.

    def blocked_loop(self, steps: int, longest: float) -> None:
        """A coroutine candidate computed without yielding: no timeout notices that, so the breaker is told."""
        self._say(f"the candidate held the event loop in {steps} steps; executor='thread' keeps it out", "loop")
        if longest > HARD_STEP and self.lane is self.engine.tasks:
            self.lane = self.engine.background
            moved = f"the candidate held the event loop for {longest:.1f} s in one step: from here on it runs in a thread of ours"
            self._say(moved, "moved")
        for _ in range(min(steps, 3)):
            self.breaker.note(10)

    def stopped(self, where: str) -> None:
        """A candidate that did not come back was ended in its thread."""
        self.record.stopped.bump()
        self._say(f"a candidate that did not come back was stopped at {where or 'an unknown place'}", "stopped")

    def grew(self, size: int) -> None:
        """The process has grown while the candidate ran: whoever's memory that is, there is none to spare for a shadow."""
        if self.breaker.trip():
            grown = f"the process grew by {size >> 20:,} MiB while the candidate ran: paused for {self.breaker.pause:g} s"
            self._say(grown, "memory")

    def _say(self, what: str, cause: str) -> None:
        say(f"dark launch {self.flag}", what, cause=cause)


def _comparer(flag: str, options: Options) -> Comparer:
    return Comparer(
        tuple(options.get("rules", ())),
        options.get("compare"),
        options.get("compare_errors"),
        options.get("ignore_if"),
        strict=options.get("strict_types", True),
        flag=flag,
        score=options.get("score"),
    )


def _as_it_is(run: Callable[..., Any], _deadline: float) -> Callable[..., Any]:
    return run


def _positive(name: str, seconds: float) -> float:
    if not (isinstance(seconds, (int, float)) and seconds > 0):
        raise ValueError(f"{name} is a positive number of seconds, not {quoted(seconds)}")
    return float(seconds)
