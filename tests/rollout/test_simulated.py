"""Whole rollouts by the profiles on made-up traffic, a few of those that `make simulate` runs by the hundred."""

from __future__ import annotations

from statistics import median

import pytest
from benchmarks.simulate_rollouts import Cell, run_one

SEED = 20261128


def test_healthy_ones_get_to_everybody_in_about_the_time_that_was_announced():
    runs = [run_one(Cell("low", 20, 0.01), SEED + k) for k in range(3)]

    assert all(one.full for one in runs)
    assert 0.75 <= median(one.eta for one in runs if one.eta) <= 1.25


@pytest.mark.parametrize("bad", [{"worse": 2.0}, {"slower": 1.25}], ids=str)
def test_bad_ones_do_not_get_to_everybody_where_the_plan_could_see_them(bad):
    """Of six at most two: at most a tenth, and three standard errors for so few."""
    runs = [run_one(Cell("low", 20, 0.01, **bad), SEED + k) for k in range(6)]

    assert sum(one.full for one in runs) <= 2


def test_an_emergency_does_not_pass_what_is_worse_by_just_what_matters():
    """Doubled errors of half a percent: by version 2 half of them got to everybody, by what it proves a twentieth; of eight at most three."""
    runs = [run_one(Cell("emergency", 400, 0.005, worse=2.0, most=0.5), SEED + k) for k in range(8)]

    assert all(one.sees for one in runs)
    assert sum(one.full for one in runs) <= 3
