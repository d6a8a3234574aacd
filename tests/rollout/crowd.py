"""
Many controllers over one SQLite file, some of them standing still now and then.

`python crowd.py PATH PROCESSES SECONDS`: forks processes that tick as fast as they can on the machine's own clock, start and
retry what has ended, and record traffic; the parent stops and continues them at random. Then: no step is there twice, none
acknowledged is missing, no two processes were told they had taken the same step, no bake was shortened.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from progflags._clock import SYSTEM
from progflags.errors import StoreError, TransitionRefused
from progflags.rollout import State
from progflags.store import SQLiteStore
from rollout.conftest import FLAG, House, rollout_table
from rollout.faults import violations

BAKE = 0.5
GATES = [{"metric": "error_rate", "max": 0.2, "policy": "no_alarm"}]
STAGES = [{"percent": p, "bake": f"{BAKE}s", "min_samples": 5, "gates": GATES} for p in (1, 10, 50)]
TABLE = rollout_table(stages=STAGES, watch="500ms", brake=False)


def drive(path: str, until: float, seed: int, out: int) -> None:
    chance = random.Random(seed)
    house = House(SQLiteStore(path), SYSTEM, {FLAG: TABLE})
    ticks = 0
    while time.monotonic() < until:
        with suppress(TransitionRefused, StoreError):
            house.traffic(3, candidate=0.34 if chance.random() < 0.02 else 0.0)
            for step in house.rollouts.tick():
                os.write(out, f"{step.revision} {step.target} {step.percent}\n".encode())
            ticks += 1
            page = house.rollouts._controller.pages.get(FLAG)
            state = State.DRAFT if page is None else page.record.state
            if state in (State.DRAFT, State.COMPLETED):
                house.rollouts.start(FLAG)
            elif state is State.ROLLED_BACK:
                house.rollouts.retry(FLAG, force=True)
            elif chance.random() < 0.002:
                house.rollouts.rollback(FLAG)
    os.write(out, f"#{ticks}\n".encode())
    house.store.close()


def main(path: str, processes: int, seconds: float) -> int:
    until = time.monotonic() + seconds
    read, write = os.pipe()
    children = []
    for seed in range(processes):
        child = os.fork()
        if child == 0:
            os.close(read)
            code = 1
            try:
                drive(path, until, seed, write)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    os.close(write)
    chance = random.Random(0)
    while time.monotonic() < until - 1:
        sleeper = chance.choice(children)
        os.kill(sleeper, signal.SIGSTOP)
        time.sleep(chance.uniform(0.01, 0.4))
        os.kill(sleeper, signal.SIGCONT)
        time.sleep(chance.uniform(0.05, 0.5))
    with os.fdopen(read, "rb") as pipe:
        lines = pipe.read().decode().splitlines()
    ended = [os.waitpid(child, 0)[1] for child in children]
    store = SQLiteStore(path)
    wrong = violations(store, FLAG, bakes=dict.fromkeys(range(3), BAKE))
    kept = {e.body["number"]: (e.body["to"], e.body["percent"]) for e in store.history(f"rollout/{FLAG}", limit=1_000_000)}
    taken = [line.split() for line in lines if not line.startswith("#")]
    if len({number for number, *_ in taken}) != len(taken):
        wrong.append("two processes were told they took the same step")
    wrong += [f"line {n} was acknowledged and is not there" for n, to, at in taken if kept.get(int(n)) != (to, float(at))]
    wrong += [f"a process ended with {code}" for code in ended if code]
    ticks = sum(int(line[1:]) for line in lines if line.startswith("#"))
    for one in wrong[:20]:
        print(one)
    print(f"{processes} processes, {ticks} ticks, {len(kept)} steps, {len(taken)} of them acknowledged by ticks, {len(wrong)} violations")
    store.close()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
