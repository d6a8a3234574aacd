"""`rollouts.report` and `progflags report`: a run's evidence, from the store, long after the process that gathered it."""

from __future__ import annotations

import json

import pytest

import progflags as pf
from progflags.cli import main
from progflags.rollout.state import dump, load
from progflags.testing import ManualClock

FILE = """
[flags.checkout.rollout]
stages = [{ percent = 10, bake = "60s", gates = [{ metric = "error_rate", max_increase = 0.5 }, { metric = "p99_latency", max_increase = 0.5 }] }]
"""


@pytest.fixture
def rolled_back(tmp_path):
    """A store in which one in three calls of the candidate failed, and that is all that is left of it."""
    (tmp_path / "flags.toml").write_text(FILE)
    where = ["--flags", str(tmp_path / "flags.toml"), "--store", f"sqlite:///{tmp_path}/p.db"]
    clock = ManualClock()
    with pf.connect(where[1], store=where[3], poll=None, clock=clock) as flags:
        flags.rollouts.start("checkout", by="ann", reason="<4.2>")
        for _ in range(10):
            flags.metrics.record("checkout", arm="control", seconds=0.01, error=False, n=90)
            flags.metrics.record("checkout", arm="candidate", seconds=0.01, error=False, n=6)
            flags.metrics.record("checkout", arm="candidate", seconds=0.01, error=True, n=3)
            clock.advance("5s")
            flags.rollouts.tick()
        return where, flags.rollouts.status("checkout")


