"""Absolute bounds: a thing the candidate's users must not meet, whoever the control's are; counted by users where they are known."""

from __future__ import annotations

import random

import pytest

from progflags.canary import Decision, Evidence, Gate, Recorder, judge
from progflags.events import Bus
from progflags.testing import ManualClock

GATES = [Gate("error_rate", max=0.01, policy="no_alarm"), Gate("p99_latency", max=0.5, policy="no_alarm")]


class Service:
    """A recorder and the evidence of what it counts, batch by batch."""

    def __init__(self, gates=GATES):
        self.clock = ManualClock()
        self.recorder = Recorder(Bus(), self.clock)
        self.evidence = Evidence.start(gates)
        self.before = None
        self.recorder.count("f", 1, gates)

    def serve(self, calls, arm="candidate", named=True):
        """`calls`: (unit, failed, seconds)."""
        for unit, failed, seconds in calls:
            self.recorder.record("f", arm=arm, error=failed, seconds=seconds, unit=f"{arm}{unit}" if named else None)

    def look(self):
        self.recorder.mark("f", 1, self.evidence.thresholds)
        now = self.recorder.window("f")
        self.evidence = self.evidence.add(now if self.before is None else now.minus(self.before), seconds=10.0)
        self.before = now
        self.clock.advance(10)
        return judge(self.evidence, baked=0, bake=0)


def batch(bad=(), each=1, of=400, failed=True, seconds=2.0):
    """One call of each of so many users, and `each` calls of the `bad` ones, all of which fail or are slow."""
    return [(unit, False, 0.1) for unit in range(of)] + [(f"bad{unit}", failed, seconds) for unit in bad for _ in range(each)]


def judged(calls, looks=12, **served):
    service = Service()
    for _ in range(looks):
        service.serve(calls, **served)
        service.serve(batch(), arm="control", **served)
        verdict = service.look()
    return service, verdict


@pytest.mark.parametrize(("failed", "seconds"), [(True, 0.1), (False, 2.0)])
def test_one_user_all_of_whose_calls_are_bad_does_not_break_a_bound(failed, seconds):
    """A tenth of all calls, twelve looks on: one witness. Of as many users it is beyond doubt at once, and so where nobody knows whose."""
    one, users = batch(bad=[1], each=40, failed=failed, seconds=seconds), batch(bad=range(40), failed=failed, seconds=seconds)

    service, verdict = judged(one)
    assert verdict.decision == Decision.PASS
    claim = service.evidence.claims[0 if failed else 1]
    assert service.evidence.design_effect(claim) > 100
    assert any("worth about 1 in" in note for note in verdict.notes)
    assert judged(users, looks=2)[1].decision == Decision.ROLLBACK
    assert judged(one, looks=2, named=False)[1].decision == Decision.ROLLBACK


def test_a_candidate_that_is_broken_for_everybody_is_beyond_its_bound_at_the_first_look():
    """Nothing scatters there, so nothing is divided."""
    assert judged([(unit, True, 0.1) for unit in range(30)], looks=1)[1].decision == Decision.ROLLBACK


def test_the_only_user_there_is_is_believed():
    """Of one user nobody can tell how others would fare; an absolute bound is the gate for that."""
    assert judged([("only", True, 0.1)] * 50, looks=1)[1].decision == Decision.ROLLBACK


@pytest.mark.parametrize(("named", "often"), [(True, False), (False, True)])
def test_users_that_fail_within_a_bound_break_it_no_more_often_than_alpha(named, often):
    """One in a hundred fails all of its calls, on the bound of 1 % exactly. Each call a witness of its own, it breaks for a third."""
    rng, broken, runs = random.Random(13), 0, 40
    for _ in range(runs):
        service = Service(GATES[:1])
        users = [rng.random() < 0.01 for _ in range(300)]
        for _ in range(6):
            service.serve([(unit, fails, None) for unit, fails in enumerate(users) for _ in range(3)], named=named)
            verdict = service.look()
        broken += verdict.decision == Decision.ROLLBACK
    assert (broken > runs * 0.05 + 3 * (runs * 0.05 * 0.95) ** 0.5) == often


def test_counts_per_exposure_may_be_more_than_one_for_each():
    """Thirty crashes in a day are within two an hour, a hundred are not; as shares they would be impossible."""
    from progflags.canary import CanaryAnalyzer, CanaryConfig, Rate

    for method in ("sequential", "fixed"):
        analyzer = CanaryAnalyzer(CanaryConfig([Gate("crashes", kind="count", max=2.0, policy="no_alarm")], method=method))
        found = [analyzer.analyze({"crashes": Rate(30, exposure=24.0)}, {"crashes": Rate(n, exposure=24.0)}) for n in (30, 100)]
        assert [report.decision for report in found] == [Decision.PASS, Decision.ROLLBACK]
