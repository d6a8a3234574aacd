"""What can't be counted as it is: a request that never returned is the slowest of all, and what is no number is dropped and told."""

from __future__ import annotations

import math

import pytest

from progflags.canary import CanaryAnalyzer, Decision, Evidence, Gate, Recorder, judge
from progflags.events import Bus
from progflags.testing import ManualClock

P99 = Gate("p99_latency", max_increase=0.1)


@pytest.fixture
def recorder():
    recorder = Recorder(Bus(), ManualClock())
    recorder.count("f", 1, [P99])
    return recorder


def bake(recorder, endless, batches=12, n=1000):
    """A rollout's verdict, on batches of which so many of the candidate's calls never return."""
    evidence, before = Evidence.start([P99]), None
    for batch in range(batches):
        for number in range(n):
            unit = f"u{batch * n + number}"
            recorder.record("f", arm="control", seconds=0.1, error=False, unit=unit)
            recorder.record("f", arm="candidate", seconds=math.inf if number < endless else 0.1, error=False, unit=f"c{unit}")
        window = recorder.window("f")
        evidence, before = evidence.add(window if before is None else window.minus(before)), window
        recorder.mark("f", 1, evidence.thresholds)
    return judge(evidence, baked=900.0, bake=900.0)


def test_a_rollout_counts_what_never_returned_as_the_slowest(recorder):
    """Three calls in a hundred that never return break a p99 gate, as they do in the analyzer; they were left out of it before."""
    live = bake(recorder, endless=30)
    offline = CanaryAnalyzer([P99]).analyze({"latency": [0.1] * 12_000}, {"latency": [0.1] * 11_640 + [math.inf] * 360})

    assert live.decision == offline.decision == Decision.ROLLBACK
    assert live.findings[0].n_canary == 12_000
    assert "p99_latency is without end against" in live.reason
    assert not any("dropped" in note for note in live.notes)


def test_what_was_dropped_stands_in_the_verdicts_notes(recorder):
    """NaN, a negative duration and a boolean: three of the candidate's values, which the status shows; nobody else's."""
    for nonsense in (math.nan, -0.1, True):
        recorder.record("f", arm="candidate", seconds=nonsense, error=False)

    told = [note for note in bake(recorder, endless=0).notes if "dropped" in note]

    assert told == ["3 of the candidate's values were dropped: none is a number it can have"]


@pytest.mark.parametrize("arm", ["control", "candidate"])
def test_where_too_much_was_dropped_the_rest_proves_nothing(recorder, arm):
    """Three in a hundred never return, which rolls back while less than one in a hundred was dropped; not once it is more, on either side."""
    for _ in range(100):
        recorder.record("f", arm=arm, seconds=math.nan, error=False)
    assert bake(recorder, endless=30).decision == Decision.ROLLBACK
    for _ in range(300):
        recorder.record("f", arm=arm, seconds=math.nan, error=False)

    verdict = bake(recorder, endless=30)

    assert (verdict.decision, verdict.findings[0].decision) == (Decision.HOLD, Decision.HOLD)
    assert "observations were dropped, more than 1 %, and what is left proves nothing" in verdict.reason


def test_a_counter_grows_by_the_programs_clock():
    """Fifty more within ten seconds of the clock that was given to the program are five a second, however long the test took."""
    clock, values = ManualClock(), iter([1e6, 1e6 + 50])
    recorder = Recorder(Bus(), clock)
    recorder.count("f", 1)
    recorder.source("sent", lambda: next(values), kind="counter")
    assert not recorder.window("f").gauges["sent"].n

    clock.advance(10.0)

    assert recorder.window("f").gauges["sent"].mean == pytest.approx(5.0)
    recorder.close()
