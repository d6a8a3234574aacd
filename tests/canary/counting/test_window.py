"""Windows: many workers' counts as one, batches as differences, and no negative traffic."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progflags.canary import Gate, Pool, Recorder, Window
from progflags.canary.counting._totals import Moments, Totals
from progflags.events import Bus, Called, Exposure
from progflags.store._contract import Row
from progflags.testing import ManualClock
from support.sizes import size
from support.windows import arm, window

counts = st.builds(
    lambda n, e, u, values: arm(n + e, e, units=u, latencies=values, events={"conversion": min(u, 3)}),
    st.integers(0, 50),
    st.integers(0, 9),
    st.integers(0, 40),
    st.lists(st.floats(0, 100), max_size=8),
)
windows = st.builds(window, counts, counts)


class Board:
    """A board in a dict."""

    def __init__(self):
        self.rows = {}

    def publish(self, topic, worker, seq, body):
        if seq > self.rows.get((topic, worker), (0, b""))[0]:
            self.rows[topic, worker] = (seq, body)

    def collect(self, topic):
        return tuple(Row(worker, seq, body, 0.0) for (t, worker), (seq, body) in sorted(self.rows.items()) if t == topic)

    def clear(self, topic):
        self.rows = {key: row for key, row in self.rows.items() if key[0] != topic}


@given(windows, windows, windows)
def test_merging_windows_is_commutative_and_associative(a, b, c):
    """Any order of workers gives the same window."""
    assert a.merge(b).merge(c) == c.merge(b.merge(a))


@given(counts, st.integers(0, 20))
def test_so_many_times_the_same_is_as_if_it_were_added(one, n):
    """Every count and sum, but for whose they were."""
    whole = Totals()
    for _ in range(n):
        whole = whole.merge(replace(one, cells={}))

    assert one.times(n) == whole or not n


@given(windows, windows)
def test_a_batch_is_what_came_after(a, b):
    """(a + b) - a is b, and JSON keeps every bit."""
    later = a.merge(b)

    assert later.minus(a).merge(a) == later
    assert Window.from_json(json.loads(json.dumps(later.to_json()))) == later


def test_sixteen_workers_merged_are_bit_equal_to_one():
    """The same 4,000 observations, spread over sixteen pools or seen by one."""
    rng = random.Random(3)
    values = [(rng.choice(["control", "candidate"]), rng.lognormvariate(-2, 1), rng.random() < 0.1) for _ in range(4000)]

    def seen(part):
        arms = {}
        for name in ("control", "candidate"):
            mine = [(seconds, failed) for a, seconds, failed in part if a == name]
            arms[name] = arm(len(mine), sum(f for _, f in mine), latencies=[s for s, _ in mine], thresholds=(0.5,))
        return window(arms["control"], arms["candidate"])

    board = Board()
    for worker in range(16):
        Pool(board, f"w{worker}").publish(seen(values[worker::16]))

    merged = Pool(board, "w0").collect("f", 1)

    assert len(merged.workers) == 16
    assert merged.arms == seen(values).arms


@pytest.mark.sized
def test_sixteen_recorders_merged_are_bit_equal_to_one():
    """The same calls heard by sixteen workers or by one: durations, failures, shards of users, tracked values; over a board and JSON."""
    rng = random.Random(4)
    heard = [
        (
            rng.choice(["control", "candidate"]),
            rng.lognormvariate(-2, 1),
            rng.random() < 0.1,
            b"u%d" % rng.randrange(500),
            rng.uniform(-5, 50),
        )
        for _ in range(size(4000, full=200_000))
    ]

    def recorded(part):
        bus = Bus()
        recorder = Recorder(bus, ManualClock())
        recorder.source("cpu", lambda: None)
        recorder.source("memory", lambda: None)
        recorder.count("f", 1, [Gate("p99_latency", max=0.5)])
        for name, seconds, failed, unit, value in part:
            bus.tell(Called(Exposure("f", 1, "on", name), seconds, failed, unit))
            recorder.observe("f", "payload", abs(value), arm=name)
            recorder.record("f", arm=name, events={"revenue": value})
        return recorder.window("f")

    board = Board()
    for worker in range(16):
        Pool(board, f"w{worker}").publish(recorded(heard[worker::16]))

    assert Pool(board, "w0").collect("f", 1).arms == recorded(heard).arms


def test_publishing_twice_counts_once():
    """A window is cumulative: the later row replaces the earlier, and an overtaken one is ignored."""
    board, pool = Board(), None
    pool = Pool(board, "a")
    for n in (10, 25):
        pool.publish(window(arm(n)))
    board.publish("f@1", "a", 1, b"overtaken")

    assert pool.collect("f", 1).control.requests == 25


def test_an_unreadable_row_is_left_out():
    """One worker's nonsense does not take the others' counts away."""
    board = Board()
    Pool(board, "a").publish(window(arm(10)))
    board.publish("f@1", "b", 1, b"\xff not json")
    board.publish("f@1", "c", 1, b'{"v":99}')

    assert Pool(board, "a").collect("f", 1).control.requests == 10


def test_a_cleared_topic_is_empty():
    """Nothing of an old revision lingers."""
    board = Board()
    pool = Pool(board, "a")
    pool.publish(window(arm(10)))
    pool.clear("f", 1)

    assert pool.collect("f", 1).empty


def test_a_vanished_worker_is_no_negative_traffic():
    """Its row expired: the batch is empty, not minus a million errors; the next one counts again."""
    before = window(arm(1000, 900), arm(1000)).of("old").merge(window(arm(5), arm(5)).of("new"))
    after = window(arm(105), arm(105)).of("new")
    little = window(arm(10), arm(10)).of("old").merge(window(arm(5), arm(5)).of("new"))

    assert after.minus(before).empty
    assert after.minus(little).empty  # nothing went below zero, and it still is no difference
    assert window(arm(205), arm(205)).of("new").minus(after).control.requests == 100


def test_a_counter_that_went_back_is_no_evidence():
    """A restart under the same name: nothing is negative, nothing is counted."""
    batch = window(arm(10, 1)).of("a").minus(window(arm(1000, 200)).of("a"))

    assert batch.empty


def test_windows_of_different_revisions_do_not_add_up():
    """Counting begins anew when the share changes."""
    with pytest.raises(ValueError, match="don't add up"):
        window(arm(1)).merge(window(arm(1), revision=2))
    assert window(arm(7), revision=2).minus(window(arm(3))).control.requests == 7


def test_a_window_of_another_version_is_refused():
    """Rather than read wrongly."""
    with pytest.raises(ValueError, match="version 2"):
        Window.from_json({"v": 2})


def test_batches_of_a_growing_window_add_up_to_it():
    """However often somebody looks."""
    growing = [window(arm(n, n // 10), arm(n // 2)) for n in (0, 10, 10, 35, 80)]

    batches = [later.minus(earlier) for earlier, later in pairwise(growing)]

    assert sum(batch.control.requests for batch in batches) == 80
    assert batches[1].empty


def test_moments_of_falling_totals_still_add_up():
    """A refund lowers a unit's total and its square; the sums follow."""
    later, earlier = Moments(1, 2, 4), Moments(1, 5, 25)

    assert later.minus(earlier).merge(earlier) == later
    assert Totals(events={"revenue": later}).minus(Totals(events={"revenue": earlier})).sound
