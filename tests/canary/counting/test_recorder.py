"""The recorder: every observation on the right arm of the right revision, and nonsense counted instead of believed."""

from __future__ import annotations

import math
import os
import signal
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progflags._names import Refusals
from progflags.canary import Gate, Recorder
from progflags.events import Bus, Called, Exposed, Exposure, Served, Tracked
from progflags.testing import ManualClock
from support.sizes import size

CONTROL, CANDIDATE = Exposure("f", 3, "off", "control"), Exposure("f", 3, "on", "candidate")


@pytest.fixture
def bus():
    return Bus()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def recorder(bus, clock):
    recorder = Recorder(bus, clock)
    recorder.count("f", 3, [Gate("p99_latency", max=0.5)])
    return recorder


def test_requests_and_calls_are_counted_by_arm(bus, recorder):
    """Whole requests from middleware, single calls from the decorator."""
    bus.tell(Served((CONTROL,), 0.1, failed=False))
    bus.tell(Served((CANDIDATE,), 0.6, failed=True))
    bus.tell(Called(CANDIDATE, 0.2, failed=False))

    window = recorder.window("f")

    assert (window.control.requests, window.control.errors) == (1, 0)
    assert (window.candidate.requests, window.candidate.errors) == (2, 1)
    assert window.candidate.samples["latency"].over == {0.5: 1}


def test_what_happened_at_another_revision_is_not_counted(bus, recorder):
    """A request that was served before the share changed belongs to no present arm."""
    bus.tell(Served((Exposure("f", 2, "on", "candidate"), Exposure("g", 3, "on", "candidate")), 0.1, failed=True))

    assert recorder.window("f").candidate.requests == 0
    assert recorder.window("g") is None


def test_counting_anew_drops_the_old_window_and_the_same_revision_does_not(bus, recorder):
    """Once per revision."""
    bus.tell(Called(CONTROL, 0.1, failed=False))

    recorder.count("f", 3)
    assert recorder.window("f").control.requests == 1

    recorder.count("f", 4)
    assert recorder.window("f").control.requests == 0


def test_an_event_is_credited_to_the_arm_its_unit_met(bus, recorder):
    """Once to the share of units, every time to their value."""
    bus.tell(Exposed(CANDIDATE, b"ann"))
    bus.tell(Exposed(CANDIDATE, b"ann"))
    bus.tell(Exposed(CONTROL, b"bob"))
    for value in (10.0, 5.0):
        bus.tell(Tracked("purchase", b"ann", value))
    bus.tell(Tracked("purchase", b"nobody", 99.0))
    bus.tell(Tracked("purchase", b"bob", math.nan))

    window = recorder.window("f")

    assert (window.candidate.units, window.control.units) == (1, 1)
    assert window.candidate.events["purchase"].n == 1
    assert window.candidate.events["purchase"].mean == 15.0
    assert window.candidate.events["purchase"].squares == (15 << 30) ** 2
    assert "purchase" not in window.control.events


def test_recording_by_hand_counts_n_equal_observations(recorder):
    """`n` times the same, each with its events."""
    recorder.record("f", arm="candidate", seconds=0.12, error=False, n=40, events=["conversion"])
    recorder.record("f", arm="candidate", error=True, n=2, events={"conversion": 3.0, "refund": 0})

    told = recorder.read("f")["candidate"]

    assert told == {
        "requests": 42,
        "errors": 2,
        "units": 0,
        "p50_latency": pytest.approx(0.12, rel=0.011),
        "p99_latency": pytest.approx(0.12, rel=0.011),
        "conversion": 42,
    }


def test_reading_a_flag_that_is_not_counted_shows_both_arms_empty(recorder):
    """No KeyError for a dashboard."""
    assert recorder.read("nobody")["control"]["requests"] == 0
    assert recorder.read("nobody")["candidate"]["p99_latency"] is None


def test_recording_before_a_rollout_began_is_kept_at_revision_zero(recorder):
    """A program may count before anybody starts a rollout."""
    recorder.record("new", arm="control", seconds=0.1, error=False)

    assert recorder.window("new").revision == 0
    assert recorder.read("new")["control"]["requests"] == 1


NONSENSE = [
    {"seconds": math.nan},
    {"seconds": -math.inf},
    {"seconds": -0.001},
    {"seconds": 1e300},
    {"seconds": 10**400},
    {"seconds": "0.1"},
    {"seconds": True},
    {"seconds": [1]},
    {"error": "yes"},
    {"error": 2},
    {"error": math.nan},
    {"n": 0},
    {"n": -5},
    {"n": 1.5},
    {"n": True},
    {"n": None},
    {"events": {"conversion": math.nan}},
    {"events": {"conversion": "1"}},
    {"events": {"conversion": 1e300}},
    {"events": {"conversion": -(10**400)}},
    {"events": [7]},
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=repr)
def test_nonsense_is_rejected_and_counted_and_never_raised(recorder, nonsense):
    """F4: not a number, not a duration, not a count."""
    recorder.record("f", arm="candidate", **{"error": False, **nonsense})

    window = recorder.window("f")

    assert window.candidate.rejected == 1
    assert window.candidate.errors == 0
    assert not window.candidate.samples
    assert not window.candidate.events


