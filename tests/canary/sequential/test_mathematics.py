"""The mathematics, twice: wealth can't grow on average while nothing is wrong, and what must not matter does not."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from progflags.canary import Evidence, Gate, Window
from progflags.canary.counting._sketch import Sample
from progflags.canary.counting._totals import Moments, Totals, exact
from progflags.canary.sequential._sequential import LEVEL, RATIO, fresh, level, log_mean, ratio
from progflags.canary.sequential._track import Track
from support.sizes import size

pytestmark = pytest.mark.sized

# -- supermartingales: every outcome of a batch, weighed by its probability --------------------------------------------------


def binomial(n, p):
    return [
        math.exp(math.lgamma(n + 1) - math.lgamma(x + 1) - math.lgamma(n - x + 1) + x * math.log(p) + (n - x) * math.log1p(-p))
        for x in range(n + 1)
    ]


def expected(n_c, p_c, n_b, p_b, wealth):
    """The mean of `wealth(x_c, x_b)` over both arms' counts."""
    return math.fsum(
        a * b * math.exp(wealth(x_c, x_b)) for x_c, a in enumerate(binomial(n_c, p_c)) for x_b, b in enumerate(binomial(n_b, p_b))
    )


trials, rates = st.integers(1, 25), st.floats(0.001, 0.95)


@settings(max_examples=size(60, full=10_000), deadline=None)
@given(trials, trials, rates, st.floats(0, 2), st.floats(0.01, 1.0), st.booleans())
def test_the_ratio_test_earns_nothing_under_the_null(n_c, n_b, p_b, margin, within, up):  # noqa: PLR0917
    """E[e] is at most 1 for any rates the null allows, up to the very margin."""
    null = 1 + margin if up else 1 / (1 + margin)
    p_c = p_b * null * within if up else p_b * null / within
    assume(1e-9 < p_c < 1)

    assert expected(n_c, p_c, n_b, p_b, lambda x_c, x_b: log_mean(ratio(fresh(RATIO), null, up, x_c, n_c, x_b, n_b))) <= 1 + 1e-9


@settings(max_examples=size(60, full=10_000), deadline=None)
@given(st.integers(1, 60), st.floats(0.01, 0.99), st.floats(0.01, 1.0), st.booleans())
def test_absolute_bounds_earn_nothing_under_the_null(n, null, within, up):
    """For a breach and for compliance."""
    p = null * within if up else 1 - (1 - null) * within
    p = min(max(p, 1e-9), 1 - 1e-9)

    mean = math.fsum(a * math.exp(log_mean(level(fresh(LEVEL), null, up, x, n))) for x, a in enumerate(binomial(n, p)))

    assert mean <= 1 + 1e-9


@settings(max_examples=size(20, full=2000), deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), rates, st.booleans(), st.lists(st.booleans(), min_size=1, max_size=2))
def test_restarts_earn_nothing_either(n_c, n_b, p, up, restarts):
    """The mixture with its delayed copies, over all outcomes of two or three batches: never more than 1 on average."""
    c, b = binomial(n_c, p), binomial(n_b, p)

    def mean(track, left):
        if not left:
            return math.exp(track.now)
        total = 0.0
        for x_c, one in enumerate(c):
            for x_b, other in enumerate(b):
                after = track.add(ratio(track.logs, 1.0, up, x_c, n_c, x_b, n_b))
                total += one * other * mean(after.restart() if left[0] else after, left[1:])
        return total

    assert mean(Track.start(RATIO, restarts=True), restarts) <= 1 + 1e-9


# -- metamorphic: what must not matter -----------------------------------------------------------------------------------------

counts = st.tuples(st.integers(0, 40), st.integers(40, 400), st.integers(0, 40), st.integers(40, 400))
many = settings(max_examples=size(100, full=10_000), deadline=None)


