"""CanaryAnalyzer: arrays, rates, files and windows in; one report out."""

from __future__ import annotations

import json
import math
import random
import re
import subprocess
import sys
import tracemalloc
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest

from progflags.canary import CanaryAnalyzer, CanaryConfig, CanaryDecision, Evidence, Gate, Rate, judge
from progflags.canary._analyzer import _PIECES
from progflags.canary.samples._series import Series
from support.sizes import size
from support.windows import arm, window


def lognormal(n, slower=1.0, seed=1):
    rng = random.Random(seed)
    return [rng.lognormvariate(-2.5, 0.6) * slower for _ in range(n)]


GATES = [
    Gate("error_rate", max_increase=0.10, severity="critical"),
    Gate("p99_latency", max_increase=0.10, max=0.5),
    Gate("conversion", max_decrease=0.02, direction="higher_is_better"),
]


def sides(errors=12, slower=1.0, conversions=812):
    baseline = {"error_rate": Rate(12, 10_000), "p99_latency": lognormal(5000), "conversion": Rate(812, 10_000)}
    canary = {"error_rate": Rate(errors, 10_000), "p99_latency": lognormal(5000, slower, seed=2), "conversion": Rate(conversions, 10_000)}
    return baseline, canary


def test_the_documented_example_runs():
    """Every name of the documentation's example, and what it prints."""
    report = CanaryAnalyzer(CanaryConfig(gates=GATES)).analyze(*sides(errors=31, slower=1.5, conversions=799))

    assert report.decision == CanaryDecision.ROLLBACK
    result = report.results["p99_latency"]
    assert (result.passed, result.decision, result.severity, result.kind) == (False, "ROLLBACK", "critical", "quantile")
    assert result.baseline < result.canary
    assert result.interval[0] < result.effect < result.interval[1]
    assert 0 <= result.p_value < 0.01
    assert result.n == 10_000
    assert result.reason in str(report)
    json.dumps(report.to_dict(), allow_nan=False)


def test_a_single_rate_is_judged_by_the_mixture_of_independent_events():
    """4 v 0 in 600, 10 % tolerated: the half-normal mixture of the conditional binomial, computed the long way round."""
    steps = np.linspace(0.02, 4, 80)
    weights = np.exp(-(steps**2) / 2)
    wealth = float((weights / weights.sum() * np.exp(4 * steps + 4 * (np.log(2.1) - np.log1p(1.1 * np.exp(steps))))).sum())

    report = CanaryAnalyzer([Gate("error_rate", max_increase=0.1)]).analyze({"error_rate": Rate(0, 600)}, {"error_rate": Rate(4, 600)})

    assert report.results["error_rate"].evidence == pytest.approx(wealth, rel=1e-9)
    assert wealth == pytest.approx(3.55038, rel=1e-5)
    assert report.results["error_rate"].threshold == pytest.approx(20)
    assert report.results["error_rate"].p_value == pytest.approx(1 / wealth, rel=1e-9)


def test_a_list_of_rates_is_judged_by_betting_in_time_order():
    """One burst of 500 errors is one batch's surprise; the same errors in every batch are a regression."""
    healthy = [Rate(10, 1000)] * 10
    analyzer = CanaryAnalyzer([Gate("error_rate", max_increase=0.1)])

    burst = analyzer.analyze({"error_rate": healthy}, {"error_rate": [*[Rate(10, 1000)] * 9, Rate(500, 1000)]})
    steady = analyzer.analyze({"error_rate": healthy}, {"error_rate": [Rate(60, 1000)] * 10})

    assert burst.decision != "ROLLBACK"
    assert steady.decision == "ROLLBACK"
    assert steady.results["error_rate"].batches == 10


def test_counts_per_time_are_compared_by_exposure():
    """Tickets per hour."""
    gate = Gate("tickets", kind="count", max_increase=0.2, policy="no_alarm")
    analyzer = CanaryAnalyzer([gate])

    assert analyzer.analyze({"tickets": Rate(20, exposure=100.0)}, {"tickets": Rate(2, exposure=10.0)}).decision == "PASS"
    assert analyzer.analyze({"tickets": Rate(20, exposure=100.0)}, {"tickets": Rate(20, exposure=10.0)}).decision == "ROLLBACK"


