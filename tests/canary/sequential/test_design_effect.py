"""Users, not requests: counts by group, what a request is worth, the evidence that is always open, and the looks that were planned."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import betainc

from progflags.canary.counting._groups import GROUPS, added, column, from_text, group_of, sound, taken, to_text
from progflags.canary.sequential._design_effect import NO_STRATA, Shocks, Strata, Stratum, residuals
from progflags.canary.sequential._exact import beta
from progflags.canary.sequential._open import mixture, reaches
from progflags.canary.sequential._planned import bounds, mid_p, standard, z_of
from support.windows import poisson

# -- groups of users --------------------------------------------------------------------------------------------------------

columns = st.dictionaries(st.sampled_from(["n", "x", "spent~"]), st.lists(st.integers(0, 2**40), min_size=3, max_size=3).map(tuple))


@settings(max_examples=60, deadline=None)
@given(columns, columns, columns)
def test_columns_add_in_any_order_and_give_back_what_was_added(one, two, three):
    """However workers are merged, the sum is the same; a window minus an earlier one is what came since."""
    assert added(added(one, two), three) == added(one, added(three, two))
    assert {k: v for k, v in taken(added(one, two), two).items() if any(v)} == {k: v for k, v in one.items() if any(v)}


def test_a_subtraction_below_zero_is_noticed_in_counts_and_not_in_sums():
    """A vanished worker makes negative counts; a sum of values may fall by itself."""
    assert not sound(taken({"n": (1, 2)}, {"n": (1, 3)}))
    assert sound(taken({"spent~": (1, 2)}, {"spent~": (1, 3)}))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(2**80), 2**80), max_size=GROUPS))
def test_a_column_survives_being_written(counts):
    """Every number, of any size and sign."""
    assert from_text(to_text(tuple(counts))) == tuple(counts)


def test_half_a_column_is_refused():
    """Rather than read as another one."""
    for broken in (to_text(tuple(range(1, 400, 7)))[:-2], "3 0 AAAA", "2 0", "q", "s 64 3:"):
        with pytest.raises(ValueError):
            from_text(broken)


def test_columns_of_exposure_keep_their_fractions():
    """Counts per hour have hours that are no whole numbers."""
    assert from_text(to_text((0.5, 24.0, 3, 1e30))) == (0.5, 24.0, 3, 1e30)


def test_users_are_spread_evenly_over_groups():
    """Ten thousand ids of the usual kind: no group has a third more or less than its share."""
    for made in (lambda i: b"%d" % i, lambda i: b"user-%06d" % i, lambda i: b"%x" % (i * 2654435761)):
        counts = column((group_of(made(i)), 1) for i in range(10_000))
        assert sum(counts) == 10_000
        assert 0.67 * 10_000 / GROUPS < min(counts) <= max(counts) < 1.33 * 10_000 / GROUPS


# -- what a request is worth --------------------------------------------------------------------------------------------------


def arm(rng, users, *, rate, each=5, burst=1):
    """(trials, events) by group: users make `each` requests and fail in bursts."""
    trials, events = [0] * GROUPS, [0] * GROUPS
    for _ in range(users):
        group = rng.randrange(GROUPS)
        trials[group] += each * burst
        events[group] += burst * poisson(rng, each * rate)
    return trials, events


def strata(candidate, control, shocks=Shocks()):  # noqa: B008 - frozen
    (n_c, x_c), (n_b, x_b) = candidate, control
    row = Stratum((sum(x_c), sum(n_c), sum(x_b), sum(n_b)), shocks)
    return NO_STRATA.close(row, (x_c, n_c, x_b, n_b))


def test_residuals_are_the_jackknifes():
    """A group's residual is how far the arm's events would be from its rate without the group: computed the long way round."""
    rng = random.Random(1)
    trials = [rng.randrange(1, 400) for _ in range(GROUPS)]
    events = [rng.randrange(0, n + 1) for n in trials]
    n, x = sum(trials), sum(events)

    long_way = [e - (x - e) / (n - t) * t for t, e in zip(trials, events, strict=True)]

    assert residuals(trials, events) == pytest.approx(long_way)


@pytest.mark.parametrize("burst", [1, 3, 10])
def test_bursts_of_k_are_worth_one_in_k(burst):
    """Errors in bursts of k have a design effect of k, give or take the noise of sixty-four groups."""
    rng = random.Random(burst)
    found = [strata(arm(rng, 1500, rate=0.05, burst=burst), arm(rng, 1500, rate=0.05, burst=burst)).effects[2] for _ in range(20)]

    assert math.fsum(found) / 20 == pytest.approx(burst, rel=0.12)


def test_one_effect_for_both_arms_the_most_that_is_seen():
    """A control without errors does not make the candidate's burst count more; a fall asks the control as well."""
    rng = random.Random(4)
    quiet, bursting = ([100] * GROUPS, [0] * GROUPS), arm(rng, 500, rate=0.05, burst=8)

    up, mirrored = strata(bursting, quiet), strata(quiet, bursting)

    assert up.effect(strict=False) == up.effects[0] > 4
    assert mirrored.effects[0] == 1
    assert mirrored.effect(strict=True) == max(mirrored.effects)
    assert strata(quiet, quiet).effect(strict=True) == 1


