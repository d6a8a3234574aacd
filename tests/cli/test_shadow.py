"""`shadow status` and `shadow report`: what every process's dark launches found, merged over one store, and why in words."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import textwrap

import pytest

import progflags as pf
from progflags.cli import main
from progflags.darklaunch import ShadowSummary
from progflags.darklaunch.compare import Mean
from progflags.darklaunch.record._latency import Durations
from progflags.testing import ManualClock

SECRET = "card 4111 1111 1111 1111"
WORKER = f"""
import sys
import progflags as pf

flags = pf.connect({{"flags": {{"prices": {{"percent": 100}}}}}}, store=sys.argv[1], control=False)

def candidate(n):
    if n == 0:
        raise ValueError("{SECRET}")
    return {{"price": 1 if n == 1 else 0, "who": "{SECRET}"}}

@pf.dark_launch("prices", candidate=candidate, flags=flags, executor="inline")
def price(n):
    return {{"price": 0, "who": "{SECRET}"}}

for n in range(int(sys.argv[2])):
    price(n)
print("done", flush=True)
sys.stdin.read()
flags.close()
"""


@pytest.fixture
def store(tmp_path):
    return f"sqlite:///{tmp_path / 'state.db'}"


def worked(tmp_path, store, *calls):
    """Processes that made so many calls, side by side, and ended."""
    program = tmp_path / "worker.py"
    program.write_text(textwrap.dedent(WORKER))
    command = [sys.executable, str(program), store]
    workers = [subprocess.Popen([*command, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for n in calls]
    for worker in workers:
        assert worker.stdout.readline() == "done\n"
    for worker in workers:
        worker.communicate("")
        assert worker.returncode == 0


def told(capsys, *words):
    code = main([*words])
    return code, capsys.readouterr().out


def test_two_processes_on_one_store_are_one_experiment(tmp_path, store, capsys):
    worked(tmp_path, store, 100, 400)

    code, out = told(capsys, "--store", store, "shadow", "status")
    assert code == 1  # 4 of 500, where 1 in 1000 is allowed: see the interval
    first, *why = out.splitlines()
    assert "prices · __main__:price: 0.800% of 500 compared calls differ, in 2 processes" in first
    assert any(line.startswith("    failed with ValueError at worker.py:") and line.endswith(": 2") for line in why)
    assert "    differ at $.price: 2" in why

    code, out = told(capsys, "--store", store, "--json", "shadow", "report", "prices")
    [row] = json.loads(out)
    assert row["outcomes"]["match"] == 496
    assert row["outcomes"]["candidate_error"] == row["outcomes"]["mismatch"] == 2
    assert row["processes"] == 2
    assert row["latency"]["control"]["n"] == 500
    assert 0 < row["latency"]["candidate"]["p50"] <= row["latency"]["candidate"]["p99"]
    assert row["score"] == {"n": 0, "mean": None, "interval": None}

    code, out = told(capsys, "--store", store, "shadow", "report", "prices")
    assert "    outcomes: match 496, " in out
    assert "    control: p50 " in out

    stored = b"".join(path.read_bytes() for path in tmp_path.glob("state.db*"))
    assert b"shadow-found" in stored
    assert SECRET.encode() not in stored  # counts, classes, places and paths: never a value


def test_the_exit_code_is_the_verdict(tmp_path, store, capsys):
    assert told(capsys, "--store", store, "shadow", "status") == (3, "no process has told of a dark launch yet\n")
    worked(tmp_path, store, 300)
    assert told(capsys, "--store", store, "shadow", "status", "--max-mismatch", "0.2")[0] == 0
    assert told(capsys, "--store", store, "shadow", "status", "--max-mismatch", "0.0001")[0] == 1
    code, out = told(capsys, "--store", store, "shadow", "status", "--max-mismatch", "0.0067")
    assert (code, out.split()[0]) == (3, "UNDECIDED")
    assert told(capsys, "--store", store, "shadow", "status", "another")[0] == 3
    assert told(capsys, "--store", store, "shadow", "status", "--max-mismatch", "0")[0] == 2


def test_without_a_store_there_is_nobody_to_ask(capsys, monkeypatch):
    monkeypatch.delenv("PROGFLAGS_STORE", raising=False)
    assert main(["shadow", "status"]) == 2
    assert "--store URL" in capsys.readouterr().err


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def flags(store, clock):
    with pf.connect({"flags": {"prices": {"percent": 100}}}, store=store, poll=None, clock=clock) as connected:
        yield connected


@pytest.fixture
def serving(store):
    """On the clock that the command line has too."""
    with pf.connect({"flags": {"prices": {"percent": 100}}}, store=store, poll=None) as connected:
        yield connected


def launched(flags, executor="inline", **options):
    @pf.dark_launch("prices", flags=flags, executor=executor, **options)
    def price(n):
        return n

    return price


def test_a_row_is_put_up_when_something_changed_and_not_more_often_than_it_is_read(flags, clock):
    price = launched(flags, candidate=lambda n: n)

    def seq():
        flags.rollouts.publish()
        return [row.seq for row in flags.rollouts._parts.board.collect("shadow-found")]

    assert seq() == []  # nothing was called: nothing is said
    clock.advance(6)
    price(1)
    assert seq() == [1]
    price(2)
    assert seq() == [1]
    clock.advance(6)
    assert seq() == [2]
    clock.advance(60)
    assert seq() == [2]  # the same again
    clock.advance(300)
    assert seq() == [3]  # and a sign of life
    clock.advance(6)
    uncalled = launched(flags, candidate=lambda n: n)
    assert seq() == [3]
    assert uncalled(1) == 1


def test_what_a_process_that_is_gone_has_found_is_forgotten_after_a_while(flags, clock):
    price = launched(flags, candidate=lambda n: n)  # held: what nobody holds is no experiment any more
    price(1)
    flags.rollouts.publish()
    [found] = flags.rollouts.dark_launches()
    assert found.outcomes["match"] == 1
    clock.advance(1000)
    assert flags.rollouts.dark_launches() == ()


def test_rows_of_the_dead_do_not_pile_up(flags, clock, monkeypatch):
    monkeypatch.setattr("progflags.rollout.run._sweep._ONE_IN", 1)
    price = launched(flags, candidate=lambda n: n)  # held: what nobody holds is no experiment any more
    price(1)
    board = flags.rollouts._parts.board
    for number in range(40):
        board.publish("shadow-found", f"dead-{number}", 1, b"{}")
    clock.advance(1000)
    board.publish("shadow-found", "living", 7, b'{"v": 1, "process": "another:1", "found": []}')
    flags.rollouts.publish()
    rows = {row.worker: row.seq for row in board.collect("shadow-found")}
    assert len(rows) == 2
    assert rows["living"] == 7


def test_of_several_candidates_each_is_told(flags):
    price = launched(flags, candidates={"v2": lambda n: n, "v3": lambda n: -n}, per_call="all")
    for n in range(1, 11):
        price(n)
    flags.rollouts.publish(at_once=True)
    found = {one.candidate: dict(one.mismatches) for one in flags.rollouts.dark_launches()}
    assert found == {"v2": {}, "v3": {"$": 10}}


def test_scores_are_told_by_their_mean_and_an_answer_that_differs_is_no_failure(serving, capsys, store):
    price = launched(serving, candidate=lambda n: n + 1, score=lambda _control, candidate: 1.0 if candidate % 2 else 0.5)
    for n in range(400):
        price(n)
    serving.rollouts.publish(at_once=True)
    code, out = told(capsys, "--store", store, "shadow", "status", "--max-mismatch", "0.05")
    assert code == 0, out
    assert "    mean score 0.75 of 400 calls" in out


@pytest.mark.parametrize(("least", "code", "state"), [("0.86", 0, "SAFE"), ("0.93", 1, "UNSAFE"), ("0.9", 3, "UNDECIDED")])
def test_the_mean_score_of_all_workers_decides_where_none_has_seen_enough(store, capsys, least, code, state):
    """Two clients stand for two workers: each 150 answers between 0.85 and 0.95."""
    with contextlib.ExitStack() as workers:
        for at in range(2):
            flags = workers.enter_context(pf.connect({"flags": {"prices": {"percent": 100}}}, store=store, poll=None))
            price = launched(flags, candidate=lambda n: n + 1, score=lambda control, _: 0.85 + control % 101 / 1000)
            workers.callback(price.dark_launch.close)
            for n in range(150):
                price(n + 75 * at)
            alone = price.dark_launch.verdict(0.05, min_score=float(least))
            assert alone.state == "UNDECIDED", alone
            flags.rollouts.publish(at_once=True)
        said, out = told(capsys, "--store", store, "shadow", "status", "--max-mismatch", "0.05", "--min-score", least)
        assert said == code, out
        assert out.startswith(f"{state}  prices")
        assert "of 300 calls; the true one is between" in out
        _, text = told(capsys, "--store", store, "--json", "shadow", "status", "--min-score", least)
        [row] = json.loads(text)
        low, high = row["score"]["interval"]
        assert low < row["score"]["mean"] < high


def test_a_score_is_asked_only_of_launches_that_have_one(serving, capsys, store):
    price = launched(serving, candidate=lambda n: n)
    for n in range(400):
        price(n)
    serving.rollouts.publish(at_once=True)
    code, out = told(capsys, "--store", store, "shadow", "status", "--max-mismatch", "0.05", "--min-score", "0.9")
    assert (code, "score" in out) == (0, False)
    [found] = serving.rollouts.dark_launches()
    with pytest.raises(ValueError, match="no score="):
        found.verdict(min_score=0.9)


def test_a_score_that_has_no_square_is_none_and_costs_no_row(serving, capsys, store):
    price = launched(serving, candidate=lambda n: n, score=lambda _control, _candidate: 1e300)
    price(1)
    serving.rollouts.publish(at_once=True)
    code, out = told(capsys, "--store", store, "shadow", "status", "--min-score", "0.9")
    assert code == 3
    assert "no call has a score yet" in out


def test_what_could_not_be_ended_is_said(serving, capsys, store):
    price = launched(serving, candidate=lambda n: n)
    price(1)
    price.dark_launch.record.unstoppable.add(1)
    price.dark_launch.record.stopped.bump()
    serving.rollouts.publish(at_once=True)
    _, out = told(capsys, "--store", store, "shadow", "status")
    assert "ended by stop_runaways: 1" in out
    assert "can't be ended, and hold a thread each: 1" in out


def test_what_was_left_out_is_said_in_words(serving, capsys, store):
    price = launched(serving, candidate=lambda n: n, executor="thread")
    for _ in range(3):
        price(iter([1]))
    assert price.dark_launch.drain(30)
    serving.rollouts.publish(at_once=True)
    _, out = told(capsys, "--store", store, "shadow", "status")
    assert "left out, the arguments can't be copied (isolation): 3" in out
    assert "can't be copied: builtins.list_iterator: 3" in out


def test_a_row_that_cannot_be_read_and_one_of_another_client_are_nobodys_failure(flags, store, tmp_path):
    with pf.connect({"flags": {"prices": {"percent": 100}}}, store=f"sqlite:///{tmp_path / 'other.db'}", poll=None) as other:
        elsewhere = launched(other, candidate=lambda n: n)  # held: what nobody holds is no experiment any more
        elsewhere(1)
        price = launched(flags, candidate=lambda n: n)  # held: what nobody holds is no experiment any more
        price(1)
        flags.rollouts._parts.board.publish("shadow-found", "stranger", 1, b'{"v": 1, "found": [[]]}')
        flags.rollouts.publish()
        [found] = flags.rollouts.dark_launches()
        assert found.outcomes["match"] == 1
        assert found.processes == 1


def durations(seconds):
    made = Durations()
    for one in seconds:
        made.add(one)
    return made


@pytest.mark.parametrize("seed", range(50))
def test_merged_quantiles_are_those_of_all_observations(seed):
    draw = random.Random(seed)
    first, second = ([10 ** draw.uniform(-6, 2) for _ in range(draw.choice([0, 1, 2, 40]))] for _ in range(2))
    whole, merged = durations(first + second), Durations.from_json(json.loads(json.dumps(durations(first).to_json())))
    merged.merge(durations(second))
    assert merged.read() == whole.read()


@pytest.mark.parametrize("seed", range(50))
def test_a_summary_is_bounded_and_loses_no_count(seed):
    draw = random.Random(seed)
    first, second = (
        {f"{n}-" * (n + 1): draw.randint(1, 9) for n in draw.sample(range(300), draw.choice([0, 3, 64, 200]))} for _ in range(2)
    )
    one, other = ShadowSummary("f"), ShadowSummary("f")
    one.failures.update(first)
    other.failures.update(second)
    for summary in (one, other):
        assert len(json.dumps(summary.to_json())) < 20_000
        assert ShadowSummary.from_json(summary.to_json()).failures.total() == summary.failures.total()
    one.merge(other)
    assert one.failures.total() == sum(first.values()) + sum(second.values())
    assert len(one.failures) <= 65


def test_means_merge_by_their_weights():
    scores = [random.Random(7).random() for _ in range(30)]
    one, other = (ShadowSummary("f", scored=Mean()) for _ in range(2))
    for at, score in enumerate(scores):
        (one if at < 10 else other).scored.add(score)
    one.merge(ShadowSummary.from_json(json.loads(json.dumps(other.to_json()))))
    assert one.scores == 30
    assert one.mean == pytest.approx(sum(scores) / 30)