@pytest.mark.parametrize(
    "wrong",
    [{"events": math.nan, "trials": 1}, {"events": -1, "trials": 1}, {"events": math.inf, "trials": 1}, {"events": 2, "trials": 1}]
    + [
        {"events": 1, "trials": math.nan},
        {"events": 1, "trials": -1},
        {"events": 1},
        {"events": 1, "trials": 2, "exposure": 2},
        {"events": "1", "trials": 2},
        {"events": True, "trials": 2},
    ],
)
def test_an_impossible_rate_is_refused(wrong):
    """NaN, negative, infinite, more events than trials."""
    with pytest.raises(ValueError):
        Rate(**wrong)


@pytest.mark.parametrize("method", ["sequential", "fixed"])
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("missing", ["absent", "empty", "none"])
def test_a_metric_that_is_missing_holds(method, side, missing):
    """On either side, however it is missing."""
    data = [{"p99_latency": lognormal(2000)}, {"p99_latency": lognormal(2000, seed=2)}]
    data[side] = {"absent": {}, "empty": {"p99_latency": []}, "none": {"p99_latency": None}}[missing]

    report = CanaryAnalyzer(CanaryConfig([Gate("p99_latency", max_increase=0.1, policy="no_alarm")], method)).analyze(*data)

    assert report.decision == "HOLD"
    assert report.results["p99_latency"].passed is False
    assert "no data" in report.reason


@pytest.mark.parametrize("method", ["sequential", "fixed"])
@pytest.mark.parametrize("nonsense", [math.nan, -math.inf, -1.0, None, "x"])
def test_nonsense_values_are_dropped_and_more_than_one_percent_holds(method, nonsense):
    """Five in a thousand are overlooked, twenty are not; never a PASS by NaN."""
    config = CanaryConfig([Gate("p99_latency", max_increase=0.3, policy="no_alarm")], method)

    def decision(n):
        return (
            CanaryAnalyzer(config)
            .analyze({"p99_latency": lognormal(1000)}, {"p99_latency": [*lognormal(1000 - n, seed=3), *[nonsense] * n]})
            .decision
        )

    assert decision(5) == "PASS"
    assert decision(20) == "HOLD"


@pytest.mark.parametrize("method", ["sequential", "fixed"])
def test_too_few_samples_hold(method):
    """Minimum samples of both sides, 100 by default."""
    config = CanaryConfig([Gate("p99_latency", max_increase=0.5, policy="no_alarm")], method)

    report = CanaryAnalyzer(config).analyze({"p99_latency": lognormal(1000)}, {"p99_latency": lognormal(60, seed=5)})

    assert report.decision == "HOLD"
    assert "100" in report.reason


def test_minimum_samples_delay_no_rollback():
    """Sixty requests of which all fail."""
    report = CanaryAnalyzer([Gate("error_rate", max_increase=0.1)]).analyze({"error_rate": Rate(1, 1000)}, {"error_rate": Rate(60, 60)})

    assert report.decision == "ROLLBACK"


def test_the_same_data_give_the_same_report():
    """Pure: an analyzer keeps nothing between calls."""
    analyzer = CanaryAnalyzer(GATES)
    first = analyzer.analyze(*sides(slower=1.1))
    analyzer.analyze(*sides(errors=900))

    assert analyzer.analyze(*sides(slower=1.1)).to_dict() == first.to_dict()


def test_an_arrays_order_means_nothing():
    """Sorted measurements are as good as any: one array is a sample, not a series."""
    analyzer = CanaryAnalyzer([Gate("p99_latency", max_increase=0.1, policy="no_alarm")])
    old, new = lognormal(4000), lognormal(4000, seed=9)

    assert analyzer.analyze({"p99_latency": sorted(old)}, {"p99_latency": sorted(new)}).decision == "PASS"
    assert analyzer.analyze({"p99_latency": sorted(old, reverse=True)}, {"p99_latency": sorted(new)}).decision == "PASS"
    assert analyzer.analyze({"p99_latency": sorted(old)}, {"p99_latency": sorted(v * 1.6 for v in new)}).decision == "ROLLBACK"


def test_numpy_and_batches_are_understood():
    """Arrays, and lists of arrays in time order."""
    np = pytest.importorskip("numpy")
    analyzer = CanaryAnalyzer([Gate("p99_latency", max_increase=0.1)])
    old, new = np.array(lognormal(4000)), np.array(lognormal(4000, 1.6, seed=2))

    assert analyzer.analyze({"p99_latency": old}, {"p99_latency": new}).decision == "ROLLBACK"
    report = analyzer.analyze({"p99_latency": np.array_split(old, 10)}, {"p99_latency": np.array_split(new, 10)})
    assert report.decision == "ROLLBACK"
    assert report.results["p99_latency"].batches == 9  # the first batch sets the threshold for the second


