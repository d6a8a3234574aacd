"""The processes that share a store: each tells that it is there and what it serves; who is gone is left out and swept away."""

import os

from progflags import __version__
from progflags.rollout import living
from progflags.store import MemoryStore
from progflags.testing import ManualClock
from rollout.conftest import House


def fleet(size):
    clock = ManualClock(wall=1_800_000_000.0)
    store = MemoryStore(clock=clock)
    return clock, store, [House(store, clock) for _ in range(size)]


def test_each_tells_of_itself():
    """What it runs, what it serves, since when, and how long ago that was."""
    clock, store, (one, two) = fleet(2)
    one.rollouts.tick()
    clock.advance(4)
    two.rollouts.publish()
    judge, watcher = sorted(one.rollouts.processes(), key=lambda process: process.age, reverse=True)

    assert judge.name.endswith(f":{os.getpid()}")
    assert judge.version == __version__
    assert judge.definitions == one.client.definitions.digest
    assert (judge.judges, watcher.judges) == (True, False)
    assert (judge.age, watcher.age) == (4.0, 0.0)
    assert judge.since == 1_800_000_000.0
    assert judge.revision == store.revision()


def test_twice_a_minute_however_often_it_looks():
    clock, store, (one,) = fleet(1)
    for _ in range(100):
        one.rollouts.turn()
        clock.advance(0.2)
    (row,) = store.board.collect("processes")
    assert row.seq == 1
    clock.advance(30)
    one.rollouts.turn()
    assert one.rollouts.processes()[0].age == 0.0


def test_who_is_gone_is_left_out_at_once_where_it_said_so():
    """And after three signs that were missed where it did not."""
    clock, store, (left, killed, here) = fleet(3)
    for house in (left, killed, here):
        house.rollouts.turn()
    left.rollouts.leave()
    assert len(living(store.board)) == 2
    clock.advance(99)
    here.rollouts.turn()
    assert len(living(store.board)) == 2
    clock.advance(2)
    assert [process.age for process in living(store.board)] == [2.0]


def test_rows_of_the_dead_do_not_pile_up(monkeypatch):
    """A thousand deployments later there are a handful, wherever one in so many looks for them."""
    monkeypatch.setattr("progflags.rollout.run._sweep._ONE_IN", 1)
    clock, store, _ = fleet(0)
    for _ in range(60):
        House(store, clock).rollouts.turn()
        clock.advance(600)

    assert len(store.board.collect("processes")) <= 28


def test_a_fleet_that_begins_does_not_read_what_each_of_it_put_up(monkeypatch):
    """A few of them do, by chance: ten of two hundred, and never as many as forty."""
    _, store, houses = fleet(200)
    asked = []
    collect = type(store.board).collect
    monkeypatch.setattr(type(store.board), "collect", lambda board, topic: asked.append(topic) or collect(board, topic))
    for house in houses:
        house.rollouts.turn()
    assert 0 < len(asked) < 40


def test_what_another_version_wrote_is_left_out():
    _, store, (one,) = fleet(1)
    one.rollouts.turn()
    for number, body in enumerate((b"{}", b"no json", b'{"v": 2}')):
        store.board.publish("processes", f"other{number}", 1, body)

    assert len(one.rollouts.processes()) == 1
