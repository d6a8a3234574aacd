"""A dark launch's scores in a gate: answers that are close let the rollout go on, answers that are not take it back."""

from __future__ import annotations

import pytest

import progflags as pf
from progflags.testing import ManualClock

GATE = {"metric": "shadow_score", "min": 0.9}
DOCUMENT = {"flags": {"f": {"rollout": {"watch": "0s", "stages": [{"percent": 50, "bake": "10m", "gates": [GATE]}]}}}}


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [(97, "completed", "shadow_score is 0.97"), (50, "rolled_back", "shadow_score is 0.5 where at least 0.9")],
)
def test_the_score_of_a_dark_launch_decides_a_gate(answer, state, words):
    clock = ManualClock()
    with pf.connect(DOCUMENT, clock=clock) as flags:

        @pf.dark_launch(
            "f", candidate=lambda unit: answer, key=lambda unit: unit, score=pf.score.relative_error(), flags=flags, executor="inline"
        )
        def price(unit):
            return 100

        flags.rollouts.start("f")
        for step in range(70):
            for arm in ("control", "candidate"):
                flags.metrics.record("f", arm=arm, seconds=0.1, error=False, n=50)
            for n in range(40):  # half of them are inside the share, and shadowed
                price(f"user-{step}-{n}")
            clock.advance(10)
            flags.rollouts.tick()

        status = flags.rollouts.status("f")
        assert status.state == state
        assert words in str(status)


def test_a_score_without_a_gate_or_a_flag_that_is_counted_is_nothing():
    with pf.connect({"flags": {"f": {"percent": 100}}}, poll=None) as flags:

        @pf.dark_launch("f", candidate=lambda: 1, score=lambda a, b: -7.0, flags=flags, executor="inline")
        def price():
            return 100

        assert price() == 100
        assert price.dark_launch.record.scores.mean == -7.0
