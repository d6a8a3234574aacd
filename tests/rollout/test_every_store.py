"""The promises that name a size, kept over every store: killed, struck, stopped, raced, and answered too late."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from progflags.errors import TransitionRefused
from progflags.rollout import State
from progflags.store import open_store
from progflags.testing import ManualClock
from support.sizes import size
from support.tracer import needs_strace

from .conftest import FLAG, House
from .crowd import not_linearizable
from .faults import violations
from .places import KINDS, place

HERE = Path(__file__).parent
pytestmark = [pytest.mark.slow, pytest.mark.sized]


@pytest.fixture(params=KINDS)
def address(request, tmp_path):
    with place(request.param, tmp_path) as found:
        yield found


def run(script, *arguments):
    """A script in a process of its own; what it said, which ends with the number of violations."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=size(900, full=7200), check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert ", 0 violations" in done.stdout
    print(script, done.stdout)


def test_it_survives_being_killed_at_any_moment(address):
    """SIGKILL at a random moment, again and again: see killed.py for what is checked after each."""
    run("killed.py", address, size(50 if address.startswith("sqlite") else 15, full=500))


def test_a_change_of_definition_survives_being_killed_at_any_moment(address):
    """The same of another definition that climbs, is rolled back and tried again: and everybody is served by their own bucket."""
    run("killed.py", address, size(50 if address.startswith("sqlite") else 15, full=500), "change")


@needs_strace
def test_it_survives_a_fault_at_every_call_that_reaches_the_store(address):
    """A whole rollout killed, or refused, at the n-th write, sync, send or receive; all of them in a soak: see struck.py."""
    run("struck.py", address, size(397 if address.startswith("sqlite") else 151, full=1), 0)


@needs_strace
def test_a_change_of_definition_survives_a_fault_at_every_call_that_reaches_the_store(address):
    """The same life of another definition: old or new for everybody by their bucket, and the old one from a rollback on."""
    run("struck.py", address, size(797 if address.startswith("sqlite") else 301, full=1), 0, "change")


def test_eight_controllers_stopped_and_continued_at_random_lose_nothing(address):
    """Eight processes over one store, frozen (SIGSTOP) for longer than a batch now and then: see crowd.py."""
    run("crowd.py", address, 8, size(120, full=10_000))


def test_an_order_that_contradicts_itself_is_noticed():
    """What crowd.py calls linearizable is so, and what isn't is not."""
    fine = [["w", "0", "1", "1"], ["r", "0.5", "2", "0"], ["w", "1.5", "3", "2"], ["r", "2.5", "4", "1"], ["r", "3.5", "5", "2"]]
    assert not_linearizable(fine) == []
    assert not_linearizable([*fine, ["r", "6", "7", "1"]]) == ["a look at 1 began after 2 was known"]
    assert not_linearizable([*fine, ["w", "6", "7", "2"]]) == ["a step at 2 began after 2 was known"]


@pytest.mark.parametrize("kind", ["memory", *KINDS])
def test_a_rollback_wins_over_promotions_in_every_interleaving(kind, tmp_path):
    """Two controllers about to promote, a person who promotes and one who rolls back, let loose at once."""
    shuffle = random.Random(kind)
    with place(kind, tmp_path) as address:
        clock = ManualClock(wall=1_800_000_000.0)
        stores = [open_store(address, clock=clock) for _ in range(3)]
        houses = [House(store, clock) for store in stores]
        houses[0].rollouts.start(FLAG)
        for race in range(size(60 if kind == "memory" else 15, full=1000)):
            _about_to_promote(houses)
            acts = [
                houses[0].rollouts.tick,
                houses[1].rollouts.tick,
                lambda: houses[2].rollouts.rollback(FLAG),
                lambda: _promote(houses[1]),
            ]
            shuffle.shuffle(acts)
            threads = [threading.Thread(target=act) for act in acts]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for house in houses:
                house.rollouts.tick()
                assert house.exposed(people=50) == 0, race

            status = houses[0].status()
            assert (status.state, status.percent) == (State.ROLLED_BACK, 0), race
            houses[shuffle.randrange(3)].rollouts.retry(FLAG, force=True)
        assert violations(stores[0], FLAG) == []
        for store in stores:
            store.close()


def _about_to_promote(houses):
    """The next look at the first stage passes it."""
    for house in houses:
        house.refresh()
    houses[0].run(50, step=25)
    houses[1].traffic()
    houses[0].clock.advance(15)


def _promote(house):
    try:
        house.rollouts.promote(FLAG)
    except TransitionRefused:
        pass