def test_another_process_reports_what_the_run_was_decided_on(rolled_back, capsys):
    where, status = rolled_back
    assert status.verdict == "ROLLBACK"

    assert main([*where, "report", "checkout", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["decision"], told["reason"]) == ("ROLLBACK", status.why)
    was = {finding["metric"]: finding["evidence_max"] for finding in status.findings}
    assert {name: finding["evidence_max"] for name, finding in told["results"].items()} == was
    assert [step["to"] for step in told["steps"]][-1] == "rolled_back"

    assert main([*where, "report", "checkout"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("checkout: rolled_back at 0 %")
    assert "ROLLBACK: error_rate is 33" in out


def test_it_tells_of_one_run_and_does_not_grow_with_those_before_it(rolled_back, capsys):
    """A flag that is rolled out every week for years has a page as long as in its first week."""
    where, _ = rolled_back
    clock = ManualClock()
    with pf.connect(where[1], store=where[3], poll=None, clock=clock) as flags:
        for _ in range(3):
            flags.rollouts.retry("checkout", by="bob", force=True)
            flags.rollouts.rollback("checkout", reason="not yet")
        steps = flags.rollouts.history("checkout")
    assert main([*where, "report", "checkout", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)["steps"]

    assert [(step["from"], step["to"], step["actor"]) for step in told] == [
        ("rolled_back", "scheduled", "bob"),
        ("scheduled", "ramping", "bob"),
        ("ramping", "rolling_back", steps[-1].actor),
        ("rolling_back", "rolled_back", steps[-1].actor),
    ]
    assert len(steps) > 3 * len(told)


def test_the_page_holds_findings_plots_and_steps_and_nothing_from_elsewhere(rolled_back, tmp_path, capsys):
    where, _ = rolled_back
    page = tmp_path / "report.html"

    assert main([*where, "report", "checkout", "--html", str(page)]) == 1
    text = page.read_text(encoding="utf-8")
    assert str(page) in capsys.readouterr().out
    assert "<title>checkout: rolled_back at 0 %</title>" in text
    assert "ramping → baking" in text
    assert "&lt;4.2&gt;" in text
    assert "<svg" in text
    assert "http" not in text.replace("http-equiv", "")
    assert len(text.encode()) < 300_000


@pytest.mark.parametrize(("flag", "says"), [("checkout", "no evidence yet"), ("chekout", "did you mean 'checkout'")])
def test_where_nothing_was_gathered_it_says_so(tmp_path, capsys, flag, says):
    (tmp_path / "flags.toml").write_text(FILE)

    assert main(["--flags", str(tmp_path / "flags.toml"), "--store", f"sqlite:///{tmp_path}/p.db", "report", flag]) == 2
    assert says in capsys.readouterr().err


TWO = """
[flags.checkout.rollout]
stages = [
  { percent = 10, bake = "60s", gates = [{ metric = "error_rate", max_increase = 0.5, policy = "no_alarm" }] },
  { percent = 50, bake = "60s", gates = [{ metric = "error_rate", max_increase = 0.5, policy = "no_alarm" }, { metric = "conversion", min = 0.0 }] },
]
watch = "60s"
"""


@pytest.fixture
def climbing(tmp_path):
    """A rollout of two stages and a watch, and how to let so many seconds of traffic pass, the candidate failing so many of ten calls."""
    (tmp_path / "flags.toml").write_text(TWO)
    where = ["--flags", str(tmp_path / "flags.toml"), "--store", f"sqlite:///{tmp_path}/p.db"]
    clock = ManualClock()
    with pf.connect(where[1], store=where[3], poll=None, clock=clock) as flags:
        flags.rollouts.start("checkout")

        def pass_(seconds, bad=0):
            for _ in range(seconds // 5):
                flags.metrics.record("checkout", arm="candidate", seconds=0.01, error=False, n=(10 - bad) * 5)
                if bad:
                    flags.metrics.record("checkout", arm="candidate", seconds=0.01, error=True, n=bad * 5)
                if flags.rollouts.status("checkout").percent < 100:
                    flags.metrics.record("checkout", arm="control", seconds=0.01, error=False, n=450)
                clock.advance("5s")
                flags.rollouts.tick()
            return flags.rollouts.status("checkout")

        yield where, flags, pass_


def gates(report):
    return [
        (stage["percent"], stage["decision"], [finding["gate"] for finding in stage["findings"] if finding["gate"]])
        for stage in report.extra["stages"]
    ]


def test_what_every_stage_was_judged_on_is_there_when_it_is_over(climbing, tmp_path, capsys):
    where, flags, pass_ = climbing
    assert pass_(200).state == "completed"
    report = flags.rollouts.report("checkout")

    assert gates(report)[:2] == [
        (10.0, "PASS", ["error_rate max_increase 0.5"]),
        (50.0, "PASS", ["error_rate max_increase 0.5", "conversion min 0"]),
    ]
    assert gates(report)[2][0] == 100.0
    assert all(stage["samples"]["candidate"] >= 600 for stage in report.extra["stages"])
    assert main([*where, "report", "checkout", "--html", str(tmp_path / "r.html")]) == 0  # out of the store
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<h1>checkout: completed at 100 %</h1>" in page
    assert page.count('<td class="PASS"') >= 3
    assert "was watched after 100 %: conversion by its bound, error_rate by the control as it was" in page
    capsys.readouterr()
    assert main([*where, "report", "checkout"]) == 0
    out = capsys.readouterr().out
    assert "  at 10 %, 600 calls of the candidate: ✓ PASS" in out
    assert "  at 50 %" in out


def test_a_stage_that_was_passed_stays_told_after_the_next_one_failed(climbing):
    _, flags, pass_ = climbing
    pass_(65)
    assert pass_(60, bad=4).state == "rolled_back"

    report = flags.rollouts.report("checkout")
    assert [row[:2] for row in gates(report)] == [(10.0, "PASS"), (50.0, "ROLLBACK")]
    first, last = report.extra["course"]["points"][0], report.extra["course"]["points"][-1]
    assert report.extra["course"]["gates"][0] == "error_rate max_increase 0.5"
    assert first[1] < 1 <= last[1]
    assert "Evidence against error_rate max_increase 0.5 over time" in report.to_html()
    bounds = [(at, *row[0]) for at, *row in report.extra["course"]["bounds"] if row[0] is not None]
    assert bounds[0][1] < 0.5 < bounds[-1][1]  # the interval has left the gate behind where the gate fell
    assert "Effect for error_rate max_increase 0.5" in report.to_html()
    flags.rollouts.retry("checkout", force=True)
    pass_(30)
    assert [row[:2] for row in gates(flags.rollouts.report("checkout"))] == [(10.0, "HOLD")]


def test_a_stage_in_which_nothing_was_judged_says_so(climbing):
    _, flags, _ = climbing
    flags.rollouts.promote("checkout", force=True)
    report = flags.rollouts.report("checkout")

    assert [stage["decision"] for stage in report.extra["stages"]] == ["", ""]
    assert "at 10 %, 0 calls of the candidate: nothing was judged" in str(report)
    assert "not judged" not in report.to_html()


def test_a_document_of_a_version_that_kept_no_results_is_read(climbing):
    _, flags, pass_ = climbing
    pass_(200)
    body = dump(flags.rollouts._parts.ledger.page("checkout").record)

    assert load(body).results == flags.rollouts._parts.ledger.page("checkout").record.results
    del body["results"]
    assert load(body).results == ()