def test_a_user_in_several_strata_is_one_user():
    """Persistent users at three shares: their residuals add up before they are squared, so three strata are no better than one."""
    rng = random.Random(7)
    c, b = arm(rng, 300, rate=0.05, burst=6), arm(rng, 300, rate=0.05, burst=6)

    once, thrice = strata(c, b), NO_STRATA
    for _ in range(3):
        (n_c, x_c), (n_b, x_b) = c, b
        thrice = thrice.close(Stratum((sum(x_c), sum(n_c), sum(x_b), sum(n_b))), (x_c, n_c, x_b, n_b))

    assert thrice.effects[2] == pytest.approx(3 * once.effects[2], rel=1e-3)
    assert Strata.from_json(json.loads(json.dumps(thrice.to_json()))) == thrice


def test_a_shock_to_one_arm_as_a_whole_shows_in_slices_of_time():
    """Every minute the candidate's rate jumps by a factor: no group of users shows it, the minutes do; four minutes say nothing."""
    rng = random.Random(11)
    calm, shaken = Shocks(), Shocks()
    for _ in range(60):
        fair, jump = poisson(rng, 50), poisson(rng, 50 * math.exp(rng.gauss(0, 0.5)))
        other = poisson(rng, 50)
        calm, shaken = calm.add(fair, fair + other), shaken.add(jump, jump + other)
    row = Stratum((3000, 10**5, 3000, 10**5))
    flat = [10**5 // GROUPS] * GROUPS, [3000 // GROUPS] * GROUPS

    def seen(shocks):
        return strata(flat, flat, shocks).shaken

    assert seen(calm) < 1.8
    assert seen(shaken) > 4
    assert seen(Shocks().add(50, 51).add(0, 50).add(40, 41).add(0, 9)) == 1
    assert row.part == 0.5


def test_a_hundred_changes_of_the_share_take_no_more_room_than_two_dozen():
    """Neighbours of the most equal split are pooled; nothing is lost from the counts."""
    many = NO_STRATA
    for k in range(100):
        n_c, n_b = [1 + k % 7] * GROUPS, [100] * GROUPS
        many = many.close(Stratum((1, sum(n_c), 2, sum(n_b))), ([0] * GROUPS, n_c, [0] * GROUPS, n_b))

    assert len(many.rows) == 24
    assert many.events == (100, 200)


# -- the evidence that is always open ---------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.floats(0.02, 50))
def test_the_mixture_earns_nothing_while_nothing_is_wrong(k, kappa):
    """Given k events, its mean over the binomial at the edge of what is tolerated is 1; a smaller rate's is less."""
    q = kappa / (1 + kappa)

    def mean(part):
        return math.fsum(stats.binom.pmf(y, k, part) * math.exp(mixture([(y, k - y, kappa)])) for y in range(k + 1))

    assert mean(q) == pytest.approx(1, abs=1e-9)
    assert mean(0.8 * q) <= 1 + 1e-9


def test_strata_multiply_within_each_alternative():
    """Two strata of one split are their sum; of two splits, the likelihoods' product, mixed afterwards."""
    assert mixture([(3, 5, 0.5), (4, 2, 0.5)]) == pytest.approx(mixture([(7, 7, 0.5)]))
    steps = np.linspace(0.02, 4, 80)
    weights = np.exp(-(steps**2) / 2)
    logs = sum(y * steps + (y + o) * (np.log1p(k) - np.log1p(k * np.exp(steps))) for y, o, k in ((3, 5, 0.5), (4, 9, 0.1)))
    assert mixture([(3, 5, 0.5), (4, 9, 0.1)]) == pytest.approx(math.log((weights / weights.sum() * np.exp(logs)).sum()))
    assert mixture([]) == pytest.approx(0)


# -- planned looks --------------------------------------------------------------------------------------------------------------------


def test_the_published_bounds():
    """Twelve looks that spend 4 % as the square of time: the table of the simulation behind the design, to its last digit."""
    published = (3.452, 3.121, 2.917, 2.758, 2.623, 2.505, 2.399, 2.302, 2.211, 2.127, 2.047, 1.971)

    assert [round(bound, 3) for bound in bounds(0.04)] == list(published)


@pytest.mark.parametrize("alpha", [0.04, 0.005])
def test_bounds_are_crossed_as_often_as_they_say(alpha):
    """A hundred thousand walks without drift."""
    rng = np.random.default_rng(5)
    walks = rng.normal(size=(100_000, 12)).cumsum(axis=1) / np.sqrt(np.arange(1, 13))

    crossed = (walks > np.array(bounds(alpha))).any(axis=1).mean()

    assert crossed == pytest.approx(alpha, abs=3.5 * math.sqrt(alpha / 100_000))


@settings(max_examples=200, deadline=None)
@given(st.floats(0.01, 5000), st.floats(0.01, 5000), st.floats(1e-6, 1 - 1e-6))
def test_the_incomplete_beta_is_scipys(a, b, x):
    """In pure Python, for fractions as well."""
    assert beta(a, b, x) == pytest.approx(betainc(a, b, x), rel=1e-8, abs=1e-12)


def test_mid_p_of_whole_counts_is_the_binomials():
    """Half of the point itself, and all beyond."""
    for y, k, kappa in ((0, 5, 0.3), (3, 5, 0.3), (5, 5, 2.0), (40, 100, 0.5)):
        q = kappa / (1 + kappa)
        exact = stats.binom.sf(y, k, q) + stats.binom.pmf(y, k, q) / 2
        assert mid_p([(y, k - y, kappa)]) == pytest.approx(exact, rel=1e-9)


@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4), st.floats(1e-3, 1e3)), max_size=3),
    st.floats(-1, 60),
)
def test_what_the_open_evidence_reaches_is_told_without_adding_it_up(splits, bar):
    """No mixture has more than its best ratio, so most need no sum; what is said is what the sum would say."""
    assert reaches(splits, bar) == (mixture(splits) >= bar)
    assert reaches(splits, mixture(splits))


def test_z_is_the_normals_and_finite():
    """No events say nothing; overwhelming ones no more than 37; very many are as the normal distribution has them."""
    assert standard([]) == pytest.approx(0)
    assert standard([(1e5, 0, 0.01)]) == 37
    assert z_of(0.025) == pytest.approx(1.95996, abs=1e-4)
    assert standard([(5_003_000, 4_997_000, 1.0)]) == pytest.approx(standard([(5_003_000 - 1, 4_997_000 + 1, 1.0)]), abs=0.01)
    assert math.isfinite(standard([(1e12, 1e9, 1.0)]))
