"""The verdict is honest however often one looks."""

import math
import random

import pytest

from progflags.darklaunch.record._verdict import _ABOVE, _BELOW, Safety, _wealth, judge

_BAR = math.log(20)


@pytest.mark.parametrize(("bad", "most"), [(0, 3_692), (1, 6_700), (2, 8_800), (5, 14_500)])
def test_a_good_candidate_is_found_safe_with_about_a_quarter_more_samples_than_one_look_would_need(bad, most):
    assert judge(bad, most).state is Safety.SAFE
    assert judge(bad, 3_000 if bad == 0 else 3_690).state is not Safety.SAFE


def test_needed_is_the_number_of_matching_calls_that_make_it_safe():
    for bad, n in ((0, 0), (0, 1_000), (3, 2_000)):
        needed = judge(bad, n).needed
        assert judge(bad, n + needed).state is Safety.SAFE
        assert judge(bad, n + needed - 1).state is not Safety.SAFE


def test_a_bad_candidate_is_found_unsafe_soon():
    assert judge(10, 100).state is Safety.UNSAFE
    assert judge(6, 300).state is Safety.UNSAFE
    assert judge(0, 0).state is Safety.UNDECIDED
    assert judge(0, 0).rate is None


def _ever(rate, state, looks, rng, p0=0.01):
    """Whether a history with this true rate ever shows this state, looked at after every call."""
    bad = 0
    for n in range(1, looks + 1):
        bad += rng.random() < rate
        # The inside of `judge`: its interval and `needed` would make this fifty times slower.
        if n % 5 == 0 and _wealth(bad, n, p0, _BELOW if state is Safety.SAFE else _ABOVE) >= _BAR:
            assert judge(bad, n, max_mismatch=p0).state is state
            return True
    return False


@pytest.mark.parametrize("state", [Safety.SAFE, Safety.UNSAFE])
def test_at_the_boundary_a_verdict_is_wrong_in_at_most_one_history_of_twenty(state):
    """True rate exactly p0, looked at all the way: either verdict may appear in 5 % of histories."""
    rng = random.Random(7)
    histories = 150
    wrong = sum(_ever(0.01, state, 1500, rng) for _ in range(histories))

    assert wrong <= histories * 0.05 + 3 * math.sqrt(histories * 0.05 * 0.95)


def test_five_times_the_bound_is_never_called_safe():
    rng = random.Random(1)
    assert not any(_ever(0.05, Safety.SAFE, 800, rng) for _ in range(60))


def test_the_interval_contains_the_rate_and_shrinks():
    wide, narrow = judge(5, 100).interval, judge(50, 1000).interval

    assert wide[0] < narrow[0] < 0.05 < narrow[1] < wide[1]
    assert judge(0, 100).interval[0] == 0.0
    assert judge(100, 100).interval[1] == 1.0


@pytest.mark.parametrize("wrong", [{"max_mismatch": 0}, {"max_mismatch": 1}, {"confidence": 1}, {"confidence": -1}])
def test_a_question_without_an_answer_is_refused(wrong):
    with pytest.raises(ValueError):
        judge(0, 1, **wrong)


def test_identical_code_is_found_safe_and_a_planted_bug_unsafe(flags, engine):
    """A/A through the whole machinery: no mismatch at all, and SAFE; one wrong answer in fifty: UNSAFE, named by its path."""
    from progflags.darklaunch import dark_launch

    def price(n):
        return {"total": n * 3, "lines": [n]}

    @dark_launch("on", candidate=price, flags=flags, executor="inline")
    def same(n):
        return price(n)

    @dark_launch("on", candidate=lambda n: price(n) | ({"total": 0} if n % 50 == 0 and n else {}), flags=flags, executor="inline")
    def buggy(n):
        return price(n)

    for n in range(4_000):
        same(n)
        buggy(n)

    assert same.dark_launch.verdict().state is Safety.SAFE
    assert same.dark_launch.stats().mismatches == {}
    assert buggy.dark_launch.verdict(max_mismatch=0.001).state is Safety.UNSAFE
    assert set(buggy.dark_launch.stats().mismatches) == {"$.total"}
