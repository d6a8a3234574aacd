"""What flags and rollouts do, as metrics, through the real SDK."""

import threading
from functools import partial

import pytest

import progflags as pf
from progflags._trouble import counts
from progflags.events import Braked, Compared, Judged, Moved
from progflags.telemetry import _names as names
from progflags.telemetry import instrument
from support.patience import until


@pytest.fixture
def told(rolling, telling):
    handle = instrument(rolling, meter_provider=telling.meters, logger_provider=telling.loggers)
    yield telling
    handle.close()


def with_(**attributes):
    return frozenset({getattr(names, name): value for name, value in attributes.items()}.items())


def test_evaluations_are_counted_by_flag_variant_and_reason(rolling, told):
    """The counter holds exactly what was answered, in the conventions' words."""
    answers = [rolling.is_enabled("new-search", f"u{i}") for i in range(1000)]

    points = told.points("progflags.flag.evaluations")

    assert points[with_(KEY="new-search", VARIANT="on", REASON="split")] == sum(answers)
    assert points[with_(KEY="new-search", VARIANT="off", REASON="split")] == 1000 - sum(answers)


def test_a_million_evaluations_by_unique_users_make_few_series(rolling, told):
    """Series are bounded by flags, variants and reasons; nobody's id is in an attribute."""
    for number in range(1_000_000):
        rolling.is_enabled("new-search", f"user-{number}")
    for number in range(2_000):
        rolling.get("checkout-flow", "classic", f"user-{number}")
        rolling.is_enabled("new-checkout", f"user-{number}")
        rolling.is_enabled(f"unknown-{number % 20}", f"user-{number}")

    points = told.points("progflags.flag.evaluations")
    everything = [pair for metric in told.metrics() for attributes in told.points(metric) for pair in attributes]

    assert sum(points.values()) == 1_000_000 + 3 * 2_000
    assert len(points) == 2 + 2 + 2 + 1  # two variants each, and one series for all unknown flags together
    assert not [value for _, value in everything if "user-" in str(value) or "unknown-" in str(value)]


def test_exposures_count_units_not_evaluations(rolling, told):
    """A unit that meets its arm ten times is one exposure."""
    for _ in range(10):
        for user in range(40):
            rolling.is_enabled("new-checkout", f"u{user}")

    points = told.points("progflags.flag.exposures")

    assert sum(points.values()) == 40
    assert {dict(attributes)[names.VARIANT] for attributes in points} == {"on", "off"}


def test_a_rollouts_state_and_share_are_there_to_be_drawn(rolling, told):
    """One series per state, one of them 1; the share is a fraction, and 0 while the flag, or every flag, is killed."""
    states = told.points("progflags.rollout.status")
    assert {dict(attributes)[names.STATE] for attributes, value in states.items() if value} == {
        str(rolling.rollouts.status("new-checkout").state)
    }
    assert len(states) > 10
    assert told.points("progflags.rollout.exposure") == {with_(ROLLOUT="new-checkout"): 0.5}

    switches = [(rolling.panic, rolling.unpanic)]
    switches += [(partial(rolling.kill, "new-checkout"), partial(rolling.unkill, "new-checkout"))]
    for stop, go_on in switches:
        stop(reason="smoke")
        assert told.points("progflags.rollout.exposure") == {with_(ROLLOUT="new-checkout"): 0.0}
        go_on()
        assert told.points("progflags.rollout.exposure") == {with_(ROLLOUT="new-checkout"): 0.5}


def test_transitions_name_their_ends_and_no_person(rolling, told):
    """Who moved it is told as controller or operator: a name is personal, a reason free text."""
    rolling.rollouts.pause("new-checkout", reason="lunch with Ann", by="ann")

    points = told.points("progflags.rollout.transitions")

    (attributes,) = points
    assert dict(attributes)[names.TARGET] == "paused"
    assert dict(attributes)[names.CAUSE] == "operator"
    assert "ann" not in str(points).lower()


def test_a_rollback_takes_from_the_first_bad_sign_to_nobody_served(rolling, told, clock):
    """Measured on the client's clock: the brake, two seconds of trouble with the store, the commit."""
    rolling.bus.tell(Braked("new-checkout", 1, "20 of 20 calls failed"))
    clock.advance(2)
    rolling.rollouts.rollback("new-checkout")

    (point,) = told.points("progflags.rollback.duration").values()

    assert (point.count, point.sum) == (1, 2.0)


def test_a_rollback_nobody_was_alarmed_about_has_no_duration(rolling, told):
    """An operator's change of mind is no incident."""
    rolling.rollouts.rollback("new-checkout", reason="not yet")

    assert told.points("progflags.rollback.duration") == {}


