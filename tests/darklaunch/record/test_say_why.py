"""Why a shadow failed or was left out: class and place of a failure, the path of what has no copy, the reason of what was shed."""

from __future__ import annotations

import json
import logging
import threading
from types import SimpleNamespace

import pytest

from progflags.darklaunch import dark_launch
from progflags.darklaunch.record._failure import place

SECRET = "card 4111 1111 1111 1111"


def fails(n):
    if n % 2:
        raise ValueError(SECRET)
    return json.loads("{" + SECRET)  # raised in a library, called from here


async def fails_later(n):
    return fails(n)


def _expected():
    first = fails.__code__.co_firstlineno
    return {f"ValueError at test_say_why.py:{first + 2}": 3, f"JSONDecodeError at test_say_why.py:{first + 3}": 3}


@pytest.mark.parametrize("executor", ["inline", "thread"])
def test_a_failure_names_its_class_and_its_place(flags, engine, executor, caplog):
    @dark_launch("on", candidate=fails, flags=flags, executor=executor)
    def control(n):
        return n

    with caplog.at_level(logging.WARNING, "progflags"):
        for n in range(6):
            control(n)
        assert control.dark_launch.drain(60)

    assert control.dark_launch.stats().failures == _expected()
    report = control.dark_launch.report()["failures"]
    assert {row["failure"]: row["count"] for row in report} == _expected()
    assert report[0]["message"]["type"] == "str"
    said = [record.getMessage() for record in caplog.records]
    for name in _expected():
        assert sum(name in line for line in said) == 1
    assert SECRET not in json.dumps(report) + "".join(said)


async def test_a_coroutines_failure_likewise(flags, engine):
    @dark_launch("on", candidate=fails_later, flags=flags)
    async def control(n):
        return n

    for n in range(6):
        await control(n)
    assert await control.dark_launch.adrain(60)

    assert control.dark_launch.stats().failures == _expected()


def test_a_message_is_shown_to_who_asks_for_it(flags, engine):
    @dark_launch("on", candidate=fails, flags=flags, executor="inline", reveal=["$error"])
    def control(n):
        return n

    control(1)
    assert control.dark_launch.report()["failures"][0]["message"]["value"] == SECRET


def test_failures_are_bounded(flags, engine):
    made = iter(range(1000))

    @dark_launch("on", candidate=lambda: exec(f"{chr(10) * next(made)}raise ValueError"), flags=flags, executor="inline")  # noqa: S102
    def control():
        return 1

    for _ in range(200):
        control()

    failures = control.dark_launch.stats().failures
    assert sum(failures.values()) == 200
    assert len(failures) <= 65
    assert failures["(other)"] >= 100


def test_an_exception_nobody_raised_has_no_place():
    assert place(ValueError()) == ""


class Session:
    def __init__(self):
        self.bind = SimpleNamespace(lock=threading.Lock(), name="db")


def test_what_has_no_copy_is_named_with_its_path(flags, engine, caplog):
    @dark_launch("on", candidate=lambda user, session, **_: user, flags=flags)
    def control(user, session, **more):
        return user

    with caplog.at_level(logging.WARNING, "progflags"):
        control("ann", {"db": Session()})
        control("ann", None, extra=[Session()])

    assert [line for line in caplog.messages if "not shadowed" in line] == [
        "dark launch on: not shadowed: the argument session.db.bind.lock is _thread.lock; see isolate= and share="
    ]
    assert control.dark_launch.stats().not_isolated == {"_thread.lock": 2}


def test_so_is_what_an_answer_holds(flags, engine, caplog):
    @dark_launch("on", candidate=lambda: None, flags=flags)
    def control():
        return {"rows": [1, Session()]}

    with caplog.at_level(logging.WARNING, "progflags"):
        control()

    assert "dark launch on: not compared: the result holds _thread.lock at $.rows[*].bind.lock; see reduce= and isolate=" in caplog.messages


def test_looking_for_it_runs_nothing_of_the_values(flags, engine):
    class Trap:
        def __getattr__(self, name):
            raise AssertionError(name)

        def __init__(self):
            self.__dict__["lock"] = threading.Lock()

    @dark_launch("on", candidate=lambda trap: 1, flags=flags)
    def control(trap):
        return 1

    assert control(Trap()) == 1
    assert control.dark_launch.stats().shed == {"isolation": 1}


def test_what_was_left_out_is_exported_by_reason(flags, engine):
    """OpenTelemetry has the shed by reason beside the outcomes."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    from progflags.telemetry import instrument

    reader = InMemoryMetricReader()
    handle = instrument(flags, meter_provider=MeterProvider([reader]))

    @dark_launch("on", candidate=lambda lock: 1, flags=flags)
    def control(lock):
        return 1

    for _ in range(3):
        control(threading.Lock())

    (metric,) = [
        metric
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "progflags.shadow.comparisons"
    ]
    points = {tuple(sorted(point.attributes.items())): point.value for point in metric.data.data_points}
    handle.close()
    assert points == {(("feature_flag.key", "on"), ("progflags.shadow.outcome", "shed"), ("progflags.shadow.shed.reason", "isolation")): 3}
