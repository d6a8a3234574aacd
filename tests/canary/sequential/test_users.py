"""Healthy candidates whose users fail together are let through, bad ones are not: a small, seeded part of the simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from benchmarks.simulate_means import SPENT, alarms
from benchmarks.user_cells import MANY, SPEED
from benchmarks.user_judge import ALPHA, found
from benchmarks.user_traffic import Crowd, Traffic, draw

from progflags.canary import Decision, Evidence, Gate, Window, judge
from progflags.canary.counting._totals import Totals
from support.sizes import size

pytestmark = pytest.mark.sized

REPS = size(150, full=1500)
CEILING = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / REPS)

CELLS = {
    "independent, 1:99": Traffic(0.01, 100, 0.01),
    "bursts of ten, 50:50": Traffic(0.005, 100, 0.5, crowd=Crowd(burst=10)),
    "1 % of users fail half, 10:90": Traffic(share=0.1, crowd=MANY),
    "1 % of users fail half, 50:50": Traffic(share=0.5, crowd=MANY),
    "one user fails for ten minutes, always in the candidate, 1:99": Traffic(0.005, 20, 0.01, crowd=Crowd(stuck="candidate")),
    "p99, users differ, 50:50": Traffic(0.01, 20, 0.5, crowd=SPEED),
}


def drawn(name, reps=REPS):
    return draw(np.random.default_rng(sum(map(ord, name))), CELLS[name], reps)


@pytest.mark.parametrize("name", CELLS)
def test_healthy_candidates_are_rolled_back_no_more_often_than_alpha(name):
    """Whatever the split, however users differ: five in a hundred, and the draw's three standard errors."""
    assert (found(*drawn(name)) > 0).mean() <= CEILING


@pytest.mark.parametrize("name", [name for name in CELLS if "independent" not in name])
def test_without_the_design_effect_they_are(name):
    """The mechanism taken out, each request a witness of its own: the same draws break the promise."""
    assert (found(*drawn(name), effect="one") > 0).mean() > CEILING


@pytest.mark.parametrize(
    ("traffic", "least"),
    [(Traffic(0.005, 100, 0.01, factor=2), 0.85), (Traffic(share=0.5, more=0.05, crowd=MANY), 0.95), (Traffic(0.005, 5, factor=2), 0.9)],
)
def test_bad_candidates_are_found(traffic, least):
    """Twice the errors at 1 % and in a small service; a further twentieth of the users who fail: by the end of the hour."""
    assert (found(*draw(np.random.default_rng(5), traffic, REPS)) > 0).mean() >= least


def test_planned_looks_find_what_watching_alone_does_not():
    """Twice the errors at 1 %: the same alpha, half again as many found."""
    counts = draw(np.random.default_rng(6), Traffic(0.005, 100, 0.01, factor=2), REPS)

    assert (found(*counts) > 0).mean() > (found(*counts, steps=0) > 0).mean() + 0.08


def test_a_candidate_twice_as_bad_is_proven_fine_no_more_often_than_alpha():
    """In bursts of five, where a burst that stayed away would be taken for proof."""
    counts = draw(np.random.default_rng(7), Traffic(0.005, 100, 0.1, factor=2, crowd=Crowd(burst=5)), REPS)

    assert (found(*counts, 2.0, proof=True) > 0).mean() <= CEILING
    assert (found(*counts, 2.0, proof=True, effect="one") > 0).mean() > CEILING


@pytest.mark.parametrize("spent", ["lognormal, sd 2", "Pareto 1.5 (no variance)"])
@pytest.mark.parametrize("up", [True, False])
def test_a_heavy_tail_is_no_change_of_the_mean(spent, up):
    """What users spend, without a variance to speak of: neither a rise nor a fall, at a tenth of the users."""
    reps = size(40, full=400)

    found = alarms(np.random.default_rng(9), SPENT[spent], 0.1, users=6000, up=up, reps=reps)

    assert found / reps <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / reps)


def test_a_mean_that_rises_is_found():
    """Users who spend three tenths more."""
    assert alarms(np.random.default_rng(9), SPENT["lognormal, sd 1"], 0.5, users=6000, factor=1.3, reps=10) >= 9


# -- the simulation's judge is the judge ------------------------------------------------------------------------------------------


def windows(counts, row):
    for minute in range(counts[0].shape[1]):
        x_c, n_c, x_b, n_b = (tuple(map(int, part[row, minute])) for part in counts)
        arms = {
            "control": Totals(sum(n_b), sum(n_b), sum(x_b), cells={"n": n_b, "x": x_b}),
            "candidate": Totals(sum(n_c), sum(n_c), sum(x_c), cells={"n": n_c, "x": x_c}),
        }
        yield Window("f", 1, arms)


@pytest.mark.parametrize("steps", [12, 0])
@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(0.01, 20, 0.1, factor=2.2),
        Traffic(share=0.5, factor=2, crowd=MANY),
        Traffic(0.005, 20, 0.1, crowd=Crowd(stuck="candidate")),
        Traffic(0.01, 20, 0.5, factor=1.3, shock=0.3),
        Traffic(0.01, 5, 0.1, always=True, crowd=Crowd(60)),
    ],
)
def test_the_simulated_judge_is_the_one_that_ships(traffic, steps):
    """Through the public interface, window by window: the same minute, for each of the replicates."""
    counts = draw(np.random.default_rng(8), traffic, 6)
    gate, alpha = Gate("error_rate", max_increase=0.0, policy="no_alarm"), ALPHA

    def minute(row):
        evidence = Evidence.start([gate], alpha, looks=min(steps, 1))
        for number, window in enumerate(windows(counts, row), 1):
            evidence = evidence.add(window, seconds=60.0).look(number / 60)
            if judge(evidence, baked=number, bake=60).decision == Decision.ROLLBACK:
                return number
        return 0

    assert [minute(row) for row in range(6)] == found(*counts, alpha=alpha * 0.95, steps=steps).tolist()