@many
@given(st.lists(counts, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_batches_does_not_matter_to_final_wealth(rows, rng):
    """Permuted batches end at the same wealth (the maximum on the way may differ)."""
    shuffled = rng.sample(rows, len(rows))
    logs, other = fresh(RATIO), fresh(RATIO)
    for row, swapped in zip(rows, shuffled, strict=True):
        logs, other = ratio(logs, 1.1, True, *row), ratio(other, 1.1, True, *swapped)
    assert log_mean(logs) == pytest.approx(log_mean(other), abs=1e-9)


@many
@given(counts, st.integers(2, 5), st.booleans())
def test_splitting_a_batch_evenly_changes_nothing_for_independent_events(row, parts, up):
    """Wealth of the ratio test depends on sums when the split of traffic is the same."""
    null = 1.1 if up else 0.9
    whole, split = ratio(fresh(RATIO), null, up, *row), fresh(RATIO)
    for _ in range(parts):
        split = ratio(split, null, up, *(value / parts for value in row))

    assert log_mean(split) == pytest.approx(log_mean(whole), abs=1e-9)


@many
@given(counts, st.floats(0.01, 100))
def test_scaling_exposure_of_both_arms_changes_nothing(row, unit):
    """Per request or per thousand requests."""
    x_c, n_c, x_b, n_b = row
    scaled = ratio(fresh(RATIO), 1.1, True, x_c, n_c * unit, x_b, n_b * unit)
    assert log_mean(scaled) == pytest.approx(log_mean(ratio(fresh(RATIO), 1.1, True, *row)), abs=1e-6)


@many
@given(counts)
def test_relabelling_the_arms_mirrors_the_test(row):
    """ "Candidate above control" is "control below candidate"."""
    x_c, n_c, x_b, n_b = row

    assert log_mean(ratio(fresh(RATIO), 1.0, True, *row)) == pytest.approx(
        log_mean(ratio(fresh(RATIO), 1.0, False, x_b, n_b, x_c, n_c)), abs=1e-9
    )


# -- the same for whole windows, through everything the evidence does -----------------------------------------------------------

seconds = st.lists(st.integers(1, 4000), max_size=12).map(lambda ticks: [tick / 1024 for tick in ticks])  # exact in UNIT, at any octave
arms = st.tuples(st.integers(0, 60), st.integers(0, 5), st.integers(0, 30), st.integers(0, 9), seconds)
batches = st.lists(st.tuples(arms, arms), min_size=1, max_size=5)

GATES = (
    Gate("error_rate", max_increase=0.1),
    Gate("error_rate", max=0.02),
    Gate("p99_latency", max_increase=0.1),
    Gate("mean_latency", max_increase=0.1),
    Gate("bought", max_decrease=0.02),
)


def totals(arm, *, octaves=0):
    n, errors, units, bought, latencies = arm
    one, errors, bought = exact(1.0), min(errors, n), min(bought, units)
    scaled = [math.ldexp(value, octaves) for value in latencies]
    return Totals(n, n, errors, units, 0, {"bought": Moments(bought, bought * one, bought * one * one)}, {"latency": Sample.of(scaled)})


def windows(rows, *, octaves=0, names=("control", "candidate")):
    return [Window("f", 1, dict(zip(names, (totals(arm, octaves=octaves) for arm in row), strict=True))) for row in rows]


def gathered(stream, gates=GATES, **options):
    evidence = Evidence.start(gates, warm=5, **options)
    for window in stream:
        evidence = evidence.add(window)
    return evidence


@many
@given(batches, st.integers(-4, 6))
def test_measuring_in_other_units_changes_no_comparison(rows, octaves):
    """Latencies in another unit (any power of two, for buckets are octaves): every relative test has the same wealth, bit for bit."""
    relative = [gate for gate in GATES if gate.relative]

    before, after = gathered(windows(rows), relative), gathered(windows(rows, octaves=octaves), relative)

    for name, track in before.tracks.items():
        assert after.tracks[name].best == pytest.approx(track.best, abs=1e-9), name
        if "mean" not in name:
            assert after.tracks[name] == track


@many
@given(batches, st.integers(1, 4), st.randoms(use_true_random=False))
def test_how_traffic_is_spread_over_workers_does_not_matter(rows, workers, rng):
    """Each worker's part of each batch, merged in any order, is the batch: the same evidence, bit for bit."""

    def parts(arm):
        n, errors, units, bought, latencies = arm
        cells = [[0, 0, 0, 0, []] for _ in range(workers)]
        for place, count in enumerate((n, min(errors, n), units, min(bought, units))):
            for _ in range(count):
                cells[rng.randrange(workers)][place] += 1
        for value in latencies:
            cells[rng.randrange(workers)][4].append(value)
        return cells

    def raw(cell):
        n, errors, units, bought, latencies = cell
        one = exact(1.0)
        return Totals(
            n, n, errors, units, 0, {"bought": Moments(bought, bought * one, bought * one * one)}, {"latency": Sample.of(latencies)}
        )

    merged = []
    for control, candidate in rows:
        pieces = [Window("f", 1, {"control": raw(b), "candidate": raw(c)}) for b, c in zip(parts(control), parts(candidate), strict=True)]
        rng.shuffle(pieces)
        whole = pieces[0]
        for piece in pieces[1:]:
            whole = whole.merge(piece)
        merged.append(whole)

    assert gathered(merged) == gathered(windows(rows))


@many
@given(batches)
def test_relabelling_the_arms_turns_an_increase_into_a_decrease(rows):
    """Who is called candidate does not matter: "A above B" has the wealth of "B below A", for independent events."""
    up, down = Gate("bought", max_increase=0.0), Gate("bought", max_decrease=0.0)

    one = gathered(windows(rows), [up], modes={"bought": "ratio"})
    other = gathered(windows(rows, names=("candidate", "control")), [down], modes={"bought": "ratio"})

    (a,), (b,) = ([track for name, track in e.tracks.items() if name.endswith("/bad")] or [None] for e in (one, other))
    assert (a is None and b is None) or a.best == pytest.approx(b.best, abs=1e-9)


@many
@given(batches, st.permutations(GATES))
def test_the_order_of_gates_does_not_matter(rows, gates):
    """Every test has the same wealth, and the same part of alpha."""
    one, other = gathered(windows(rows)), gathered(windows(rows), gates)

    assert dict(one.tracks) == dict(other.tracks)
    assert one.alphas == pytest.approx(other.alphas)
