"""The watch after 100 %: what changed since, said as a change and not as a cause."""

from __future__ import annotations

import random

import pytest

from progflags._json import canonical, loads
from progflags.canary import Window
from progflags.rollout import State
from progflags.rollout.state._drift import Drift
from rollout.conftest import FLAG, House, rollout_table

GATES = [{"metric": "error_rate", "max": 0.2, "policy": "no_alarm"}]


def watched():
    """A rollout in its watch, whose control failed one call in a hundred before."""
    house = House(tables={FLAG: rollout_table(stages=[{"percent": 50, "bake": "60s", "gates": GATES}], watch="24h")})
    house.rollouts.start(FLAG)
    house.run(70, n=200, control=0.01, candidate=0.01)
    assert house.status().state is State.WATCHING
    return house


def test_a_change_against_the_control_of_before_is_told_and_named_for_what_it_is():
    house = watched()
    house.run(60, n=500, arms="candidate", candidate=0.03)
    found = [finding for finding in house.status().findings if finding.get("kind") == "change"]

    assert [(finding["metric"], finding["severity"], finding["causal"]) for finding in found] == [("error_rate", "warning", False)]
    assert "since everybody has it and was 1.00% on the control before" in found[0]["reason"]
    assert house.status().state is State.WATCHING  # 3 % is inside the absolute gate: a change in time rolls nothing back


def test_what_stays_as_it_was_is_no_change():
    house = watched()
    house.run(600, n=500, arms="candidate", candidate=0.01)

    assert [finding for finding in house.status().findings if finding.get("kind") == "change"] == []


def test_a_control_nobody_met_is_nothing_to_compare_with():
    assert Drift.of(Window("x", 1)).before == {}


@pytest.mark.parametrize("worse", [1.0, 1.25])
def test_a_hundred_healthy_watches_looked_at_all_the_time_raise_few_false_alarms(worse):
    """On the margin the hardest: at most one in a hundred is promised, three standard errors are allowed."""
    chance, alarms, lives = random.Random(5), 0, 150
    for _ in range(lives):
        drift, bad, n = Drift({"error_rate": (2000.0, 200_000.0)}), 0, 0
        for _ in range(40):
            n += 1000
            bad += round(chance.gauss(10 * worse, (10 * worse) ** 0.5))
            totals = type("T", (), {"errors": bad, "trials": n, "units": 0, "events": {}})()
            drift = drift.look(type("W", (), {"candidate": totals, "control": totals})())
        alarms += bool(drift.changes)

    assert alarms / lives <= 0.01 + 3 * (0.01 * 0.99 / lives) ** 0.5


def test_it_survives_being_written_down():
    drift = Drift({"error_rate": (10.0, 1000.0)}, {"error_rate": 3}, {"error_rate": "worse"})

    assert Drift.from_json(loads(canonical(drift.to_json()))) == drift
