"""When a rollout may climb."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from progflags.rollout.plan._calendar import Calendar, Freeze, Hours

OFFICE = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00", "timezone": "Europe/Berlin"}


def at(text):
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2027-01-04T08:59:59+01:00", False),
        ("2027-01-04T09:00:00+01:00", True),
        ("2027-01-04T16:59:59+01:00", True),
        ("2027-01-04T17:00:00+01:00", False),
        ("2027-01-03T12:00:00+01:00", False),  # a Sunday
        ("2027-07-05T08:30:00+01:00", True),  # summer time: it is half past nine in Berlin
    ],
)
def test_opening_hours_are_the_zones_own(moment, is_open):
    assert Hours.of(OFFICE).open(at(moment)) is is_open


def test_a_night_shift_belongs_to_the_day_it_began_on():
    night = Hours.of({"days": ["fri"], "from": "22:00", "to": "04:00"})

    assert night.open(at("2027-01-01T23:00:00+00:00"))  # Friday
    assert night.open(at("2027-01-02T03:59:00+00:00"))
    assert not night.open(at("2027-01-03T03:59:00+00:00"))


def test_a_freeze_of_dates_covers_its_last_day_whole():
    freeze = Freeze.of({"from": date(2027, 12, 24), "to": "2027-12-26"})

    assert not freeze.covers(at("2027-12-23T23:59:59+00:00"))
    assert freeze.covers(at("2027-12-26T23:59:00+00:00"))
    assert not freeze.covers(at("2027-12-27T00:00:01+00:00"))


def test_a_closed_calendar_says_why():
    calendar = Calendar((Hours.of(OFFICE),), (Freeze.of({"from": "2027-01-05", "to": "2027-01-05", "reason": "stock-taking"}),))

    assert calendar.closed(at("2027-01-04T12:00:00+01:00")) == ""
    assert "stock-taking" in calendar.closed(at("2027-01-05T12:00:00+01:00"))
    assert calendar.closed(at("2027-01-04T20:00:00+01:00")) == "outside the opening hours"


def test_no_hours_means_always_open():
    assert Calendar().closed(datetime.now(UTC).timestamp()) == ""


def test_hours_and_freezes_survive_writing_down():
    hours, freeze = Hours.of(OFFICE), Freeze.of({"from": "2027-12-24", "to": "2027-12-26", "reason": "x"})

    assert Hours.of(hours.to_dict()) == hours
    assert Freeze.of(freeze.to_dict()) == freeze