def test_gates_are_counted_by_what_they_said(rolling, told, clock):
    """A real judgement: candidates fail, the controller looks, the gate says rollback, the rollback is timed."""
    for _ in range(6):
        for arm in ("control", "candidate"):
            rolling.metrics.record("new-checkout", arm=arm, seconds=0.01, error=arm == "candidate", n=200, unit=f"u-{arm}")
        clock.advance(11)
        rolling.rollouts.tick()
    assert rolling.rollouts.status("new-checkout").percent == 0

    said = {dict(attributes)[names.VERDICT] for attributes in told.points("progflags.gate.evaluations")}
    (judged,) = told.points("progflags.gate.duration").values()
    (rollback,) = told.points("progflags.rollback.duration").values()

    assert "rollback" in said
    assert judged.count >= 1
    assert rollback.count == 1


def test_shadow_outcomes_and_both_durations(rolling, told):
    """Outcomes keep the dark launch's own words; a failed shadow is told by its outcome, never by its message."""
    for outcome, error in (("match", None), ("match", None), ("candidate_error", "ValueError: card 4111 1111 1111 1111")):
        rolling.bus.tell(Compared("recs", outcome, 0.01, 0.02, (), error))
    rolling.bus.tell(Compared("recs", "timeout", 0.01))

    assert told.points("progflags.shadow.comparisons") == {
        with_(KEY="recs", OUTCOME="match"): 2,
        with_(KEY="recs", OUTCOME="candidate_error"): 1,
        with_(KEY="recs", OUTCOME="timeout"): 1,
    }
    sides = told.points("progflags.shadow.duration")
    assert sides[with_(KEY="recs", SIDE="live")].count == 3
    assert sides[with_(KEY="recs", SIDE="shadow")].count == 2
    assert sides[with_(KEY="recs", SIDE="shadow", ERROR_TYPE="candidate_error")].count == 1
    assert sides[with_(KEY="recs", SIDE="live")].explicit_bounds == names.HTTP_BOUNDARIES
    assert "4111 1111" not in str(told.metrics())


def test_the_snapshots_age_grows_until_the_next_look(rolling, told, clock):
    clock.advance(30)
    assert told.points("progflags.store.snapshot.age") == {with_(STORE="memory"): 30.0}

    rolling.refresh()

    assert told.points("progflags.store.snapshot.age") == {with_(STORE="memory"): 0.0}


def test_units_and_descriptions_reach_the_collector(rolling, told):
    """What is exported carries the unit of the table."""
    rolling.is_enabled("new-search", "u1")
    rolling.bus.tell(Moved("new-checkout", 1, "baking", "paused", 50.0, "ann", "", 0.0))
    rolling.bus.tell(Judged("new-checkout", 1, "HOLD", "", ({"metric": "error_rate", "decision": "HOLD"},), 0.001))
    exported = told.metrics()

    table = {metric.name: (metric.unit, metric.description) for metric in names.METRICS}
    assert {name: (metric.unit, metric.description) for name, metric in exported.items()}.items() <= table.items()
    assert {"progflags.flag.evaluations", "progflags.rollout.transitions", "progflags.gate.evaluations"} <= set(exported)


def test_after_close_nothing_is_told(rolling, telling):
    """Instruments can't be taken back from a provider; they fall silent."""
    handle = instrument(rolling, meter_provider=telling.meters)
    rolling.is_enabled("new-search", "u1")
    handle.close()
    handle.close()

    rolling.is_enabled("new-search", "u1")
    rolling.rollouts.pause("new-checkout")

    assert telling.metrics() == {}


def test_a_closed_client_is_still_counted_but_has_no_rollouts(rolling, told):
    """After `close` evaluation goes on; what would need the store is left out, quietly."""
    rolling.close()
    rolling.is_enabled("new-search", "u1")

    before = counts().get("telemetry progflags.rollout.status", 0)
    exported = told.metrics()

    assert "progflags.flag.evaluations" in exported
    assert "progflags.rollout.status" not in exported
    assert counts().get("telemetry progflags.rollout.status", 0) == before


def test_without_an_sdk_everything_is_a_no_op(rolling):
    """The API alone: instrumenting, evaluating and closing work, and start no thread."""
    before = threading.active_count()

    with instrument(rolling, events="off"):
        rolling.is_enabled("new-search", "u1")
        rolling.rollouts.pause("new-checkout")

        assert threading.active_count() <= before + 1

    until(lambda: threading.active_count() <= before)


def test_a_word_that_is_no_mode_is_refused(rolling):
    with pytest.raises(ValueError, match="off, changes, sampled, all"):
        instrument(rolling, events="everything")


def test_two_clients_may_be_told_to_one_provider_each(telling):
    """Instrumenting is per client; one client's end does not silence the other's."""
    with (
        pf.connect({"flags": {"a": {"percent": 100}}}, poll=None) as one,
        pf.connect({"flags": {"b": {"percent": 100}}}, poll=None) as other,
    ):
        first, second = instrument(one, meter_provider=telling.meters), instrument(other)
        second.close()
        one.is_enabled("a", "u")
        assert telling.points("progflags.flag.evaluations") == {with_(KEY="a", VARIANT="on", REASON="static"): 1}
        first.close()
