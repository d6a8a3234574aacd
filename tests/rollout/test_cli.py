"""`progflags rollout …`: the verbs, the screen, the exit codes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from progflags.cli import main
from progflags.cli._watch import screen, watch
from progflags.store import Commit, SQLiteStore
from progflags.testing import ManualClock

from .conftest import FLAG, House

FILE = f"""
[flags.{FLAG}.rollout]
watch = "120s"
stages = [
  {{ percent = 10, bake = "60s", min_samples = 20, gates = [{{ metric = "error_rate", max = 0.2, policy = "no_alarm" }}] }},
  {{ percent = 50, bake = "60s", min_samples = 20, gates = [{{ metric = "error_rate", max = 0.2, policy = "no_alarm" }}] }},
]
"""


@pytest.fixture
def cli(tmp_path, capsys):
    (tmp_path / "flags.toml").write_text(FILE)

    def run(*words):
        code = main(["--flags", str(tmp_path / "flags.toml"), "--store", f"sqlite:///{tmp_path}/p.db", "rollout", *words])
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


def test_a_climb_is_started_looked_at_and_rolled_back(cli):
    assert cli("start", FLAG, "--by", "ann", "--reason", "4.2")[:2] == (
        0,
        f"{FLAG}: ramping stage 1/2 at 10 %, 60 s to bake (nothing stands in the way)\n",
    )
    code, out, _ = cli("status", FLAG, "--json")
    assert (code, json.loads(out)["percent"]) == (0, 10.0)
    assert cli("promote", FLAG)[0] == 0
    assert cli("rollback", FLAG, "--reason", "pager")[0] == 0
    code, out, _ = cli("status", FLAG)
    assert (code, "rolled_back" in out) == (1, True)
    code, out, _ = cli("history", FLAG)
    assert "draft → scheduled at 0 % by ann: 4.2" in out
    assert cli("verify", FLAG)[0] == 0


def test_a_refused_verb_exits_with_two_and_says_what_is_possible(cli):
    code, _, err = cli("promote", FLAG)
    assert (code, "possible now: start" in err) == (2, True)
    code, out, _ = cli("resume", FLAG, "--json")
    assert (code, json.loads(out)["legal"]) == (2, ["start"])


def test_a_plan_is_told_before_it_begins(cli):
    code, out, _ = cli("plan", FLAG, "--rps", "10")
    assert code == 0
    assert "requests on the candidate" in out
    assert "less than 15m" in out
    told = json.loads(cli("plan", FLAG, "--json")[1])
    assert (told["forecast"]["to_full"], told["plan"]["stages"][0]["percent"]) == (120, 10)


def test_watching_without_a_terminal_is_a_line_per_change(cli, tmp_path):
    cli("start", FLAG)
    cli("abort", FLAG)
    code, out, _ = cli("watch", FLAG, "--every", "0.01")
    assert (code, out.count("\n")) == (1, 1)
    assert "aborted" in out


def long_status():
    house = House(
        tables={
            FLAG: {
                "stages": [
                    {
                        "percent": 10,
                        "bake": "60s",
                        "gates": [{"metric": f"metric_with_a_long_name_{n}_rate", "max": 0.1} for n in range(12)],
                    }
                ]
            }
        }
    )
    house.rollouts.start(FLAG, reason="a reason that goes on and on, because somebody pasted a whole paragraph of it\ninto the field " * 3)
    house.run(30)
    house.rollouts.pause(FLAG)
    house.rollouts.kill(FLAG)
    return house.status()


def test_the_screen_fits_eighty_by_twenty_four():
    text = screen(long_status(), width=80, height=24)

    assert len(text.splitlines()) < 24
    assert max(map(len, text.splitlines())) <= 80
    assert f"{FLAG}   KILLED, PAUSED   10 %   stage 1 of 1" in text


@pytest.mark.parametrize("notes", [1, 2, 9])
def test_what_the_checks_advise_is_on_the_screen_and_the_last_events_stay_in_sight(notes):
    status = replace(long_status(), notes=("12 % of the requests came without a user, so the sample ratio is not checked; " * 2,) * notes)
    text = screen(status, width=80, height=24)

    assert len(text.splitlines()) < 24
    assert max(map(len, text.splitlines())) <= 80
    assert "note: 12 % of the requests" in text
    assert ("`rollout status` has them" in text) == (notes > 1)
    assert f"#{status.history[-1].revision} " in text.splitlines()[-1]
    assert "metric_with_a_long" in text


def test_the_notes_of_a_verdict_are_told_by_status(capsys):
    from argparse import Namespace

    from progflags.cli._rollout import _say

    house = House()
    house.rollouts.start(FLAG)
    house.run(10)
    key = f"rollout/{FLAG}"
    body = house.store.read(key)[1][key].body
    house.store.commit(Commit({key: {**body, "verdict": {**body["verdict"], "notes": ["the control looks worse than itself"]}}}))
    status = house.status()
    assert status.notes == ("the control looks worse than itself",)
    assert status.to_dict()["notes"] == list(status.notes)

    _say(Namespace(json=False), status)
    assert f"  note: {status.notes[0]}" in capsys.readouterr().out


def test_on_a_terminal_rich_draws_the_same_text(monkeypatch, capsys):
    pytest.importorskip("rich")
    import io
    import sys

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    watch(long_status, over=lambda status: True)

    assert f"{FLAG}   KILLED, PAUSED" in terminal.getvalue()


def test_the_application_and_the_command_line_share_one_store(cli, tmp_path):
    clock = ManualClock(wall=1_800_000_000.0)
    house = House(SQLiteStore(tmp_path / "p.db"), clock)
    cli("start", FLAG)
    house.refresh()
    assert house.exposed() > 5
    cli("rollback", FLAG)
    house.refresh()
    assert house.exposed() == 0
    house.store.close()


NEW = f"""
[flags.{FLAG}]
rules = [{{ percent = 100, serve = "on" }}]
[flags.{FLAG}.rollout]
watch = "120s"
stages = [{{ percent = 10, bake = "60s" }}, {{ percent = 50, bake = "60s" }}]
"""


@pytest.fixture
def new(tmp_path):
    file = tmp_path / "new.toml"
    file.write_text(NEW)
    return str(file)


def test_a_change_is_looked_at_before_it_begins(cli, new):
    """What differs, who would move, by which stages; nothing is begun, and the same is told to a program."""
    code, out, _ = cli("change", FLAG, "--to", new, "--dry-run")
    assert code == 0
    assert f"{FLAG}: new definition " in out
    assert "(rules)" in out
    assert "off → on: 100 % of the units" in out
    assert "nothing was begun" in out
    assert "10 %" in out
    assert cli("status", FLAG)[1].startswith(f"{FLAG}: draft")
    code, out, _ = cli("change", FLAG, "--to", new, "--dry-run", "--attr", "plan=pro", "--json")
    told = json.loads(out)
    assert (code, told["ok"], told["parts"], told["moved"][0]["ppm"]) == (0, True, ["rules"], 1_000_000)
    assert [stage["percent"] for stage in told["plan"]["stages"]] == [10.0, 50.0]


def test_a_change_begins_and_what_is_refused_says_so(cli, new, tmp_path):
    code, out, _ = cli("change", FLAG, "--to", new, "--by", "ann", "--reason", "4.3")
    assert code == 0
    assert "ramping stage 1/2 at 10 %" in out
    assert "new definition" in out
    assert f"new definition {json.loads(cli('status', FLAG, '--json')[1])['change']} (rules): 4.3" in cli("history", FLAG)[1]
    code, _, err = cli("change", FLAG, "--to", new)
    assert code == 2
    assert "its definition can't be changed now" in err
    (tmp_path / "same.toml").write_text(FILE)
    for more in ((), ("--json",)):
        code, out, err = cli("change", FLAG, "--to", str(tmp_path / "same.toml"), "--dry-run", *more)
        assert code == 2
        assert "there is nothing to deliver" in out + err
    (tmp_path / "bad.toml").write_text(f"[flags.{FLAG}]\npercent = 200\n")
    code, _, err = cli("change", FLAG, "--to", str(tmp_path / "bad.toml"))
    assert code == 2
    assert f"bad.toml:2: flags.{FLAG}.percent" in err
