"""
Many controllers over one store, some of them standing still now and then.

`python crowd.py ADDRESS PROCESSES TICKS`: forks processes that take TICKS ticks each on the machine's own clock, start and
retry what has ended, and record traffic; the parent stops and continues them at random. Then: no step is there twice, none
acknowledged is missing, no two processes were told they had taken the same step, no bake was shortened, and the history is
linearizable: whoever began after something was known saw it, by every process's log and the one clock they share.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from progflags._clock import SYSTEM
from progflags.errors import StoreError, TransitionRefused
from progflags.rollout import State
from progflags.store import open_store
from rollout.conftest import FLAG, House, rollout_table
from rollout.faults import violations

BAKE = 0.5
GATES = [{"metric": "error_rate", "max": 0.2, "policy": "no_alarm"}]
STAGES = [{"percent": p, "bake": f"{BAKE}s", "min_samples": 5, "gates": GATES} for p in (1, 10, 50)]
TABLE = rollout_table(stages=STAGES, watch="500ms", brake=False)


def drive(address: str, ticks: int, seed: int, out: int) -> None:
    """One process. It says `w BEGAN ENDED NUMBER TARGET PERCENT` of a step it took, `r BEGAN ENDED NUMBER STATE PERCENT` of a look."""
    chance = random.Random(seed)
    house = House(open_store(address), SYSTEM, {FLAG: TABLE})
    for count in range(ticks):
        with suppress(TransitionRefused, StoreError):
            house.traffic(3, candidate=0.34 if chance.random() < 0.02 else 0.0)
            began = time.monotonic()
            steps = house.rollouts.tick()
            ended = time.monotonic()
            for step in steps:
                os.write(out, f"w {began} {ended} {step.revision} {step.target} {step.percent}\n".encode())
            if count % 10 == 0:
                look(house, out)
            page = house.rollouts._parts.controller.pages.get(FLAG)
            state = State.DRAFT if page is None else page.record.state
            if state in (State.DRAFT, State.COMPLETED):
                house.rollouts.start(FLAG)
            elif state is State.ROLLED_BACK:
                house.rollouts.retry(FLAG, force=True)
            elif chance.random() < 0.002:
                house.rollouts.rollback(FLAG)
    os.write(out, f"# {ticks}\n".encode())
    house.store.close()


def look(house: House, out: int) -> None:
    began = time.monotonic()
    page = house.rollouts._parts.ledger.page(FLAG)
    if page.record is not None:
        record = page.record
        os.write(out, f"r {began} {time.monotonic()} {record.number} {record.state} {record.share / 10_000}\n".encode())


def not_linearizable(log: Iterable[list[str]]) -> list[str]:
    """
    Looks and steps that contradict the one order of the history: an operation that began after another had ended knows at
    least what that one knew, and a step is newer than anything known before it. With every version written once, that is all.
    """
    operations = [(kind, float(began), float(ended), int(number)) for kind, began, ended, number, *_ in log]
    known = sorted((ended, number) for _, _, ended, number in operations)
    wrong, newest, at = [], 0, 0
    for kind, began, _, number in sorted(operations, key=lambda operation: operation[1]):
        while at < len(known) and known[at][0] < began:
            newest = max(newest, known[at][1])
            at += 1
        if number < newest or (kind == "w" and number == newest):
            wrong.append(f"{'a step' if kind == 'w' else 'a look'} at {number} began after {newest} was known")
    return wrong


def stop_and_continue(children: list[int], seed: int) -> dict[int, int]:
    """Freeze one process after the other at random, until all have ended; how each did."""
    chance, ended = random.Random(seed), {}
    while len(ended) < len(children):
        for child in set(children) - set(ended):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                ended[child] = status
        if left := [child for child in children if child not in ended]:
            sleeper = chance.choice(left)  # not reaped yet, so the number is still its own
            os.kill(sleeper, signal.SIGSTOP)
            time.sleep(chance.uniform(0.01, 0.4))
            os.kill(sleeper, signal.SIGCONT)
            time.sleep(chance.uniform(0.05, 0.5))
    return ended


def main(address: str, processes: int, ticks: int) -> int:
    open_store(address).close()  # warm: the store's library is imported before the first fork
    log = Path(f"/proc/self/fd/{os.memfd_create('log', 0)}").open("r+b")  # a pipe would fill up while nobody reads it
    out = os.open(f"/proc/self/fd/{log.fileno()}", os.O_WRONLY | os.O_APPEND)
    children = []
    for seed in range(processes):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                drive(address, ticks, seed, out)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    ended = stop_and_continue(children, 0)
    lines = [line.split() for line in log.read().decode().splitlines()]
    store = open_store(address)
    wrong = violations(store, FLAG, bakes=dict.fromkeys(range(3), BAKE))
    kept = {e.body["number"]: (e.body["to"], e.body["percent"]) for e in store.history(f"rollout/{FLAG}", limit=1_000_000)}
    taken = [line for line in lines if line[0] == "w"]
    if len({line[3] for line in taken}) != len(taken):
        wrong.append("two processes were told they took the same step")
    logged = [line for line in lines if line[0] != "#"]
    wrong += [
        f"{n} was seen as {to} at {at}, the history has {kept.get(int(n))}"
        for *_, n, to, at in logged
        if kept.get(int(n)) != (to, float(at))
    ]
    wrong += not_linearizable(logged)
    wrong += [f"a process ended with {code}" for code in ended.values() if code]
    count = sum(int(line[1]) for line in lines if line[0] == "#")
    for one in wrong[:20]:
        print(one)
    print(
        f"{processes} processes, {count} ticks, {len(kept)} steps, {len(taken)} of them acknowledged by ticks,"
        f" {len(logged) - len(taken)} looks, {len(wrong)} violations"
    )
    store.close()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
