"""Requests are counted by whom their arm was chosen by: a tenant's users are one cluster, for they change arms together."""

from __future__ import annotations

import pytest

from progflags.canary.counting._groups import group_of
from progflags.context import Context, bind
from progflags.events import Served
from progflags.flags import parse
from progflags.rollout import progressive

from .conftest import House


def columns(house):
    cells = house.recorder.window("f").control.cells
    return {name: {group for group, n in enumerate(cells.get(name, ())) if n} for name in ("n", "units", "event:bought")}


@pytest.fixture
def house():
    """A flag whose arms are chosen by tenant, at 0.1 %: everybody here is in the control."""
    gate = {"metric": "bought", "max_decrease": 0.1}
    table = {"stages": [{"percent": 0.1, "bake": "60s", "gates": [gate]}], "deadline": "1h"}
    house = House(tables={"f": table})
    house.client.install(parse({"flags": {"f": {"unit": "tenant", "rollout": table}}}, file="flags.toml", lines=lambda path: None))
    house.rollouts.start("f")
    house.rollouts.tick()
    house.refresh()
    return house


def test_requests_calls_and_events_are_grouped_by_whom_the_arm_was_chosen_by(house):
    """Twenty users of two tenants are two clusters, whichever way what they do is told."""
    call = progressive("f", candidate=lambda: "new", flags=house.client)(lambda: "old")
    for number in range(20):
        with bind(Context(f"user-{number}", {"tenant": "acme" if number % 2 else "globex"}), fresh=True) as here:
            call()
            house.client.is_enabled("f")
            house.bus.tell(Served(tuple(here.exposures.values()), 0.1, False, here.unit, here.units))
            house.client.track("bought")

    two = {group_of(b"acme"), group_of(b"globex")}
    assert columns(house) == {"n": two, "units": two, "event:bought": two}
    assert house.recorder.window("f").control.requests == 40


def test_without_a_unit_of_its_own_it_is_the_targeting_key(house):
    """As most flags have it."""
    table = {"stages": [{"percent": 0.1, "bake": "60s", "gates": [{"metric": "bought", "max_decrease": 0.1}]}], "deadline": "1h"}
    house = House(tables={"f": table})
    house.rollouts.start("f")
    house.rollouts.tick()
    house.refresh()
    call = progressive("f", candidate=lambda: "new", flags=house.client)(lambda: "old")
    for number in range(20):
        with bind(f"user-{number}", fresh=True):
            call()

    assert columns(house)["n"] == {group_of(b"user-%d" % number) for number in range(20)}


def test_every_process_counts_beyond_the_thresholds_that_the_evidence_has_fixed():
    """Once the control has two hundred latencies its p99 is the threshold, in the store, for whoever counts."""
    gate = {"metric": "p99_latency", "max_increase": 0.1, "policy": "no_alarm"}
    table = {"stages": [{"percent": 10, "bake": "10m", "gates": [gate]}], "deadline": "1h", "batch": "5s"}
    one = House(tables={"f": table})
    two = House(one.store, one.clock, tables={"f": table})
    one.rollouts.start("f")
    for tick in range(12):
        for house in (one, two):
            house.refresh()
            for number in range(60):
                for arm in ("control", "candidate"):
                    house.recorder.record("f", arm=arm, seconds=0.1 + number / 100 + tick / 50, error=False, unit=f"u{tick}-{number}")
        one.clock.advance(5)
        for house in (two, one):
            house.rollouts.tick()

    found = [house.recorder.window("f").control.cells for house in (one, two)]
    beyond = [{name for name in cells if name.startswith("latency>")} for cells in found]
    assert beyond[0] == beyond[1]
    assert beyond[0]
    assert all(0 < sum(cells["latency#"]) < 12 * 60 for cells in found)  # since there was a threshold, and not before