def test_an_array_is_dealt_into_pieces_after_its_first_part():
    """Every observation of the candidate is used; some of the control's set the thresholds."""
    report = CanaryAnalyzer([Gate("p99_latency", max_increase=0.1)]).analyze(
        {"p99_latency": lognormal(1000)}, {"p99_latency": lognormal(1000)}
    )

    assert report.results["p99_latency"].batches == _PIECES


def test_two_sided_takes_an_improvement_for_a_finding():
    """Where any difference counts."""
    gates = [Gate("error_rate", max_increase=0.1)]
    better = {"error_rate": Rate(500, 10_000)}, {"error_rate": Rate(100, 10_000)}

    for method in ("sequential", "fixed"):
        assert CanaryAnalyzer(CanaryConfig(gates, method)).analyze(*better).decision == "PASS"
        assert CanaryAnalyzer(CanaryConfig(gates, method, alternative="two-sided")).analyze(*better).decision == "ROLLBACK"


def test_an_anomaly_gate_names_what_changed():
    """Every metric of both sides."""
    report = CanaryAnalyzer([Gate("*", anomaly=False)]).analyze(*sides(errors=400))

    assert report.decision == "ROLLBACK"
    assert "error_rate" in report.reason
    assert set(report.results) == {"error_rate", "p99_latency", "conversion"}


def test_a_planned_end_finds_what_watching_alone_does_not():
    """Most of alpha on one exact look."""
    data = {"conversion": Rate(1000, 20_000)}, {"conversion": Rate(890, 20_000)}
    gates = [Gate("conversion", max_decrease=0.0)]

    assert CanaryAnalyzer(CanaryConfig(gates)).analyze(*data).decision == "HOLD"
    assert CanaryAnalyzer(CanaryConfig(gates, look=True)).analyze(*data).decision == "ROLLBACK"


