"""One replicate through the public interface: a connected client, a clock by hand, its recorder, its rollout, a tick a minute."""

from __future__ import annotations

from itertools import count
from zlib import crc32

import progflags as pf
from progflags.testing import ManualClock

FLAG, GROUPS = "f", 64
ENDS = {"watching", "completed", "rolled_back"}  # of a climb


def _units():
    """A user of each group."""
    found: dict[int, bytes] = {}
    numbers = count()
    while len(found) < GROUPS:
        name = b"user-%d" % next(numbers)
        found.setdefault(crc32(name) % GROUPS, name)
    return [found[group] for group in range(GROUPS)]


UNITS = _units()


def rollout(null, *, up, alpha, look=True):
    """A stage of an hour with one gate on the metric; nothing but the judge rolls back."""
    bound = {"max_increase": round(null - 1, 6)} if up else {"max_decrease": round(1 - null, 6)}
    stage = {"percent": 50, "bake": "60m", "min_samples": 1, "gates": [{"metric": "error_rate", **bound, "policy": "no_alarm"}]}
    plan = {"stages": [stage], "alpha": alpha, "look": look, "brake": False, "batch": "60s", "watch": "0s", "remember": False}
    return {"flags": {FLAG: {"rollout": plan}}}


def minute_of(counts, row, null=1.0, *, up=True, alpha=0.05, look=True):
    """The minute at which replicate `row` of (x_c, n_c, x_b, n_b) is rolled back, 0: it isn't."""
    clock, minutes = ManualClock(wall=1_800_000_000.0), counts[0].shape[1]
    with pf.connect(rollout(null, up=up, alpha=alpha, look=look), clock=clock) as flags:
        flags.rollouts.start(FLAG)
        for minute in range(minutes):
            for arm, (x, n) in (("candidate", counts[:2]), ("control", counts[2:])):
                _record(flags, arm, x[row, minute].tolist(), n[row, minute].tolist())
            clock.advance(60)
            ended = ENDS & {str(step.target) for step in flags.rollouts.tick()}
            if ended:
                return minute + 1 if "rolled_back" in ended else 0
    return 0


def _record(flags, arm, events, trials):
    for unit, x, n in zip(UNITS, events, trials, strict=True):
        if x:
            flags.metrics.record(FLAG, arm=arm, error=True, n=x, unit=unit)
        if n > x:
            flags.metrics.record(FLAG, arm=arm, error=False, n=n - x, unit=unit)
