"""A dark launch answers for a rollout: here by a function, over a fleet by what every process compared."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

import progflags as pf
from progflags.events import Compared
from progflags.rollout import State
from progflags.testing import ManualClock
from rollout.conftest import FLAG, House, rollout_table

SHADOW = "prices-shadow"
TABLES = {FLAG: rollout_table(dark_launch=True)}


def compare(house, outcome="match", n=1):
    for _ in range(n):
        house.bus.tell(Compared(SHADOW, outcome))


@pytest.fixture
def fleet(houses):
    found = houses(3, tables=TABLES)
    for house in found:
        house.rollouts.shadow(FLAG, of=SHADOW, max_mismatch=0.01)
    found[0].rollouts.start(FLAG)
    for house in found:
        house.refresh()
        house.rollouts.publish()
    return found


def test_what_every_process_compared_is_judged_together(fleet):
    """None of them has seen enough; the three have, and the one that decides has seen nothing."""
    alone = 100
    for house in fleet[1:]:
        compare(house, n=alone)
        house.rollouts.publish()
    assert fleet[0].rollouts.tick() == ()
    assert "UNDECIDED" in fleet[0].status().waiting

    fleet[0].clock.advance(5)
    for house in fleet[1:]:
        compare(house, n=alone)
        house.rollouts.publish()
    assert [step.percent for step in fleet[0].rollouts.tick()] == [10]
    assert fleet[0].store.board.collect(f"shadow:{FLAG}@1") != ()
    for house in fleet:
        house.refresh()
        house.rollouts.publish()
    assert fleet[0].store.board.collect(f"shadow:{FLAG}@1") == ()  # nobody reads them any more


@pytest.mark.parametrize("outcome", ["mismatch", "candidate_error", "timeout"])
def test_one_process_whose_shadow_differs_holds_all_of_them(fleet, outcome):
    compare(fleet[1], n=3000)
    compare(fleet[2], outcome, n=100)
    for house in fleet[1:]:
        house.rollouts.publish()
    assert fleet[0].rollouts.tick() == ()
    assert "UNSAFE" in fleet[0].status().waiting


@pytest.mark.parametrize(("score", "waits"), [(0.95, ""), (0.5, "UNSAFE")])
def test_scores_of_every_process_are_judged_together(houses, score, waits):
    """Answers that differ are none against a scored candidate; the mean is judged, over all processes."""
    found = houses(3, tables=TABLES)
    for house in found:
        house.rollouts.shadow(FLAG, of=SHADOW, max_mismatch=0.05, min_score=0.9, margin=0.05)
    found[0].rollouts.start(FLAG)
    for house in found:
        house.refresh()
        house.rollouts.publish()
    for round_ in range(2):
        found[0].clock.advance(5)
        for house in found[1:]:
            for _ in range(30):
                house.bus.tell(Compared(SHADOW, "mismatch", score=score))
            house.rollouts.publish()
        steps = found[0].rollouts.tick()
        if not round_:
            assert steps == ()
    assert [step.percent for step in steps] == ([] if waits else [10])
    assert waits in (found[0].status().waiting or "")


def test_a_row_of_an_earlier_version_has_no_scores_and_counts(fleet):
    fleet[0].store.board.publish(f"shadow:{FLAG}@1", "older", 1, b'{"v": 1, "bad": 0, "n": 3000}')
    assert [step.percent for step in fleet[0].rollouts.tick()] == [10]


def test_what_could_not_be_compared_counts_for_nothing(fleet):
    for outcome in ("off", "not_sampled", "shed", "compare_error", "incomplete"):
        compare(fleet[1], outcome, n=2000)
    fleet[1].rollouts.publish()
    assert fleet[0].rollouts.tick() == ()


def test_a_new_run_asks_for_new_comparisons(fleet):
    """What was compared before the start, or for a run that was given up, says nothing about this candidate."""
    compare(fleet[1], n=3000)
    fleet[1].rollouts.publish()
    fleet[0].rollouts.abort(FLAG)
    assert fleet[0].rollouts.start(FLAG).state is State.SCHEDULED
    fleet[1].refresh()
    fleet[1].rollouts.publish()
    assert fleet[0].rollouts.tick() == ()

    compare(fleet[1], n=3000)
    fleet[1].clock.advance(5)
    fleet[1].rollouts.publish()
    assert [step.percent for step in fleet[0].rollouts.tick()] == [10]


def test_a_row_that_cannot_be_read_is_left_out(fleet):
    compare(fleet[1], n=3000)
    fleet[1].rollouts.publish()
    for number, body in enumerate([b"", b"[]", b'{"n": 1}', b'{"bad": "x", "n": 2}']):
        fleet[0].store.board.publish(f"shadow:{FLAG}@1", f"odd-{number}", 1, body)
    assert [step.percent for step in fleet[0].rollouts.tick()] == [10]


@pytest.mark.parametrize("stepped", [86_400, -86_400], ids=["forward", "back"])
def test_a_clock_that_is_set_makes_no_shadow_shorter_and_none_endless(stepped):
    """A day on the wall is no day of shadowing, and a day back none that was not; a restart goes on where the start was."""
    house = House(tables={FLAG: rollout_table(dark_launch="24h")})
    house.rollouts.shadow(FLAG, lambda: "SAFE")
    house.rollouts.start(FLAG)
    house.clock.advance("1h")
    house.clock.step_wall(stepped)
    assert house.rollouts.tick() == ()
    house.clock.advance("22h")
    assert house.rollouts.tick() == ()
    house.clock.advance("1h")
    house.rollouts.tick()

    assert house.status().state is State.RAMPING


def test_it_is_one_or_the_other(house):
    with pytest.raises(ValueError, match="say one of them"):
        house.rollouts.shadow(FLAG)
    with pytest.raises(ValueError, match="say one of them"):
        house.rollouts.shadow(FLAG, bool, of=SHADOW)
    with pytest.raises(ValueError, match="goes with of="):
        house.rollouts.shadow(FLAG, bool, min_score=0.9)
    with pytest.raises(ValueError, match="margin"):
        house.rollouts.shadow(FLAG, of=SHADOW, min_score=0.9, margin=-1)
    with pytest.raises(ValueError, match="between 0 and 1"):
        house.rollouts.shadow(FLAG, of=SHADOW, max_mismatch=1.5)


def test_a_function_takes_the_place_of_the_counts_and_back():
    house = House(tables=TABLES)
    house.rollouts.shadow(FLAG, of=SHADOW)
    house.rollouts.shadow(FLAG, lambda: "SAFE")
    assert house.rollouts.start(FLAG).percent == 10


WORKER = """
import json, sys
import progflags as pf
store, source = sys.argv[1:]
flags = pf.connect(json.loads(source), store=store, poll=None, control=False)
flags.rollouts.shadow("new-checkout", of="prices-shadow", max_mismatch=0.01)

