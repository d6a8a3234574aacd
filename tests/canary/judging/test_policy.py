"""What lets a gate pass: what matters relatively or absolutely, and asked when it is due rather than at the luckiest look."""

from __future__ import annotations

import numpy as np
import pytest
from tests.support.windows import arm, window

from progflags.canary import Decision, Evidence, Gate, asked, judge

ERRORS = Gate("error_rate", max_increase=0.25, min_absolute=0.001)


def judged(gate, *batches, **how):
    evidence = Evidence.start([gate])
    for batch in batches:
        evidence = evidence.add(batch)
    return judge(evidence, baked=len(batches), bake=1, **how)


def test_a_service_without_errors_passes_once_what_matters_would_have_been_seen():
    """0.1 points more than nothing: seven errors among seven thousand would have been told, two among two thousand not."""
    assert judged(ERRORS, *[window(arm(2000), arm(200))] * 10).decision == Decision.HOLD
    assert judged(ERRORS, *[window(arm(20_000), arm(1000))] * 10).decision == Decision.PASS


def test_the_larger_of_both_is_asked_for():
    """At 1 % a doubling is one point: a tenth of a point more asks for nothing. At 0.01 % it is the other way round."""
    often = [window(arm(1000, 10), arm(1000, 10))] * 10
    rarely = [window(arm(10_000, 1), arm(1000, 0))] * 10

    assert judged(ERRORS, *often).decision == judged(Gate("error_rate", max_increase=0.25), *often).decision == Decision.PASS
    assert judged(ERRORS, *rarely).decision == Decision.PASS
    assert judged(Gate("error_rate", max_increase=0.25), *rarely).decision == Decision.HOLD


def test_the_reason_names_the_points_that_matter():
    verdict = judged(ERRORS, *[window(arm(2000), arm(200))] * 10)

    assert "a rise of 0.1 points would not yet have been caught" in verdict.reason
    assert verdict.eta


def test_an_estimate_may_lie_beyond_by_what_is_too_small_to_matter_and_no_further():
    """Control 0.1 %: +25 % tolerated, and up to half a point; not both together."""
    gate = Gate("error_rate", max_increase=0.25, min_absolute=0.005, policy="observed")
    inside, beyond = (window(arm(2000, 40, users=64), arm(2000, errors, users=64)) for errors in (49, 54))

    assert judged(gate, inside).decision == Decision.PASS
    assert judged(gate, beyond).decision == Decision.HOLD


@pytest.mark.parametrize(("requests", "decision"), [(1_000, Decision.HOLD), (6_000, Decision.PASS)])
def test_proof_of_less_than_what_matters_needs_no_error_at_all(requests, decision):
    """0.1 %: refuted by some five thousand clean requests, however clean the control."""
    gate = Gate("error_rate", max_increase=0.25, min_absolute=0.001, policy="proven")

    assert judged(gate, *[window(arm(requests, users=64), arm(requests, users=64))]).decision == decision


@pytest.mark.parametrize("least", [0.0, 0.1])
def test_means_and_quantiles_know_what_is_too_small_too(least):
    """A tenth of a second matters, a median that moves from 10 to 20 ms does not."""
    gate = Gate("p50_latency", max_increase=0.1, policy="observed", min_absolute=least)
    slow = window(arm(300, latencies=[0.010] * 300), arm(300, latencies=[0.020] * 300))

    assert judged(gate, slow).decision == (Decision.PASS if least else Decision.HOLD)


def test_what_is_asked_is_asked_when_the_bake_ends_and_after_each_quarter_more():
    looks = [seconds for seconds in range(1, 400) if asked(seconds - 1, seconds, 100)]

    assert looks == [*range(1, 101), 125, 157, 196, 245, 306, 382]
    assert asked(0, 5, 0)  # no bake: at every look


def test_who_is_beyond_at_the_end_of_the_bake_is_told_when_it_is_asked_again():
    beyond = window(arm(500, 5, users=64), arm(500, 8, users=64))
    verdict = judged(Gate("error_rate", max_increase=0.25, policy="observed"), beyond)

    assert (verdict.decision, verdict.eta) == (Decision.HOLD, pytest.approx(0.25))


def test_looking_often_buys_no_pass():
    """Errors doubled at little traffic: of looks at every moment the luckiest would pass most of them, of planned ones few do."""
    chance = np.random.default_rng(20261128)
    gate = Gate("error_rate", max_increase=0.25, policy="observed")
    passed = {"planned": 0, "always": 0}
    for _ in range(60):
        evidence, found, stopped = Evidence.start([gate]), set(), False
        for look in range(1, 121):
            x_b, x_c = chance.poisson(18.0), chance.poisson(3.0)
            evidence = evidence.add(window(arm(1200, int(x_b)), arm(100, int(x_c))))
            if look < 20 or stopped:
                continue
            verdict = judge(evidence, baked=look, bake=20)
            stopped = verdict.decision == Decision.ROLLBACK
            found |= {"always"} if verdict.decision == Decision.PASS else set()
            found |= {"planned"} if verdict.decision == Decision.PASS and asked(look - 1, look, 20) else set()
            if "planned" in found:
                break
        for kind in found:
            passed[kind] += 1

    assert passed["planned"] <= 12
    assert passed["always"] >= 1.5 * passed["planned"]


# -- an alarm about what is too little to matter ------------------------------------------------------------------------


def many(control, candidate, n=1_000_000):
    """Errors in a million calls on each side, spread over the groups."""
    return window(arm(n, control, users=64), arm(n, candidate, users=64))


def test_an_alarm_about_too_little_to_matter_is_no_proof_that_nothing_matters():
    """0.5 points matter, and 0.49 more than the control's 0.5 % are found: hardly by chance, and what is true may be 0.52."""
    errors = {"max_increase": 0.25, "min_absolute": 0.005}
    near = many(100, 198, n=20_000)
    observed, proven = (judged(Gate("error_rate", policy=policy, **errors), near) for policy in ("observed", "proven"))

    assert (observed.decision, proven.decision) == (Decision.PASS, Decision.HOLD)
    assert observed.findings[0].evidence_max >= observed.findings[0].threshold  # it is an alarm
    assert observed.reason.endswith("less than 0.5 points apart, too little to matter")
    assert "not yet ruled out: a rise to ×2" in proven.reason


def test_an_alarm_about_too_little_to_matter_passes_when_it_is_asked_and_no_sooner():
    gate = Gate("error_rate", max_increase=0.25, min_absolute=0.005, policy="observed")

    assert judged(gate, many(100, 198, n=20_000), asking=False).decision == Decision.HOLD


def test_a_proven_gate_passes_what_is_worse_by_far_less_than_what_matters_however_surely_it_is_worse():
    gate = Gate("error_rate", max_increase=0.25, min_absolute=0.005, policy="proven")
    verdict = judged(gate, many(5_000, 7_000))

    assert verdict.decision == Decision.PASS
    assert verdict.findings[0].proven
