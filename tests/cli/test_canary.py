"""`progflags canary` and `progflags replay`: files in, verdict and exit code out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

import progflags as pf
from progflags.canary import Evidence, Gate, judge
from progflags.canary._grammar import parse_gate
from progflags.cli import _canary, _replay
from progflags.errors import ProgflagsError
from progflags.store import MemoryStore
from progflags.testing import ManualClock
from support.windows import arm, window


@pytest.fixture
def program():
    """Both commands under a parser of their own."""
    parser = argparse.ArgumentParser()
    parser.set_defaults(json=False)
    commands = parser.add_subparsers()
    for noun in (_canary, _replay):
        noun.add_parser(commands)

    def run(*words):
        arguments = parser.parse_args([str(word) for word in words])
        if "--as-json" in words:
            arguments.json = True
        return arguments.run(arguments)

    return run


@pytest.fixture
def rates(tmp_path):
    def write(name, events, trials=2000, rows=12):
        path = tmp_path / name
        path.write_text("metric,events,trials\n" + f"error_rate,{events},{trials}\n" * rows)
        return path

    return write


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("p99_latency<=+10%", Gate("p99_latency", max_increase=0.1)),
        ("conversion >= -2 % !warning", Gate("conversion", max_decrease=0.02, severity="warning")),
        ("error_rate<=0.001", Gate("error_rate", max=0.001)),
        ("error_rate<=0.1%", Gate("error_rate", max=0.001)),
        ("p99_latency<=500ms", Gate("p99_latency", max=0.5)),
        ("p99_latency<=1.5s", Gate("p99_latency", max=1.5)),
        ("signup>=5%", Gate("signup", min=0.05)),
        ("error_rate<=+0.5", Gate("error_rate", max_increase=0.5)),
        ("*", Gate("*", anomaly=False)),
        ("*!warning", Gate("*", anomaly=False, severity="warning")),
    ],
)
def test_gates_are_typed_shortly(text, gate):
    """A sign makes it relative, a unit is understood, `!warning` softens it."""
    assert parse_gate(text) == gate


@pytest.mark.parametrize(
    "text",
    ["", "error_rate", "error_rate<5%", "error_rate<=", "<=5%", "x<=-5%", "x>=+5%", "p99_latency<=+5ms", "x<=5%!fatal", "error_rate<=500%"],
)
def test_what_is_no_gate_is_refused_with_an_example(text):
    """One sentence."""
    with pytest.raises(ValueError):
        parse_gate(text)


def test_the_exit_code_is_the_verdict(program, rates, capsys):
    """0 pass, 1 rollback, 3 hold."""
    healthy, bad, few = rates("healthy", 20), rates("bad", 90), rates("few", 0, trials=30, rows=2)

    assert program("canary", healthy, healthy, "--gate", "error_rate<=+20%") == 0
    assert program("canary", healthy, bad, "--gate", "error_rate<=+20%") == 1
    assert program("canary", healthy, few, "--gate", "error_rate<=+20%") == 3
    assert "ROLLBACK: error_rate is" in capsys.readouterr().out


def test_json_and_html_hold_the_same_numbers(program, rates, tmp_path, capsys):
    """One object on stdout, one page on disk."""
    code = program("canary", rates("a", 20), rates("b", 90), "--gate", "error_rate<=+20%", "--html", tmp_path / "r.html")
    capsys.readouterr()

    assert code == 1
    assert "ROLLBACK" in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [[], ["--gate", "error_rate"], ["--gate", "error_rate<=+10%", "--alpha", "2"]])
def test_wrong_usage_says_what_is_right(program, rates, words):
    """A ProgflagsError, which the program prints and answers with 2."""
    with pytest.raises(ProgflagsError):
        program("canary", rates("a", 1), rates("b", 1), *words)


def test_a_bad_file_is_named(program, rates, tmp_path):
    """With its row."""
    (tmp_path / "x.csv").write_text("metric,events,trials\nerror_rate,5,1\n")

    with pytest.raises(ProgflagsError, match=r"x\.csv: row 2"):
        program("canary", tmp_path / "x.csv", rates("a", 1), "--gate", "error_rate<=+10%")


def recorded(tmp_path, errors):
    path = tmp_path / f"windows-{errors}.jsonl"
    path.write_text("\n".join(json.dumps(window(arm(1000, 10), arm(1000, errors)).to_json()) for _ in range(20)))
    return path


def test_recorded_windows_are_judged_again(program, tmp_path, capsys):
    """By the gates one asks for: what would another bound have said?"""
    assert program("replay", recorded(tmp_path, 60), "--gate", "error_rate<=+10%") == 1
    assert program("replay", recorded(tmp_path, 10), "--gate", "error_rate<=+10%") == 0
    assert "error_rate" in capsys.readouterr().out


def test_recorded_decisions_come_out_the_same_or_the_difference_is_shown(program, tmp_path, capsys):
    """Bit for bit, by their digest."""
    evidence = Evidence.start([Gate("error_rate", max_increase=0.1)]).add(window(arm(1000, 10), arm(1000, 30)))
    asked = {"baked": 12.5, "bake": 60.0, "min_samples": 100, "fresh": True, "share": 0.5}
    row = {"evidence": evidence.to_json(), **asked, "digest": judge(evidence, **asked).digest}
    (tmp_path / "same.jsonl").write_text(json.dumps(row))
    (tmp_path / "other.jsonl").write_text(json.dumps({**row, "baked": 99.0}))

    assert program("replay", tmp_path / "same.jsonl") == 0
    assert capsys.readouterr().out.startswith("= HOLD")
    assert program("replay", tmp_path / "other.jsonl") == 1
    assert capsys.readouterr().out.startswith("≠ ")


@pytest.mark.parametrize("text", ["", "nonsense", "[1]", '{"v": 9}', '{"evidence": {"v": 9}}'])
def test_a_recording_that_cant_be_read_is_an_error_of_the_file(program, tmp_path, text):
    """Never a traceback."""
    path = tmp_path / "x.jsonl"
    path.write_text(text)

    with pytest.raises(ProgflagsError, match=r"x\.jsonl"):
        program("replay", path, "--gate", "error_rate<=+10%")


def test_what_a_rollout_stored_is_replayed_to_the_same_bits(program, tmp_path):
    """Every look's document: `replay` arrives at its digest, and its findings are told whole only when somebody asks, as they would have been."""
    clock = ManualClock(wall=1_800_000_000.0)
    store = MemoryStore(clock=clock)
    gates = [{"metric": "error_rate", "max_increase": 0.5}, {"metric": "p99_latency", "max_increase": 0.2, "policy": "no_alarm"}]
    stages = [{"percent": 10, "bake": "60s", "min_samples": 20, "gates": gates}]
    flags = pf.connect({"flags": {"f": {"rollout": {"stages": stages, "batch": "5s"}}}}, store=store, poll=None, clock=clock)
    flags.rollouts.start("f")
    rows = []
    for number in range(8):
        for arm_name, n in (("control", 900), ("candidate", 100)):
            flags.metrics.record("f", arm=arm_name, seconds=0.1 + 0.01 * number, error=False, n=n)
            flags.metrics.record("f", arm=arm_name, seconds=0.3, error=True, n=n // 100)
        clock.advance(5)
        flags.rollouts.tick()
        rows.append(json.loads(json.dumps(store.read("rollout/f")[1]["rollout/f"].body)))
    status = flags.rollouts.status("f")
    path = tmp_path / "documents.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    assert program("replay", path) == 0
    last = rows[-1]
    whole = judge(Evidence.from_json(last["evidence"]), **last["verdict"]["asked"]).to_dict()
    assert last["verdict"]["decision"] == "HOLD"
    assert "interval" not in last["verdict"]["findings"][0]  # nobody asked
    assert [dict(finding) for finding in status.findings] == whole["findings"]
    assert whole["findings"][0]["interval"] is not None
    flags.close()

    path.write_text(json.dumps({**last, "evidence": rows[-2]["evidence"]}) + "\n")
    assert program("replay", path) == 1


def test_a_decision_on_evidence_of_version_1_is_refused_by_name(program):
    """Another rule made it; the rollout itself goes on with that evidence."""
    golden = Path(__file__).parents[1] / "golden" / "evidence1.json"

    with pytest.raises(ProgflagsError, match="version 1"):
        program("replay", golden)
