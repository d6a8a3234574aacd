"""A moment's reading of what experiments have seen, for people and programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from progflags.darklaunch.record._latency import Durations, Latency
from progflags.darklaunch.record._outcome import Outcome
from progflags.darklaunch.record._record import Record

__all__ = ["DarkLaunchStats", "reading"]


@dataclass(frozen=True, slots=True)
class DarkLaunchStats:
    """
    A moment's reading. `sum(outcomes.values()) == calls` once nothing is pending (after a drain).

    `outcomes` has all the names of Outcome, `shed` the reasons that occurred; `control` and `candidate` are durations
    of shadowed calls, `waited` how long shadows waited for their turn, `repeat` those of control runs repeated where the
    candidate runs (the fair one to compare with).
    `failures`: what the candidate raised and where ("ValueError at search.py:41"); `not_isolated`: classes that have no copy.
    `stopped`: candidates ended by `stop_runaways`; each has been counted as abandoned before. `unstoppable`: those it could not
    end so far, for they are in native code, or catch everything: each holds a thread until it comes back by itself.
    `mismatches`: calls by the path that differed, `$` being the whole value.

        stats = price.dark_launch.stats()
        stats.calls, stats.outcomes["match"], stats.outcomes["mismatch"]
        stats.mismatches, stats.failures, stats.candidate.p95   # where, what was raised, seconds
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
    failures: dict[str, int] = field(default_factory=dict)
    waited: Latency = field(default=Latency(0, None, None, None))
    stopped: int = 0
    unstoppable: int = 0


def reading(records: Sequence[Record], *, rate: float, breaker: str) -> DarkLaunchStats:
    """Of one record, or of several together."""
    counted = Counter[str]()
    for one in records:
        counted.update(one.shed_so_far)
    shed = dict(counted)
    off, not_sampled = (sum(getattr(one, name).read() for one in records) for name in ("off", "not_sampled"))
    ended = {outcome.value: sum(one._ended[outcome].read() for one in records) for outcome in Outcome}
    ended |= {"off": off, "not_sampled": not_sampled, "shed": sum(shed.values())}
    control, candidate, repeat, waited = Durations(), Durations(), Durations(), Durations()
    mismatches, not_isolated, failures = Counter[str](), Counter[str](), Counter[str]()
    for one in records:
        with one._lock:
            control.merge(one._control)
            candidate.merge(one._candidate)
            repeat.merge(one._repeat)
            waited.merge(one._waited)
            mismatches.update(one._causes.by_path)
            not_isolated.update(one._not_isolated)
            failures.update(one._failures.counts())
    return DarkLaunchStats(
        calls=off + not_sampled + sum(one.taken.read() for one in records),
        outcomes=ended,
        shed=shed,
        control=control.read(),
        candidate=candidate.read(),
        mismatches=dict(mismatches),
        repeat=repeat.read(),
        waited=waited.read(),
        rate=rate,
        breaker=breaker,
        not_isolated=dict(not_isolated),
        failures=dict(failures),
        stopped=sum(one.stopped.read() for one in records),
        unstoppable=sum(len(one.unstoppable) for one in records),
    )
