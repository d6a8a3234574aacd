"""A healthy service gets to 100 % by the default profile, whatever its traffic and however seldom it fails."""

from __future__ import annotations

from progflags.rollout import Plan, State

from .conftest import FLAG, House


def hours_to_full(rps, errors, *, most, profile="standard"):
    """Hours until everybody has it, at `rps` requests a second of which every `errors`-th fails (0: none); None: not within `most`."""
    house = House(tables={FLAG: {"profile": profile}})
    house.rollouts.start(FLAG)
    served = {"control": 0.0, "candidate": 0.0}
    for minute in range(round(most * 60)):
        if house.status().state in (State.WATCHING, State.COMPLETED):
            return minute / 60
        share = house.client.live(FLAG).share / 1_000_000
        for arm, part in (("control", 1 - share), ("candidate", share)):
            before, served[arm] = served[arm], served[arm] + rps * 60 * part
            n = int(served[arm]) - int(before)
            bad = 0 if not errors else int(served[arm] / errors) - int(before / errors)
            if n - bad:
                house.recorder.record(FLAG, arm=arm, seconds=0.08, error=False, n=n - bad)
            if bad:
                house.recorder.record(FLAG, arm=arm, seconds=0.08, error=True, n=bad)
        house.clock.advance(60)
        house.rollouts.tick()
    return None


def test_a_service_without_errors_climbs_as_fast_as_its_bakes():
    assert 5.25 <= hours_to_full(1000, 0, most=8) <= 5.7


def test_the_version_before_was_stuck_and_stays_what_it_was():
    """No factor of nothing can be seen: who pinned it keeps it."""
    assert hours_to_full(1000, 0, most=2, profile="standard@1") is None
    assert all(gate.min_absolute == 0 for stage in Plan.of({"profile": "standard@1"}).stages for gate in stage.gates)


def test_every_gate_of_every_profile_says_what_matters_absolutely():
    points = {}
    for name in ("low", "standard", "high", "emergency"):
        for stage in Plan.of({"profile": name}).stages:
            assert all(gate.min_absolute > 0 for gate in stage.gates), name
            points[name] = {gate.min_absolute for gate in stage.gates if gate.metric == "error_rate"}

    assert points == {"low": {0.005}, "standard": {0.001}, "high": {0.0002}, "emergency": {0.005}}
