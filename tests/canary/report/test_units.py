"""What values are measured in goes with them from where they are recorded to the axis they are drawn on."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import progflags as pf
from progflags.canary._units import joined, spelled, unit_of
from progflags.canary.counting._sketch import Sample
from progflags.canary.counting._window import Window
from progflags.testing import ManualClock

UNITS = st.sampled_from(["", "s", "ms", "By", "?", "{item}"])


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.084, "s", "84 ms"),
        (84.0, "ms", "84 ms"),
        (10_000.0, "ms", "10 s"),
        (1.5, "s", "1.5 s"),
        (0.0000042, "s", "4.2 µs"),
        (0.0, "s", "0 ms"),
        (-0.02, "s", "-20 ms"),
        (7200.0, "s", "7200 s"),
        (1234.0, "By", "1.23 kB"),
        (999.0, "By", "999 B"),
        (0.0, "By", "0 B"),
        (2.0, "MiBy", "2.1 MB"),
        (5e16, "By", "5e+04 TB"),
        (41.5, "", "41.5"),
        (41.5, "1", "41.5"),
        (41.5, "{item}", "41.5"),
        (41.5, "?", "41.5"),
        (41.5, "Cel", "41.5 Cel"),
    ],
)
def test_a_value_is_written_in_a_size_that_is_easy_to_read(value, unit, said):
    assert spelled(value, unit) == said


@given(UNITS, UNITS, UNITS)
def test_units_are_joined_in_any_order(a, b, c):
    assert joined(joined(a, b), c) == joined(a, joined(b, c)) == joined(joined(c, a), b)
    assert joined(a, "") == joined("", a) == joined(a, a) == a


def test_latencies_are_in_seconds_whoever_recorded_them():
    assert (unit_of("latency"), unit_of("size"), unit_of("size", "By")) == ("s", "", "By")


@pytest.fixture
def measuring():
    """A rollout that is judged by a sample's tail and mean; `observe` adds to it on both arms."""
    gates = [
        {"metric": "http.server.duration", "quantile": 0.9, "max_increase": 0.5, "policy": "observed"},
        {"metric": "body", "kind": "mean", "max": 4096},
    ]
    clock = ManualClock()
    plan = {"stages": [{"percent": 50, "bake": "60s", "gates": gates}]}
    with pf.connect({"flags": {"f": {"rollout": plan}}}, clock=clock) as flags:
        flags.rollouts.start("f")

        def observe(name, measured_in):
            for _ in range(12):
                for arm in ("control", "candidate"):
                    flags.metrics.record("f", arm=arm, seconds=0.01, error=False, n=100)
                    for value in (40.0, 50.0, 60.0, 80.0):
                        flags.metrics.observe("f", name, value, arm=arm, n=25, measured_in=measured_in)
                clock.advance("5s")
                flags.rollouts.tick()
            return flags.rollouts.report("f")

        yield flags, observe


@pytest.mark.parametrize(("measured_in", "said"), [("ms", "80.3 ms"), ("s", "80.3 s"), ("", "80.34"), (None, "80.34")])
def test_a_report_says_and_draws_what_the_recording_said(measuring, measured_in, said):
    """Milliseconds are no seconds: 10 ms were drawn as 10 s."""
    _, observe = measuring
    report = observe("http.server.duration", measured_in)
    finding, page = report.results["http.server.duration"], report.to_html()

    assert (finding.unit, finding.to_dict().get("unit", "")) == (measured_in or "", measured_in or "")
    assert f"is {said} on both sides" in finding.reason
    assert said in str(report)
    assert (f"39.7 {measured_in}" if measured_in else "39.74") in re.findall(r">([^<>]*)</text>", page)


def test_sizes_are_no_durations(measuring):
    _, observe = measuring
    finding = observe("body", "By").results["body"]

    assert "body is 57.5 B where at most 4.1 kB is allowed" in finding.reason


def test_processes_that_disagree_leave_the_unit_out(measuring):
    flags, observe = measuring
    observe("http.server.duration", "ms")

    assert observe("http.server.duration", "s").results["http.server.duration"].unit == "?"
    assert flags.metrics.totals("f")["control"].samples["http.server.duration"].unit == "?"


def test_a_unit_travels_from_worker_to_worker(measuring):
    flags, observe = measuring
    observe("body", "By")
    window = flags.metrics.window("f")

    assert Window.from_json(window.to_json()).control.samples["body"].unit == "By"
    assert Sample.from_json(Sample.of([1.0]).to_json()).unit == ""


def test_only_what_a_gate_asks_for_is_drawn(measuring):
    """An instrument that is heard under its old name and its new one is one distribution."""
    flags, observe = measuring
    for arm in ("control", "candidate"):
        flags.metrics.observe("f", "http.server.request.duration", 0.04, arm=arm, n=100, measured_in="s")

    assert re.findall(r"Distribution of ([\w.]+)\"", observe("http.server.duration", "ms").to_html()) == ["http.server.duration"]
