"""Exposures: who met which arm, once per unit and window, and only where there are arms to compare."""

from __future__ import annotations

from typing import Any

import pytest

from progflags.context import Context, bind
from progflags.events import Bus, Exposed, Exposure
from progflags.flags import Client, Killed, Live, parse
from progflags.flags.serving._exposures import Met
from progflags.testing import ManualClock

FLAGS: dict[str, Any] = {
    "rolling": {"rollout": {}, "rules": [{"name": "staff", "when": "staff"}]},
    "experiment": {"kind": "experiment", "variants": {"a": "a", "b": "b"}, "default": "a", "split": {"a": 1, "b": 1}},
    "plain": {"percent": 50},
}


@pytest.fixture
def flags() -> Client:
    client = Client(bus=Bus(), clock=ManualClock())
    client.install(parse({"flags": FLAGS}))
    return client


@pytest.fixture
def told(flags: Client) -> list[Exposed]:
    events: list[Exposed] = []
    flags.bus.listen(Exposed, events.append)
    return events


def rolling(flags: Client, revision: int, share: int, **more: Any) -> None:
    flags.install(live={"rolling": Live("rolling", revision, share, counting=True, **more)})


def test_both_arms_of_a_rollout_are_noted(flags: Client, told: list[Exposed]) -> None:
    """On the request's scope and on the bus, with the revision that counts."""
    rolling(flags, 3, 500_000)
    for i in range(50):
        with bind(f"u{i}") as here:
            inside = flags.is_enabled("rolling")
            wanted = Exposure("rolling", 3, "on" if inside else "off", "candidate" if inside else "control")
            assert here.exposures == {"rolling": wanted}
            assert told[-1] == Exposed(wanted, f"u{i}".encode())
    assert {event.exposure.arm for event in told} == {"control", "candidate"}


def test_a_unit_is_told_once_per_window(flags: Client, told: list[Exposed]) -> None:
    """Asking again tells nothing, a reload neither; a new revision begins anew."""
    rolling(flags, 3, 500_000)
    for _ in range(5):
        flags.is_enabled("rolling", "u")
        flags.evaluate("rolling", False, "u")
        flags.install(parse({"flags": {**FLAGS, "other": {}}}))
    rolling(flags, 4, 600_000)
    flags.is_enabled("rolling", "u")
    assert [event.exposure.revision for event in told] == [3, 4]


def test_shares_of_nobody_and_everybody_count_too(flags: Client, told: list[Exposed]) -> None:
    """The watch after 100 % has a candidate to look at."""
    rolling(flags, 1, 0)
    flags.is_enabled("rolling", "u")
    rolling(flags, 2, 1_000_000)
    flags.is_enabled("rolling", "u")
    assert [event.exposure.arm for event in told] == ["control", "candidate"]


def test_an_experiments_arms_are_its_variants(flags: Client, told: list[Exposed]) -> None:
    """Noted without any live state."""
    answer = flags.get("experiment", "?", "u")
    assert told == [Exposed(Exposure("experiment", 0, answer, answer), b"u")]


def test_what_was_not_drawn_by_lot_is_no_exposure(flags: Client, told: list[Exposed]) -> None:
    """Rules, kills, pins, a rollout that is not live, a plain share: none of them is a fair comparison."""
    flags.is_enabled("rolling", "u")
    flags.is_enabled("plain", "u")
    rolling(flags, 1, 500_000)
    flags.is_enabled("rolling", Context("u", {"staff": True}))
    flags.pin("rolling", 1)
    flags.is_enabled("rolling", "u")
    rolling(flags, 2, 500_000, killed=Killed())
    flags.is_enabled("rolling", "u")
    assert told == []


def test_those_outside_a_groups_slot_are_in_no_experiment(flags: Client, told: list[Exposed]) -> None:
    """They get the default because another flag has them, not by this experiment's lot."""
    document = {"flags": {"experiment": {**FLAGS["experiment"], "group": "g"}}, "groups": {"g": {"slots": {"experiment": 50}}}}
    flags.install(parse(document))
    inside = sum(flags.explain("experiment", f"u{i}").steps[0].matched for i in range(100))
    for i in range(100):
        flags.get("experiment", "?", f"u{i}")
    assert len(told) == inside
    assert 0 < inside < 100


def test_nothing_that_happens_in_a_silent_scope_counts(flags: Client, told: list[Exposed]) -> None:
    """A shadow or a replay met nobody."""
    rolling(flags, 1, 500_000)
    with bind("u", silent=True) as here:
        flags.is_enabled("rolling")
        assert here.exposures == {}
    assert told == []


def test_prerequisites_and_explanations_note_nothing(flags: Client, told: list[Exposed]) -> None:
    """Only the flag that was asked for was met."""
    flags.install(parse({"flags": {**FLAGS, "needs": {"requires": [{"flag": "experiment", "is": "a"}]}}}))
    flags.is_enabled("needs", "u")
    flags.explain("experiment", "u")
    assert told == []


def test_the_memory_of_units_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest half is forgotten: such a unit may be told again, but memory does not grow."""
    monkeypatch.setattr("progflags.flags.serving._exposures._REMEMBERED", 100)
    met = Met(1)
    assert sum(met.first(str(i).encode()) for i in range(1000)) == 1000
    assert len(met.young) + len(met._old) <= 200
    assert not met.first(b"999")
    assert met.first(b"1")