def test_recorded_windows_replay_to_the_same_verdict():
    """Bit for bit: the digest of a replay is the digest of the original."""
    gates = [Gate("error_rate", max_increase=0.1, policy="no_alarm"), Gate("p99_latency", max_increase=0.2, policy="no_alarm")]
    batches = [
        window(arm(1000, 10, latencies=lognormal(300, seed=i)), arm(500, 6, latencies=lognormal(300, seed=99 + i))) for i in range(8)
    ]
    evidence = Evidence.start(gates, restarts=False)
    for batch in batches:
        evidence = evidence.add(batch)

    report = CanaryAnalyzer(gates).analyze_windows(json.loads(json.dumps(batch.to_json())) for batch in batches)

    assert report.to_dict()["results"].keys() == {"error_rate", "p99_latency"}
    assert [f.to_dict() for f in report.findings] == [f.to_dict() for f in judge(evidence, baked=0, bake=0).findings]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"gates": []}, "needs a gate"),
        ({"gates": GATES, "method": "bayes"}, "method is one of"),
        ({"gates": GATES, "alpha": 0}, "alpha"),
        ({"gates": GATES, "alpha": math.nan}, "alpha"),
        ({"gates": GATES, "min_samples": -1}, "min_samples"),
        ({"gates": GATES, "min_samples": 1.5}, "min_samples"),
        ({"gates": GATES, "alternative": "better"}, "alternative"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(options, says):
    """When it is built."""
    with pytest.raises(ValueError, match=says):
        CanaryConfig(**options)


@pytest.mark.parametrize("side", [7, ["x"], None])
def test_sides_that_are_no_metrics_are_refused(side):
    """With what a side can be."""
    with pytest.raises(TypeError, match="mapping of metrics"):
        CanaryAnalyzer(GATES).analyze(side, {})


@pytest.mark.parametrize("metric", ["fast", b"1", {"a": 1}, 3.5])
def test_data_that_is_none_is_refused(metric):
    """A string is no array of characters."""
    with pytest.raises(TypeError, match=r"pf\.Rate"):
        CanaryAnalyzer(GATES).analyze({"p99_latency": metric}, {"p99_latency": [1.0]})


def test_the_default_judge_needs_no_scipy():
    """650 ms of import that nobody asked for."""
    code = (
        "import sys, progflags.canary as c\n"
        "g = [c.Gate('error_rate', max_increase=0.1), c.Gate('p99_latency', max_increase=0.1), c.Gate('mean_latency', max_increase=0.1)]\n"
        "d = {'error_rate': c.Rate(3, 1000), 'latency': [0.1, 0.2] * 300}\n"
        "r = c.CanaryAnalyzer(g).analyze(d, d)\n"
        "str(r), r.to_dict(), r.to_html()\n"
        "c.CanaryAnalyzer(c.CanaryConfig(g, look=True)).analyze(d, d)\n"
        "e = c.Evidence.start(g, looks=1).look()\n"
        "c.judge(e, baked=1, bake=0).to_dict()\n"
        "c.smallest_detectable(90, 0.001, share=0.01), c.requests_to_prove(0.001)\n"
        "assert not {'scipy', 'numpy'} & set(sys.modules), 'loaded'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- files ----------------------------------------------------------------------------------------------------------------------


def requests_csv(path, n, errors, slower):
    rows = ["seconds,error,payload"] + [f"{v:.6f},{int(i < errors)},{100 + i % 7}" for i, v in enumerate(lognormal(n, slower, seed=n))]
    path.write_text("\n".join(rows))
    return path


def test_files_of_requests_and_of_rates_are_read(tmp_path):
    """CSV with one row per request; rows of metric, events, trials; JSON lines."""
    old, new = requests_csv(tmp_path / "old.csv", 2000, 2, 1.0), requests_csv(tmp_path / "new.csv", 2001, 100, 1.0)
    gates = [Gate("error_rate", max_increase=0.1), Gate("p99_latency", max_increase=0.5), Gate("mean_payload", max_increase=0.1)]

    report = CanaryAnalyzer(gates).analyze(old, str(new))

    assert report.decision == "ROLLBACK"
    assert report.results["error_rate"].n == 4001
    assert report.results["mean_payload"].effect == pytest.approx(0, abs=0.01)
    assert report.results["mean_payload"].baseline == pytest.approx(103, abs=0.1)

    for name, events in (("a.csv", 10), ("b.csv", 90)):
        (tmp_path / name).write_text("metric,events,trials\n" + "\n".join(f"error_rate,{events},1000" for _ in range(9)))
    assert CanaryAnalyzer(gates[:1]).analyze(tmp_path / "a.csv", tmp_path / "b.csv").results["error_rate"].batches == 9

    (tmp_path / "c.jsonl").write_text("\n".join(json.dumps({"seconds": v, "error": False}) for v in lognormal(500)))
    assert CanaryAnalyzer(gates[1:2]).analyze(tmp_path / "c.jsonl", tmp_path / "c.jsonl").results["p99_latency"].n == 1000


def test_a_table_is_read_by_its_columns():
    """Anything with `columns`, which pandas has."""

    class Table(dict):
        @property
        def columns(self):
            return list(self)

    table = Table(seconds=lognormal(500), error=[0, 1] * 250)
    report = CanaryAnalyzer([Gate("error_rate", max_increase=0.1, policy="no_alarm")]).analyze(table, table)

    assert report.results["error_rate"].baseline == 0.5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no rows"),
        ("seconds\n", "no rows"),
        ("seconds\n1,2\n", "more fields"),
        ("metric,events,trials\nerror_rate,5,2\n", "row 2"),
        ("metric,events,trials\nerror_rate,x,2\n", "row 2"),
    ],
)
def test_a_file_that_cant_be_read_says_where(tmp_path, text, says):
    """File and row."""
    path = tmp_path / "x.csv"
    path.write_text(text)

    with pytest.raises(ValueError, match=says):
        CanaryAnalyzer(GATES).analyze(path, path)


# -- the report -----------------------------------------------------------------------------------------------------------------


def test_the_page_is_one_small_file_without_network_or_script(tmp_path):
    """Self-contained, below 300 kB, every number of `to_dict` in it."""
    noisy = {**sides()[0], "error_rate": [Rate(10, 1000)] * 400}, {**sides(slower=1.4)[1], "error_rate": [Rate(30, 1000)] * 400}
    report = CanaryAnalyzer(GATES).analyze(*noisy)

    text = report.to_html(tmp_path / "report.html")

    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text
    assert len(text.encode()) < 300_000
    assert "<script" not in text
    assert "http" not in text.replace('http-equiv="Content-Security-Policy"', "")
    assert "prefers-color-scheme:dark" in text
    assert "@media print" in text
    assert text.count("<svg") >= 4
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        plot = fromstring(svg)
        points = [float(v) for line in plot.iter("polyline") for v in re.split(r"[ ,]", line.get("points"))]
        assert all(0 <= v <= 641 for v in points)
        for label in plot.iter("text"):  # and no label leaves its picture, at seven pixels a letter
            wide, at = 7 * len(label.text), float(label.get("x"))
            left = at - {"end": wide, "middle": wide / 2}.get(label.get("text-anchor"), 0)
            assert -10 <= left <= left + wide <= 650, label.text
    assert report._repr_html_() in text


