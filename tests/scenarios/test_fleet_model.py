"""The simulated fleet is the real one: what was measured of real processes, it says as well, with the code's own constants."""

import re
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest
from benchmarks.bench_fleet import FLAGS, Counted
from benchmarks.fleet_asker import START
from benchmarks.fleet_events import Events, Processors
from benchmarks.fleet_followers import follow
from benchmarks.fleet_model import Fleet, World
from benchmarks.fleet_points import found
from benchmarks.fleet_simulation import DIRECT, HOSTS, measured, row
from hypothesis import given
from hypothesis import strategies as st

import progflags as pf
from progflags._connect import _background, _connect, _ears
from progflags.contrib.http import HttpSource
from progflags.rollout.run import _lookers, _processes, _windows
from support import servers
from support.patience import until

KNOWN = found()
POINTS = [point for point in KNOWN.points if point.processes in (8, 64)]
MOST = max((point for point in POINTS if not point.hosts and point.server == "PostgreSQL"), key=lambda point: point.processes)


def apart(point, seeds=2):
    """What the model says otherwise than was measured: questions by more than a fifth, times by more than a half and a moment."""
    said = measured(point, KNOWN, seeds=seeds)
    near = {
        "idle": abs(said["idle"] - point.idle) <= 0.2 * point.idle + 0.01,
        "busy": abs(said["busy"] - point.busy) <= 0.2 * point.busy + 0.01,
        "kill": abs(said["kill"] - point.kills.median) <= 0.5 * point.kills.median + 0.02,
        "death": abs(said["death"] - point.deaths.median) <= 0.5,
    }
    return {what: said[what] for what, so in near.items() if not so}


@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point.server}-{point.processes}-{point.hosts}")
def test_it_says_what_was_measured(point):
    if KNOWN.loaded:
        pytest.skip("the times were measured beside other work: python -m benchmarks.fleet_points")
    assert apart(point) == {}


@pytest.mark.parametrize(
    ("module", "name", "value", "what"),
    [
        (_ears, "_SAFETY", 2.0, "idle"),
        (_processes, "_EVERY", 3.0, "idle"),
        (_windows, "_PER_BATCH", 6, "busy"),
        (_lookers, "_GONE", (4.0, 5.0), "death"),
        (_background, "_TICK", 3.0, "death"),
    ],
)
def test_a_constant_that_is_broken_shows(monkeypatch, module, name, value, what):
    monkeypatch.setattr(module, name, value)
    assert what in apart(MOST, seeds=1)


@pytest.mark.parametrize("way", [DIRECT, HOSTS], ids=["direct", "hosts"])
def test_ten_times_the_processes_ask_ten_times_as_much(way):
    few, many = row(way, 128, KNOWN), row(way, 1280, KNOWN)
    assert many.idle == pytest.approx(10 * few.idle, rel=0.1)
    assert many.rollout == pytest.approx(10 * few.rollout, rel=0.1)
    assert many.connections == pytest.approx(10 * few.connections, rel=0.1)
    assert many.failed == few.failed == 0


def test_what_is_lost_is_found_by_the_next_look():
    """Without any hint."""
    world = World(Fleet(50, KNOWN.costs["PostgreSQL"], lost=1.0))
    world.events.run(30.0)
    revision = world.change()
    world.events.run(40.0)
    assert 0.5 * _ears._SAFETY < max(world.seen.served[revision]) - 30.0 < _ears._SAFETY + 1


def test_everybody_comes_back():
    """After a start of all at once for fewer connections than processes, and after a server that was away."""
    world = World(Fleet(50, KNOWN.costs["PostgreSQL"], starts_within=1.0, limit=30))
    world.events.run(20.0)
    assert len(world.seen.supplied) == 30
    world = World(Fleet(50, KNOWN.costs["PostgreSQL"], starts_within=1.0))
    world.events.run(20.0)
    world.stop(10.0)
    world.events.run(40.0)
    assert len(world.seen.back) == 50
    assert world.connections == 50


def test_the_same_seed_says_the_same():
    one, other = row(HOSTS, 100, KNOWN), row(HOSTS, 100, KNOWN)
    assert one == other


def test_a_kill_reaches_those_who_follow_with_their_next_question():
    followed = follow(200)
    assert len(followed.served) == 200
    assert followed.requests == pytest.approx(200 / 10.25, rel=0.05)
    assert 8.0 < followed.served[-1] < 11.0 + 2.6


@given(st.integers(1, 3), st.lists(st.tuples(st.integers(0, 10), st.integers(1, 5)), min_size=1, max_size=10))
def test_no_more_is_worked_on_at_once_than_there_are_processors(number, work):
    events = Events()
    processors, spans = Processors(events, number), []
    for at, seconds in work:
        events.at(at, lambda seconds=seconds: spans.append((int(processors.take(seconds)) - seconds, seconds)))
    events.run(10.0)
    assert len(spans) == len(work)
    assert [start for start, _ in spans] == sorted(start for start, _ in spans)  # who comes first is served first
    for start, _ in spans:
        assert sum(a <= start < a + b for a, b in spans) <= number
    assert processors.busy == sum(seconds for _, seconds in work)


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_a_process_that_starts_asks_what_the_model_says(monkeypatch, kind):
    """One that is not the first of them, which writes down the definitions."""
    address = f"{getattr(servers, kind)()}?namespace=test-{uuid4().hex}"
    monkeypatch.setattr(_connect, "open_store", _connect.open_store)  # and back
    asked = []

    class Kinds(Counted):
        def _count(self, thing, name):
            real = getattr(thing, name)
            setattr(thing, name, lambda *arguments, **options: asked.append(name) or real(*arguments, **options))

    Kinds()
    with pf.connect(FLAGS, store=address):
        until(lambda: "publish" in asked)
    asked.clear()
    with pf.connect(FLAGS, store=address):
        until(lambda: "publish" in asked)
        started = [name for name in asked if name != "collect"]  # one in twenty looks whether rows of the dead lie about
        in_order = iter(started := started[: started.index("publish") + 1])
        assert all(step in in_order for step in START), started
        assert {*(Counter(started) - Counter(START))} <= {"revision"}, "a start that takes long looks once more"


def test_followers_ask_as_often_as_the_source_does():
    assert HttpSource("https://cdn.example.com/x.json")._every == 10.0


def test_the_plot_can_be_read_by_everybody():
    """Text is text, it has a name, and nothing in it says when it was drawn."""
    drawn = (Path(__file__).parents[2] / "docs" / "explanation" / "images" / "scale.svg").read_text()
    assert re.search(r'<svg role="img"[^>]*>\s*<title>\w', drawn)
    assert "<text" in drawn
    assert "dc:date" not in drawn