def test_a_nonsense_duration_on_the_bus_is_rejected_too(bus, recorder):
    """A clock that stepped back in a foreign middleware."""
    bus.tell(Called(CANDIDATE, -1.0, failed=False))
    bus.tell(Called(CANDIDATE, math.nan, failed=False))

    assert recorder.window("f").candidate.rejected == 2


def test_names_that_are_made_up_do_not_fill_the_memory(recorder):
    """A program that puts a user's id into an event's name."""
    for i in range(2000):
        recorder.record("f", arm="candidate", events=[f"event-{i}"])

    totals = recorder.window("f").candidate

    assert len(totals.events) <= 256
    assert totals.rejected == 2000 - len(totals.events)


def test_units_are_remembered_within_bounds(bus, recorder):
    """A hundred thousand visitors: all counted, the memory of them bounded."""
    for i in range(60_000):
        bus.tell(Exposed(CONTROL, b"%d" % i))

    assert recorder.window("f").control.units == 60_000
    assert len(recorder._counts.by_flag["f"]._units) == 50_000


def test_the_last_ten_seconds_are_known_per_arm(bus, recorder, clock):
    """What the brake looks at: old calls leave second by second."""
    bus.tell(Called(CANDIDATE, 0.1, failed=True))
    clock.advance(4)
    bus.tell(Called(CANDIDATE, 0.1, failed=False))
    recorder.record("f", arm="control", error=True, n=5)

    assert recorder.recent("f") == {"candidate": (2, 1), "control": (5, 5)}
    clock.advance(7)
    assert recorder.recent("f") == {"candidate": (1, 0), "control": (5, 5)}
    clock.advance(30)
    assert recorder.recent("f") == {"candidate": (0, 0), "control": (0, 0)}


def test_a_candidates_failure_is_called_out_at_once(bus, recorder):
    """After it was recorded; control's failures are not; a callback that raises hurts nobody."""
    heard = []
    recorder.on_failure(lambda flag, revision: 1 / 0)
    recorder.on_failure(lambda flag, revision: heard.append((flag, revision, recorder.recent(flag)["candidate"])))

    bus.tell(Called(CONTROL, 0.1, failed=True))
    bus.tell(Called(CANDIDATE, 0.1, failed=False))
    bus.tell(Served((CANDIDATE,), 0.1, failed=True))

    assert heard == [("f", 3, (2, 1))]


def test_gauges_are_read_when_a_window_is_taken(recorder):
    """Built-in ones may be replaced; what fails or answers nonsense is left out."""
    answers = iter([3.0, 5.0, None, math.nan, "x"])
    recorder.source("tickets", lambda: next(answers))
    recorder.source("cpu", lambda: 0.5)
    recorder.source("broken", lambda: 1 / 0)

    for _ in range(5):
        window = recorder.window("f")

    assert window.gauges["tickets"].n == 2
    assert window.gauges["tickets"].mean == 4.0
    assert window.gauges["cpu"].mean == 0.5
    assert window.gauges["broken"].n == 0
    assert 0 < window.gauges["memory"].mean < 1


def test_a_wrong_source_is_refused_when_named():
    """Not at the first window."""
    recorder = Recorder(Bus(), ManualClock())
    with pytest.raises(ValueError, match="gauge"):
        recorder.source("x", lambda: 1.0, kind="histogram")
    with pytest.raises(ValueError, match="function"):
        recorder.source("x", 3)


def test_threads_lose_nothing(bus, recorder):
    """Eight threads, 2,000 calls each, windows taken meanwhile."""

    def work():
        for _ in range(2000):
            bus.tell(Called(CONTROL, 0.01, failed=True))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    seen = [recorder.window("f").control.requests for _ in range(50)]
    for thread in threads:
        thread.join()

    control = recorder.window("f").control
    assert (control.requests, control.errors, control.samples["latency"].n) == (16_000, 16_000, 16_000)
    assert seen == sorted(seen)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_starts_from_zero_and_with_a_free_lock(bus, recorder):
    """The parent goes on reporting what it counted; a lock held at the fork must not hang the child."""
    bus.tell(Called(CONTROL, 0.1, failed=False))
    reader, writer = os.pipe()
    with recorder._counts.by_flag["f"].lock:
        pid = os.fork()
        if pid == 0:
            signal.alarm(10)  # a child that hangs on the lock must not hang the suite
            bus.tell(Called(CONTROL, 0.1, failed=False))
            os.write(writer, b"%d" % recorder.window("f").control.requests)
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)

    assert os.read(reader, 10) == b"1"
    assert recorder.window("f").control.requests == 1


