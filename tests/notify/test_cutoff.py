"""That the store can't be used is told as well, by the one process that told of everything else; and that it can be used again."""

from __future__ import annotations

import threading

import pytest

import progflags as pf
from progflags.errors import StoreError
from progflags.notify import Only
from progflags.notify._cutoff import AWAY
from progflags.store import MemoryStore
from progflags.testing import ManualClock
from rollout.faults import Wrapped
from support.patience import until

from .kept import Kept


class Fleet:
    """Two processes' clients of one store that can be taken away, and the channels of each."""

    def __init__(self, make=Kept):
        self.clock = ManualClock(wall=1_800_000_000.0)
        self.failing = set()
        store = MemoryStore(clock=self.clock)
        self.channels = make(), make()
        document = {"flags": {"banner": {"percent": 100}}}
        self.flags = [
            pf.connect(document, store=Wrapped(store, before=self._before), clock=self.clock, poll=None, notify=[channel])
            for channel in self.channels
        ]
        self.look()

    def _before(self, what):
        if what in self.failing:
            raise StoreError(f"no {what}")

    def look(self, seconds=0.0):
        self.clock.advance(seconds)
        for flags in self.flags:
            flags.refresh()
            flags.rollouts.deliver()

    def lose(self, *what):
        self.failing = set(what or ("revision", "read", "commit", "history", "wait"))

    def told(self, count):
        """So many messages, and no more."""
        until(lambda: len(self._messages()) >= count)
        return self._messages()

    def _messages(self):
        return [message for channel in self.channels for message in channel.messages]


@pytest.fixture
def fleet():
    them = Fleet()
    yield them
    them.failing = set()
    for flags in them.flags:
        flags.close()


def test_a_store_that_does_not_answer_is_told_once_and_so_is_its_end(fleet):
    fleet.lose()
    fleet.look(1)
    fleet.look(AWAY - 2)
    assert fleet._messages() == []
    fleet.look(3)
    (away,) = fleet.told(1)
    for _ in range(5):
        fleet.look(60)
    assert len(fleet.told(1)) == 1
    fleet.failing = set()
    fleet.look(1)
    _, back = fleet.told(2)
    for _ in range(3):
        fleet.look(60)

    assert (away.kind, away.severity, away.flag) == ("store", "warning", "")
    assert "out of reach" in away.title
    assert "no revision" in away.said[0]
    assert away.do
    assert "can be used again" in back.title
    assert back.thread == away.thread
    assert back.id != away.id
    assert len(fleet.told(2)) == 2


def test_a_store_that_takes_no_writes_is_told(fleet):
    fleet.lose("commit")
    fleet.flags[0].kill("banner", by="ann", reason="it blinks")
    for _ in range(4):
        fleet.look(10)

    (away,) = fleet.told(1)
    assert away.kind == "store"
    assert "no commit" in away.said[0]


def test_a_failover_is_nobodys_business(fleet):
    fleet.lose()
    fleet.look(1)
    fleet.look(AWAY - 2)
    fleet.failing = set()
    fleet.look(1)
    fleet.look(60)

    assert fleet._messages() == []


def test_a_channel_that_does_not_take_it_is_asked_again_and_keeps_nobody_waiting():
    """The first try fails, the second hangs for a while."""
    hangs, tries = threading.Event(), []

    class Slow(Kept):
        def send(self, message):
            tries.append(message)
            if len(tries) == 1:
                raise ConnectionError("refused")
            hangs.wait(30)
            super().send(message)

    fleet = Fleet(Slow)
    fleet.lose()
    fleet.look(1)
    fleet.look(AWAY)
    until(lambda: len(tries) == 1)
    until(lambda: not _busy(fleet))
    fleet.look(1)
    assert len(tries) == 1  # not at once
    fleet.look(40)
    until(lambda: len(tries) == 2)
    for _ in range(3):
        fleet.look(60)
    hangs.set()
    assert len(fleet.told(1)) == 1
    fleet.failing = set()
    for flags in fleet.flags:
        flags.close()


def _busy(fleet):
    return any(told.beside.busy for flags in fleet.flags for told in flags._telling._cut_off._told.values())


def test_whoever_wants_to_hear_of_what_is_graver_alone_does_not_hear_of_it():
    fleet = Fleet(lambda: Kept(only=Only(severity="critical")))
    fleet.lose()
    fleet.look(1)
    fleet.look(AWAY)
    fleet.look(60)
    until(lambda: not _busy(fleet))

    assert fleet._messages() == []
    fleet.failing = set()
    for flags in fleet.flags:
        flags.close()
