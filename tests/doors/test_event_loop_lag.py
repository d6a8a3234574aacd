"""The loop's lateness is a gauge that a rollout can be gated on."""

import asyncio
import time

import pytest

import progflags as pf
from progflags.asgi import FlagsMiddleware
from progflags.asgi._lag import LoopLag
from progflags.testing import ManualClock

GATED = {
    "flags": {
        "x": {
            "rollout": {
                "stages": [{"percent": 10, "bake": "1m", "gates": [{"metric": "event_loop_lag", "max": 0.1, "policy": "no_alarm"}]}]
            }
        }
    }
}


async def ok(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def ask(app):
    async def nothing(*_):
        return {"type": "http.request"}

    await app({"type": "http", "headers": []}, nothing, nothing)


def test_a_loop_that_is_held_is_late_by_as_long():
    """Somebody blocks the loop for half a second: that much, and not more, is read; and once."""

    async def hold():
        lag = LoopLag()
        assert lag.read() is None
        lag.meet()
        time.sleep(0.75)  # the beat was due after a quarter of a second
        await asyncio.sleep(0.01)
        return lag.read(), lag.read()

    late, then = asyncio.run(hold())

    assert late >= 0.5
    assert then == 0.0


def test_the_middleware_makes_it_a_metric_where_a_rollout_is_defined():
    with pf.connect(GATED, clock=ManualClock()) as flags:
        flags.rollouts.start("x")
        asyncio.run(ask(FlagsMiddleware(ok, flags=flags)))

        assert flags.metrics.window("x").gauges["event_loop_lag"] is not None


def test_a_program_that_only_evaluates_is_left_alone():
    with pf.connect({"flags": {"x": {"percent": 50}}}, poll=None) as flags:
        asyncio.run(ask(FlagsMiddleware(ok, flags=flags)))

        assert not flags.delivers


@pytest.mark.parametrize(("late", "percent"), [(0.01, 100.0), (0.5, 0.0)])
def test_a_late_loop_fails_its_gate(late, percent):
    """`max = 0.1`: a loop that is always half a second late rolls the candidate back, one that is on time lets it pass."""
    clock = ManualClock()
    with pf.connect(GATED, clock=clock) as flags:
        flags.rollouts.start("x")
        flags.metrics.source("event_loop_lag", lambda: late)
        for _ in range(12):
            flags.metrics.record("x", arm="control", seconds=0.01, error=False, n=90)
            flags.metrics.record("x", arm="candidate", seconds=0.01, error=False, n=10)
            clock.advance("10s")
            flags.rollouts.tick()

        assert flags.rollouts.status("x").percent == percent
