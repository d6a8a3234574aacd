"""Candidates that will not end, hoard or hold the loop, and experiments that are slow: none of them is the others' affair."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progflags.darklaunch import Engine, dark_launch
from progflags.darklaunch.lanes import _scale, _worker, _workers
from progflags.darklaunch.lanes._fair import Fair
from progflags.darklaunch.lanes._limits import Breaker
from progflags.testing import ManualClock
from support.patience import until


def alone(function, own):
    """In threads, and with a CPU budget, of its own."""
    function.dark_launch.engine, function.dark_launch.lane = own, own.workers


# What runs away.


def test_a_process_that_grows_while_a_shadow_runs_pauses_it(flags, monkeypatch, caplog):
    own, let_go, hoard = Engine(workers=1), threading.Event(), []
    monkeypatch.setattr(_worker, "GROWTH", 32 << 20)

    def hoards(n):
        for _ in range(8):
            hoard.append(bytearray(b"x") * (16 << 20))
            time.sleep(0.03)  # the watch looks in between
        return let_go.wait(60) and n

    @dark_launch("on", candidate=hoards, flags=flags, executor="thread", deadline=60)
    def control(n):
        return n

    alone(control, own)
    with caplog.at_level(logging.WARNING, "progflags"):
        control(1)
        until(lambda: control.dark_launch.breaker.state == "open")
        control(2)
    let_go.set()
    hoard.clear()
    assert control.dark_launch.drain(60)

    assert control.dark_launch.stats().shed == {"breaker": 1}
    assert any("MiB while the candidate ran: paused" in line for line in caplog.messages)


class Hoard:
    """Takes memory, piece by piece, and gives it back."""

    def __init__(self, monkeypatch):
        monkeypatch.setattr(_scale, "GROWTH", 32 << 20)
        self.pieces = []

    async def waiting(self, n):
        while True:
            self.more()
            await asyncio.sleep(0.03)

    async def in_a_thread(self, n):
        await asyncio.to_thread(self.until_it_is_much)
        await asyncio.sleep(600)

    async def without_waiting(self, n):
        self.until_it_is_much()
        await asyncio.sleep(600)

    def until_it_is_much(self):
        for _ in range(16):
            self.more()
            time.sleep(0.03)  # the scale looks in between

    def more(self):
        if len(self.pieces) < 16:
            self.pieces.append(bytearray(b"x") * (16 << 20))


@pytest.mark.parametrize("executor", ["auto", "thread"])
@pytest.mark.parametrize("how", ["waiting", "in_a_thread", "without_waiting"])
async def test_a_coroutine_that_hoards_is_ended_and_pauses_its_shadow(flags, engine, monkeypatch, caplog, how, executor):
    """Long before its deadline; whoever's memory it was, it is no word against the candidate."""
    hoard = Hoard(monkeypatch)

    @dark_launch("on", candidate=getattr(hoard, how), flags=flags, executor=executor, deadline=600)
    async def control(n):
        return n

    with caplog.at_level(logging.WARNING, "progflags"):
        assert await control(1) == 1
        assert await control.dark_launch.adrain(60)
        assert await control(2) == 2
    hoard.pieces.clear()
    stats = control.dark_launch.stats()
    assert stats.shed == {"breaker": 1}
    assert stats.outcomes["incomplete"] == 1
    assert any("MiB while the candidate ran: paused" in line for line in caplog.messages)


async def test_one_that_ends_in_time_is_compared_whatever_the_process_weighs(flags, engine, monkeypatch):
    """It is off the scale by then: nothing is cancelled behind it."""
    hoard = Hoard(monkeypatch)

    async def candidate(n):
        await asyncio.sleep(0)
        return n

    @dark_launch("on", candidate=candidate, flags=flags, aa_rate=1.0)
    async def control(n):
        return n

    for n in range(20):
        assert await control(n) == n
        hoard.more()
        assert await control.dark_launch.adrain(60)
    hoard.pieces.clear()
    assert control.dark_launch.stats().outcomes["match"] == 20
    assert not _scale.scale._on


async def test_a_coroutine_that_holds_the_loop_long_runs_beside_it_from_then_on(flags, engine, caplog):
    async def computes(n):
        began = time.perf_counter()
        while time.perf_counter() - began < 0.3:
            pass
        return n

    @dark_launch("on", candidate=computes, flags=flags, deadline=60)
    async def control(n):
        return n

    assert control.dark_launch.lane is control.dark_launch.engine.tasks
    with caplog.at_level(logging.WARNING, "progflags"):
        await control(1)
        assert await control.dark_launch.adrain(60)

    assert control.dark_launch.lane is control.dark_launch.engine.background
    assert sum("from here on it runs in a thread" in line for line in caplog.messages) == 1