@pf.dark_launch("prices-shadow", candidate=lambda cart: sum(cart), flags=flags, executor="inline", key=lambda cart: "everybody")
def price(cart):
    return sum(cart)

for line in sys.stdin:
    flags.refresh()
    flags.rollouts.publish()
    for number in range(int(line)):
        price([number, 1])
    flags.rollouts.publish()
    print("done", flush=True)
"""


def test_the_controller_in_another_process_sees_what_a_worker_compared(tmp_path):
    """Two processes and a SQLite file: one shadows real calls, the other decides."""
    store, source = f"sqlite:///{tmp_path / 's.db'}", {"flags": {SHADOW: {"percent": 100}, FLAG: {"rollout": TABLES[FLAG]}}}
    command = [sys.executable, "-c", WORKER, store, json.dumps(source)]
    with pf.connect(source, store=store, clock=ManualClock(wall=1_800_000_000.0)) as flags:
        flags.rollouts.shadow(FLAG, of=SHADOW, max_mismatch=0.01)
        assert flags.rollouts.start(FLAG).state is State.SCHEDULED
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:

            def calls(n):
                worker.stdin.write(f"{n}\n")
                worker.stdin.flush()
                assert worker.stdout.readline() == "done\n"

            calls(50)
            assert flags.rollouts.tick() == ()
            assert "UNDECIDED" in flags.rollouts.status(FLAG).waiting
            calls(2000)
            until = time.monotonic() + 60
            while not (steps := flags.rollouts.tick()) and time.monotonic() < until:
                calls(0)  # a second after the last publication there is another
            assert [step.percent for step in steps] == [10]
            worker.stdin.close()
