"""
Kill a controller over a shared store again and again, and look at what is left each time.

`python killed.py ADDRESS CYCLES [change]`: forks children from a warm parent that drive a rollout with a clock of their own; each tells
its parent every transition that was acknowledged, and is killed after a few milliseconds. After each: state, share, history
and chain agree, nothing acknowledged is missing or there twice, no stage is skipped, no bake is shorter than it should be. With
`change` what climbs is another definition of the flag, and whoever begins anew serves exactly the people of its share.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from progflags.errors import TransitionRefused
from progflags.flags import bucket
from progflags.rollout import RolloutStatus, State
from progflags.store import open_store
from progflags.testing import ManualClock
from rollout.conftest import FLAG, House, rollout_table
from rollout.faults import violations
from support.patience import unhurried_calls

BAKES = {0: 60.0, 1: 60.0, 2: 60.0}
TABLE = rollout_table(
    stages=[
        {"percent": p, "bake": "60s", "min_samples": 20, "gates": [{"metric": "error_rate", "max": 0.2, "policy": "no_alarm"}]}
        for p in (1, 10, 50)
    ]
)


CHANGES = [{"rules": [{"percent": 100, "serve": "on"}], "rollout": TABLE}, {"rules": [{"serve": "on"}], "safe": "on", "rollout": TABLE}]
PEOPLE = [f"user-{number}" for number in range(200)]


def begin(house: House, state: State, chance: random.Random) -> RolloutStatus:
    """What ended goes on: a rollout is started or tried again, or another definition is delivered."""
    if "change" not in sys.argv[3:]:
        return house.rollouts.retry(FLAG, force=True) if state is State.ROLLED_BACK else house.rollouts.start(FLAG)
    if state is State.COMPLETED:
        return house.rollouts.rollback(FLAG)
    if state is State.ROLLED_BACK and chance.random() < 0.3:
        return house.rollouts.retry(FLAG, force=True)
    return house.rollouts.change(FLAG, chance.choice(CHANGES), force=True)


def misserved(address: str) -> list[str]:
    """Whom a process that begins now serves otherwise than by the change in the store."""
    if "change" not in sys.argv[3:]:
        return []
    house = House(open_store(address), None, {FLAG: TABLE})
    try:
        live = house.client.live(FLAG)
        picked = {who for who in PEOPLE if live.edit is not None and bucket("d", live.edit.salt, who) < (live.share or 0)}
        served = {who for who in PEOPLE if house.client.is_enabled(FLAG, who)}
        return [f"{sorted(picked ^ served)} are served another definition than theirs"] if picked != served else []
    finally:
        house.store.close()


def drive(address: str, wall: float, seed: int, out: int) -> None:
    """The child: until killed. Its wall clock goes on where the last child's stopped, so that history can be timed."""
    chance = random.Random(seed)
    clock = ManualClock(wall=wall)
    house = House(open_store(address), clock, {FLAG: TABLE})
    os.write(out, f"@{wall}\n".encode())
    while True:
        status = house.status()
        if status.state in (State.DRAFT, State.COMPLETED, State.ROLLED_BACK):
            said = begin(house, status.state, chance).history[-1:]
        else:
            house.traffic(candidate=0.4 if chance.random() < 0.02 else 0.0)
            clock.advance(10)
            said = house.rollouts.tick()
            if chance.random() < 0.02:
                try:
                    said = (*said, *house.rollouts.rollback(FLAG).history[-1:])
                except TransitionRefused:
                    pass
        for step in said:
            os.write(out, f"{step.revision} {step.target} {step.percent}\n".encode())
        os.write(out, f"@{clock.now()}\n".encode())


def cycle(address: str, wall: float, seed: int, acknowledged: dict[int, tuple[str, float]]) -> float:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            drive(address, wall, seed, write)
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.readline() if seed % 5 else b""  # most die at work, some while they open the store
        time.sleep(random.Random(seed).uniform(0.01, 0.25))
        os.kill(child, signal.SIGKILL)
        said = (said + pipe.read()).decode()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the child ended by itself"
    for line in said.splitlines():
        if line.startswith("@"):
            wall = max(wall, float(line[1:]))
        elif line.count(" ") == 2:
            number, target, percent = line.split()
            acknowledged[int(number)] = (target, float(percent))
    return wall


def main(address: str, cycles: int) -> int:
    wall, bad, acknowledged = 1_800_000_000.0, 0, {}
    open_store(address).close()  # warm: the store's library is imported before the first fork
    slowest = 0.0
    for seed in range(cycles):
        wall = cycle(address, wall, seed, acknowledged)
        began = time.perf_counter()
        store = open_store(address)
        wrong = [*violations(store, FLAG, bakes=BAKES), *misserved(address)]
        slowest = max(slowest, time.perf_counter() - began)
        lines = {e.body["number"]: (e.body["to"], e.body["percent"]) for e in store.history(f"rollout/{FLAG}", limit=100_000)}
        wrong += [
            f"line {n} was acknowledged as {said}, the store has {lines.get(n)}" for n, said in acknowledged.items() if lines.get(n) != said
        ]
        for one in wrong:
            print(f"cycle {seed}: {one}")
        bad += len(wrong)
        store.close()
        # A step can be stored in the moment of the kill; the next child's time must not run behind it.
        wall += 10.0
    print(f"{cycles} cycles, {len(acknowledged)} acknowledged, {len(lines)} steps, slowest reopening {slowest:.3f} s, {bad} violations")
    return 1 if bad else 0


if __name__ == "__main__":
    unhurried_calls()
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