def test_each_probe_that_fails_doubles_the_pause_and_success_begins_anew():
    clock = ManualClock()
    breaker = Breaker(clock, pause=5.0)
    for _ in range(5):
        breaker.note(10)
    pauses = []
    for _ in range(9):
        pauses.append(breaker.pause)
        clock.advance(breaker.pause - 0.1)
        assert not breaker.allows()
        clock.advance(0.2)
        assert breaker.allows()
        breaker.note(10)
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]

    clock.advance(breaker.pause + 0.1)
    assert breaker.allows()
    for _ in range(10):
        breaker.note(0)
    assert (breaker.state, breaker.pause) == ("closed", 5.0)


def test_stuck_slots_are_told_as_stuck(flags):
    own, let_go = Engine(workers=1), threading.Event()

    @dark_launch("on", candidate=lambda n: let_go.wait(60) and n, flags=flags, executor="thread", deadline=0.02)
    def control(n):
        return n

    alone(control, own)
    for n in range(_workers.STUCK + 1):
        control(n)
        until(lambda n=n: control.dark_launch.stats().outcomes["abandoned"] == n + 1)
    assert control.dark_launch.breaker.state == "open"
    control(9)
    assert control.dark_launch.stats().shed == {"stuck": 1}
    let_go.set()
    until(lambda: own.workers.stuck == 0)


# Whose turn it is.


class Owner:
    pass


@given(st.lists(st.integers(0, 3), max_size=60))
def test_owners_take_turns_and_nothing_is_lost(order):
    """Between two jobs of one owner every other owner that waits has had one."""
    owners, fair = [Owner() for _ in range(4)], Fair()
    for number, which in enumerate(order):
        fair.put(owners[which], (which, number))
    taken = [fair.get() for _ in order]

    assert sorted(number for _, number in taken) == list(range(len(order)))
    for which in range(4):
        numbers = [number for owner, number in taken if owner == which]
        assert numbers == sorted(numbers)  # in each owner's own order
    for at, (which, _) in enumerate(taken):
        until_next = [owner for owner, _ in taken[at + 1 :]]
        waiting = {owner for owner in until_next if owner != which}
        if which in until_next:
            assert waiting <= set(until_next[: until_next.index(which)]) | _came_once(taken, at, which)


def _came_once(taken, at, which):
    """Owners whose turn in this round was before."""
    later = [owner for owner, _ in taken[at + 1 :]]
    again = later.index(which)
    return {owner for owner in later if owner not in later[:again] and owner in [each for each, _ in taken[max(0, at - 3) : at]]}


def test_many_threads_lose_nothing():
    owners, fair, taken = [Owner() for _ in range(5)], Fair(), []

    def puts(owner):
        for n in range(400):
            fair.put(owner, n)

    def takes():
        while (job := fair.get()) is not None:
            taken.append(job)

    threads = [threading.Thread(target=puts, args=(owner,)) for owner in owners]
    takers = [threading.Thread(target=takes) for _ in range(3)]
    for thread in (*threads, *takers):
        thread.start()
    for thread in threads:
        thread.join()
    for _ in takers:
        fair.put(owners[0], None)
    for thread in takers:
        thread.join(60)
    assert sorted(taken) == sorted([*range(400)] * 5)


def test_an_owner_that_is_gone_is_forgotten():
    fair, owner = Fair(), Owner()
    fair.put(owner, 1)
    assert fair.get() == 1
    del owner
    assert not fair._waiting


def test_each_has_its_share_of_the_queue():
    fair, one, other = Fair(), Owner(), Owner()
    for n in range(100):
        assert not fair.full(one, 100), n
        fair.put(one, n)
    assert fair.full(one, 100)
    assert not fair.full(other, 100)  # there is room for who has nothing waiting
    for n in range(50):
        fair.put(other, n)
    assert fair.full(other, 100)


def test_slow_candidates_of_one_experiment_do_not_starve_anothers(flags):
    """One hands in very many; the other's few have their turn, and how long they waited is said."""
    own, gate = Engine(workers=1), threading.Semaphore(0)

    def slow(n):
        gate.acquire()
        return n

    def made(candidate):
        @dark_launch("on", candidate=candidate, flags=flags, executor="thread", deadline=60)
        def control(n):
            return n

        alone(control, own)
        return control

    greedy, modest = made(slow), made(lambda n: n)
    for n in range(200):
        greedy(n)
    for n in range(5):
        modest(n)
    for _ in range(12):
        gate.release()
    until(lambda: modest.dark_launch.stats().outcomes["match"] == 5)

    assert greedy.dark_launch.stats().outcomes["match"] < 20
    assert modest.dark_launch.stats().waited.n == 5
    for _ in range(200):
        gate.release()
    assert greedy.dark_launch.drain(60)