def test_observed_samples_are_kept_by_name(recorder):
    """What a metrics tee hands over, for gates under the instrument's own name."""
    for value in (1.0, 2.0, 1000.0):
        recorder.observe("f", "payload.size", value, arm="candidate", revision=3)
    recorder.observe("f", "payload.size", 5.0, arm="candidate", revision=2)
    recorder.observe("f", "payload.size", -5.0, arm="candidate")

    assert recorder.read("f")["candidate"]["payload.size"]["n"] == 3
    assert recorder.window("f").candidate.rejected == 1


def test_a_forgotten_flag_is_no_longer_counted(bus, recorder):
    """Nor read."""
    recorder.forget("f")
    bus.tell(Called(CONTROL, 0.1, failed=False))

    assert recorder.window("f") is None


def test_a_wall_clock_that_steps_back_changes_nothing(bus, recorder, clock):
    """F7: what is recent is measured on the clock that never goes back."""
    bus.tell(Called(CANDIDATE, 0.1, failed=True))
    clock.step_wall(-300)
    bus.tell(Called(CANDIDATE, 0.1, failed=True))

    assert recorder.recent("f") == {"candidate": (2, 2)}
    assert recorder.window("f").candidate.requests == 2


def test_what_nobody_reads_does_not_pile_up(bus, recorder):
    """What waits is added up by whoever records, once there are a thousand of a kind."""
    for number in range(5000):
        bus.tell(Called(CONTROL, 0.1, failed=number % 2 == 0))

    control = recorder._counts.by_flag["f"].arms["control"]
    assert max(len(control.good), len(control.bad)) <= 1024
    assert (recorder.window("f").control.requests, recorder.window("f").control.errors) == (5000, 2500)


def test_arms_that_are_made_up_by_hand_are_refused(bus, clock):
    """A program that puts a user's id into an arm's name, and one that misspells it: refused, and counted."""
    refusals = Refusals()
    recorder = Recorder(bus, clock, refusals=refusals)
    for number in range(100):
        recorder.record("f", arm=f"arm-{number}", error=False)

    window = recorder.window("f")
    assert set(window.arms) == {"control"}
    assert (window.control.requests, window.control.rejected) == (0, 100)
    assert sum(n for _, _, n in refusals.read()) == 100


def test_arms_beyond_number_do_not_fill_the_memory(bus, recorder):
    """An experiment of a hundred variants: nothing is lost, the last arm takes it, and never one that is judged."""
    for number in range(100):
        bus.tell(Called(Exposure("f", CONTROL.revision, "on", f"arm-{number}"), 0.1, failed=False))
    bus.tell(Called(CANDIDATE, 0.1, failed=True))

    window = recorder.window("f")
    assert len(window.arms) <= 34
    assert sum(totals.requests for totals in window.arms.values()) == 101
    assert (window.candidate.requests, window.candidate.errors) == (1, 1)


observations = st.lists(
    st.tuples(
        st.sampled_from([CONTROL, CANDIDATE]),
        st.one_of(st.floats(), st.floats(0, 10), st.sampled_from(["0.1", None, 2, -1, 10**400])),
        st.booleans(),
        st.sampled_from([None, b"ann", b"bob", b"cy"]),
        st.sampled_from([0.0, 0.3, 1.0, 12.0]),
    ),
    max_size=60,
)


@settings(max_examples=size(60, full=1000))
@given(observations, st.sets(st.integers(0, 59)))
def test_adding_up_in_batches_is_adding_up_one_by_one(seen, looks):
    """Whatever is recorded, in whatever mixture and however often somebody reads meanwhile: the same window, bit for bit."""
    windows = []
    for reads in (looks, range(60)):
        bus, clock = Bus(), ManualClock()
        recorder = Recorder(bus, clock)
        recorder.count("f", 3, [Gate("p99_latency", max=0.5)])
        for number, (exposure, seconds, failed, unit, wait) in enumerate(seen):
            clock.advance(wait)
            bus.tell(Called(exposure, seconds, failed, unit))
            if number in reads:
                recorder.recent("f")
        windows.append((recorder.recent("f"), recorder.window("f").arms))

    assert windows[0] == windows[1]
    requests = sum(totals.requests for totals in windows[0][1].values())
    told = sum(totals.rejected + totals.samples["latency"].n for totals in windows[0][1].values() if "latency" in totals.samples)
    assert requests == len(seen)
    assert told <= requests


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_waits_at_a_fork_is_the_parents(bus, recorder):
    """Not added up yet when the child is born: the parent still has all of it, the child none."""
    for _ in range(500):
        bus.tell(Called(CANDIDATE, 0.1, failed=True))
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        os.write(writer, b"%d" % recorder.window("f").candidate.requests)
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)

    assert os.read(reader, 10) == b"0"
    assert recorder.window("f").candidate.errors == 500
