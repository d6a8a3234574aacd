"""Planning: what a stage can see is known before it starts."""

from __future__ import annotations

import math

import pytest

from progflags.canary import Gate
from progflags.canary.judging._planning import prospects, requests_to_detect, requests_to_prove, smallest_detectable


@pytest.mark.parametrize(
    ("rate", "factor", "share", "fixed"),
    [
        (0.001, 2, 0.5, 25_900),
        (0.001, 2, 0.01, 8_800),
        (0.001, 10, 0.5, 1_390),
        (0.001, 10, 0.01, 140),
        (0.01, 2, 0.5, 2_560),
        (0.01, 2, 0.01, 865),
    ],
)
def test_requests_are_the_published_ones_times_what_looking_costs(rate, factor, share, fixed):
    """One-look numbers for 80 % power margin 10 %; looking all the time costs up to 3.5 times that, and where a handful of events decides, five times."""
    needed = requests_to_detect(rate, factor, share=share, tolerated=0.1)

    assert fixed <= needed <= 5.2 * fixed


def test_a_proof_of_a_tenth_of_a_percent_takes_4519_clean_requests():
    """And five to seven times as many at half of the limit."""
    assert requests_to_prove(0.001) == 4519
    assert 23_000 <= requests_to_prove(0.001, 0.0005) <= 32_000
    assert math.isinf(requests_to_prove(0.001, 0.002))


def test_one_percent_of_ten_requests_a_second_sees_almost_nothing_in_a_quarter_of_an_hour():
    """Ninety requests of a service that fails one in a thousand."""
    seen = smallest_detectable(90, 0.001, share=0.01, tolerated=0.1)

    assert seen is not None
    assert 10 < seen < 45
    assert smallest_detectable(5, 0.001, share=0.01, tolerated=0.1) is None


def test_more_traffic_sees_less_and_less():
    """Monotone."""
    factors = [smallest_detectable(n, 0.01, share=0.1) for n in (300, 1000, 10_000, 100_000)]

    assert factors == sorted(factors, reverse=True)
    assert factors[-1] < 1.4


def test_a_stage_is_warned_about_gates_it_can_not_decide():
    """In one sentence, with what it would take."""
    gates = (
        Gate("error_rate", max_increase=0.1, max=0.001),
        Gate("p99_latency", max_increase=0.1),
        Gate("*", anomaly=False),
        Gate("cpu", max=0.8),
    )

    little = prospects(gates, 90, share=0.01, rate=0.001)
    much = prospects(gates, 1e7, share=0.5, rate=0.001)

    assert [p.decidable for p in little] == [False, False, False]
    assert all(p.decidable for p in much)
    assert "takes" in little[1].text
    assert little[0].to_dict()["needs"] > 90


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": 0, "factor": 2},
        {"rate": 0.1, "factor": 1.0},
        {"rate": 0.1, "factor": 2, "share": 1.0},
        {"rate": 0.1, "factor": 1.05, "tolerated": 0.1},
    ],
)
def test_impossible_questions_are_refused(wrong):
    """A rate of zero has no double."""
    with pytest.raises(ValueError):
        requests_to_detect(**wrong)