def test_a_name_from_outside_can_not_write_into_the_page():
    """Escaped, wherever it appears."""
    evil = "<script>alert(1)</script>"
    report = CanaryAnalyzer([Gate(evil, max_increase=0.1)]).analyze({evil: Rate(1, 100)}, {evil: Rate(50, 100)})

    assert "<script" not in report.to_html()


def test_a_report_of_nothing_is_still_a_page():
    """No plots, no failure."""
    assert "HOLD" in CanaryAnalyzer(GATES).analyze({}, {}).to_html()
    assert "HOLD" in str(CanaryAnalyzer(GATES).analyze({}, {}))


def test_one_rate_against_a_list_counts_the_list_as_one():
    """There is no order to zip them by."""
    report = CanaryAnalyzer([Gate("error_rate", max_increase=0.1)]).analyze(
        {"error_rate": [Rate(10, 1000)] * 10}, {"error_rate": Rate(90, 1000)}
    )

    assert report.decision == "ROLLBACK"
    assert report.results["error_rate"].n == 11_000


def test_gauges_are_bounded_by_their_readings_and_compared_by_their_means():
    """A series of readings per side."""
    steady, busy = [0.5, 0.55, 0.6] * 50, [0.9, 0.95] * 75

    def decided(gate, canary):
        return CanaryAnalyzer([gate]).analyze({"cpu": steady}, {"cpu": canary}).decision

    assert decided(Gate("cpu", max=0.85), steady) == "PASS"
    assert decided(Gate("cpu", max=0.85), busy) == "ROLLBACK"
    assert decided(Gate("cpu", max_increase=0.1, policy="no_alarm"), steady) == "PASS"
    assert decided(Gate("cpu", max_increase=0.1), busy) == "ROLLBACK"


@pytest.mark.parametrize(("kind", "n"), [(list, 2000), (tuple, 12_000), (np.array, 12_000)], ids=["list", "tuple", "array"])
def test_the_order_of_an_array_does_not_matter(kind, n):
    """An array is a sample: sorted, reversed, shuffled, it is the same one."""
    rng = random.Random(5)
    control, canary = ([rng.lognormvariate(-2.5, 0.6) * by for _ in range(n)] for by in (1.0, 1.06))
    orders = [canary, sorted(canary), sorted(canary, reverse=True), rng.sample(canary, len(canary))]

    reports = [
        CanaryAnalyzer([Gate("p99_latency", max_increase=0.0, max=0.9)])
        .analyze({"latency": kind(control)}, {"latency": kind(order)})
        .to_dict()
        for order in orders
    ]

    assert all(report == reports[0] for report in reports)


def test_ten_million_latencies_take_seconds_and_no_gigabyte():
    """In an hour of a large service; measured by the buckets, for no value is looked at twice. In full under `make soak`."""
    n, chance = size(200_000, full=10_000_000), np.random.default_rng(1)
    control, slower = chance.lognormal(-2.5, 0.6, n), chance.lognormal(-2.5, 0.6, n) * 1.3
    tracemalloc.start()
    try:
        report = CanaryAnalyzer([Gate("p99_latency", max_increase=0.05)]).analyze({"latency": control}, {"latency": slower})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert report.decision == "ROLLBACK"
    assert peak < 20 * 2**20 + 4 * n  # bytes beside the two arrays themselves: what was dropped is looked for in place


def test_many_values_are_dropped_and_counted_as_few_are():
    """NaN, negative and infinite ones among twenty thousand: the same as one by one."""
    values = [0.1] * 20_000 + [math.nan, -1.0, math.inf] * 200

    series = Series.of(np.array(values))

    assert (series.dropped, series.n) == (600, 20_000)
    assert Series.of(values).dropped == 600
    assert Series.of([*values, "0.1"]).dropped == 601
