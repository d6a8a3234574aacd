"""What a hostile user records and hands over: nothing raises where it may not, and nothing is quietly left out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from progflags.canary import CanaryAnalyzer, CanaryConfig, Decision, Evidence, Gate, Rate, Recorder, judge
from progflags.events import Bus
from progflags.testing import ManualClock


@pytest.mark.parametrize(
    "nonsense",
    [
        {"seconds": 0.1, "n": 10**19},
        {"n": 10**400},
        {"events": 5},
        {"events": [["bought"]]},
        {"events": [{}]},
        {"events": {"": 1.0}},
    ],
    ids=str,
)
def test_whatever_is_recorded_nothing_is_raised(nonsense):
    """Not by `record`, and not by the next look."""
    recorder = Recorder(Bus(), ManualClock())

    recorder.record("f", arm="candidate", **nonsense)

    assert recorder.window("f").candidate.rejected >= 1
    assert judge(Evidence.start([Gate("*", anomaly=False)]).add(recorder.window("f")), baked=0, bake=1)


@pytest.mark.parametrize(
    "nonsense", [{"n": 10**19}, {"n": -5}, {"n": 0}, {"n": "x"}, {"n": True}, {"arm": []}, {"name": []}, {"name": ""}], ids=str
)
def test_whatever_is_observed_nothing_is_raised_and_nothing_is_counted(nonsense):
    recorder = Recorder(Bus(), ManualClock())
    told = {"name": "size", "arm": "control", **nonsense}

    recorder.observe("f", told.pop("name"), 1.0, **told)

    assert recorder.window("f").control.rejected == 1
    assert not recorder.window("f").control.samples


def test_a_flag_that_is_no_name_is_not_counted():
    recorder = Recorder(Bus(), ManualClock())
    for flag in ([], None, 5, b"f"):
        recorder.record(flag, arm="control")
        recorder.observe(flag, "size", 1.0, arm="control")
        assert recorder.window("f") is None


def test_a_hundredth_percentile_is_not_a_tenth():
    """p100 read as 0.100 would watch the fastest tenth."""
    for metric in ("p100_latency", "p1000_latency"):
        with pytest.raises(ValueError, match="the largest of all"):
            Gate(metric, max=1.0)
    assert Gate("p10_latency", max=1.0).quantile == 0.1


@pytest.mark.parametrize("failed", ["timeout", "2", "500", "1;"])
def test_a_failure_that_is_spelled_out_is_not_left_out(tmp_path, failed):
    """A file whose errors say what they are has no errors, if those rows are skipped; it is refused, and says where."""
    path = tmp_path / "canary.csv"
    path.write_text("seconds,error\n0.1,0\n0.1,\n" + f"0.1,{failed}\n" * 9, encoding="utf-8")

    with pytest.raises(ValueError, match=r"canary\.csv: request 3: error is 0 or 1"):
        CanaryAnalyzer([Gate("error_rate", max=0.5)]).analyze(path, path)


def test_outcomes_of_requests_are_a_rate():
    """An array of 0 and 1 where a rate is asked for is judged as the rate it is; other numbers hold and say why."""
    analyzer = CanaryAnalyzer(CanaryConfig([Gate("error_rate", max_increase=0.5)]))
    good, bad = [0] * 990 + [1] * 10, [False] * 900 + [True] * 100

    assert analyzer.analyze({"error_rate": good}, {"error_rate": bad}).to_dict() == (
        analyzer.analyze({"error_rate": Rate(10, 1000)}, {"error_rate": Rate(100, 1000)}).to_dict()
    )
    assert analyzer.analyze({"error_rate": [good] * 9}, {"error_rate": [bad] * 9}).decision == Decision.ROLLBACK
    odd = analyzer.analyze({"error_rate": [0.01, 0.02]}, {"error_rate": [0.3, 0.4]})
    assert odd.decision == Decision.HOLD
    assert "numbers are no rate" in odd.reason


def test_what_can_be_gone_through_only_once_serves_every_gate():
    """A generator given to two gates was nothing to the second."""
    data = [index % 97 / 100 for index in range(2000)]
    analyzer = CanaryAnalyzer([Gate("p99_latency", max_increase=0.5), Gate("latency", kind="mean", max_increase=0.5)])

    once = analyzer.analyze({"latency": iter(data)}, {"latency": iter(data)})

    assert once.to_dict() == analyzer.analyze({"latency": data}, {"latency": data}).to_dict()


@pytest.mark.parametrize("method", ["sequential", "fixed", "kayenta"])
def test_nothing_at_all_passes_nothing(method):
    """An anomaly gate over two empty sides has found no anomaly, and nothing else either."""
    assert CanaryAnalyzer(CanaryConfig([Gate("*", anomaly=False)], method=method)).analyze({}, {}).decision == Decision.HOLD


@pytest.mark.parametrize("method", ["sequential", "fixed"])
@pytest.mark.parametrize("gate", [Gate("p99_latency", max_increase=0.1), Gate("failed_rate", max_increase=0.1)], ids=str)
def test_a_rate_is_not_compared_with_numbers(method, gate):
    """Neither raises nor passes, and the report can be told."""
    config, name = CanaryConfig([replace(gate, policy="no_alarm")], method=method), gate.metric
    for sides in (({name: Rate(5, 500)}, {name: [0.5] * 500}), ({name: [0.5] * 500}, {name: Rate(5, 500)})):
        report = CanaryAnalyzer(config).analyze(*({key: value} for side in sides for key, value in side.items()))
        assert report.decision == Decision.HOLD
        assert report.to_dict()


def test_units_are_forgotten_oldest_first():
    """Beyond what is remembered, the first to come are the first forgotten: their events have no arm any more, the others' have."""
    from progflags.canary.counting import _tallies

    count = _tallies.Count("f", 1, {})
    for unit in range(_tallies._UNITS + 100):
        count.meet("control", b"%d" % unit)
        count.meet("candidate", b"%d" % unit)
    for unit in (0, 99, 100, _tallies._UNITS + 99):
        count.track("bought", b"%d" % unit, 1.0)

    assert count.window({}).control.events["bought"].n == 2
    assert not count.window({}).candidate.events


@pytest.mark.parametrize("wrong", [Rate, lambda events, trials: Rate(events, exposure=trials)])
def test_a_rate_beyond_all_arithmetic_is_refused(wrong):
    """Its evidence was not a number."""
    with pytest.raises(ValueError, match="1e\\+100"):
        wrong(1e200, 1e250)
