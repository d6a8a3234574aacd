"""What nobody did and people want to know: a source that is stale, a dark launch that is unsafe. Once for a fleet."""

from __future__ import annotations

import pytest

import progflags as pf
from progflags.notify._observed import SETTLED
from progflags.testing import ManualClock

from .kept import Kept

GOOD = "[flags.banner]\npercent = 100\n"
BAD = "[flags.banner\n"


class Fleet:
    """Two processes' clients over one file and one store, with a clock that moves when told to."""

    def __init__(self, folder):
        self.file = folder / "flags.toml"
        self.file.write_text(GOOD)
        self.clock = ManualClock(wall=1_800_000_000.0)
        self.channels = Kept(), Kept()
        store = f"sqlite:///{folder}/state.db"
        self.flags = [pf.connect(self.file, store=store, clock=self.clock, notify=[channel]) for channel in self.channels]

    def look(self, seconds=0.0):
        self.clock.advance(seconds)
        for flags in self.flags:
            flags.refresh()
            flags.rollouts.deliver()

    def told(self):
        return [message for channel in self.channels for message in channel.messages]

    def close(self):
        for flags in self.flags:
            flags.close()


@pytest.fixture
def fleet(tmp_path):
    them = Fleet(tmp_path)
    yield them
    them.close()


def test_a_source_that_stays_stale_is_told_once_and_so_is_its_end(fleet):
    """With what is wrong, and where."""
    fleet.look(1)
    fleet.file.write_text(BAD)
    fleet.look(1)
    assert fleet.told() == []
    fleet.look(SETTLED)
    fleet.look(60)
    (stale,) = fleet.told()
    fleet.file.write_text(GOOD)
    fleet.look(60)
    fleet.look(60)
    _, mended = fleet.told()

    assert (stale.kind, stale.severity, stale.flag) == ("source", "warning", "")
    assert stale.title.endswith("flags.toml was refused, the last known good serves on")
    assert "flags.toml:1" in stale.said[0]
    assert "progflags validate" in stale.do
    assert mended.title.endswith("flags.toml serves again")
    assert mended.thread == stale.thread


def test_a_source_that_was_mended_at_once_is_not_told(fleet):
    """Who saves a file twice has not broken it."""
    fleet.look(1)
    fleet.file.write_text(BAD)
    fleet.look(1)
    fleet.file.write_text(GOOD)
    fleet.look(60)

    assert fleet.told() == []


def test_a_dark_launch_that_turns_unsafe_is_told(tmp_path):
    """With how often it differed; once, however long it stays so."""
    channel, clock = Kept(), ManualClock(wall=1_800_000_000.0)
    document = {"flags": {"pricing-v2": {"percent": 100, "owner": "pricing"}}}
    with pf.connect(document, store=f"sqlite:///{tmp_path}/state.db", clock=clock, notify=[channel]) as flags:

        @pf.dark_launch("pricing-v2", candidate=lambda n: n + 1, flags=flags, executor="inline", key=str)
        def price(n):
            return n

        for n in range(500):
            price(n)
        for _ in range(3):
            flags.rollouts.publish(at_once=True)
            clock.advance(60)
            flags.refresh()
            flags.rollouts.deliver()

    (unsafe,) = channel.messages
    assert (unsafe.kind, unsafe.severity, unsafe.flag, unsafe.owner) == ("shadow", "warning", "pricing-v2", "pricing")
    assert unsafe.title == "the dark launch of pricing-v2 is UNSAFE"
    assert unsafe.do == "progflags shadow report pricing-v2"
