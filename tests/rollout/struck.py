"""
A whole rollout, struck at every call by which it reaches its store.

`python struck.py ADDRESS EVERY FIRST [change]`: a child forked from a warm parent drives one life of a rollout (it climbs, is paused,
approved, rolled back, tried again and watched) while `strace` strikes its n-th write, sync, truncation or removal of a
file, its n-th send or receive on a socket: killed there, refused there, refused from there on. For n from FIRST in steps of EVERY.
Each time: state, share, history and chain agree; nothing acknowledged is missing or there twice; no stage is skipped and no
bake is short; from a request to roll back until a retry nobody is served the candidate; and the next process finishes it. With
`change` the candidate is another definition of the flag.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

from progflags.errors import StoreError, TransitionRefused
from progflags.rollout import RolloutStatus, State
from progflags.store import MemoryStore, open_store
from progflags.testing import ManualClock
from rollout.conftest import FLAG, House, rollout_table
from rollout.faults import violations
from rollout.places import another
from support.patience import unhurried_calls

BAKES = {0: 40.0, 1: 40.0}
GATES = [{"metric": "error_rate", "max": 0.2, "policy": "no_alarm"}]
TABLE = rollout_table(
    stages=[{"percent": p, "bake": "40s", "min_samples": 20, "gates": GATES} for p in (10, 50)], approval={"before": [50]}, watch="40s"
)
NEW = {"rules": [{"percent": 100, "serve": "on"}], "rollout": TABLE}
BEGIN = 1_800_000_000.0
ENDS = {State.COMPLETED, State.ROLLED_BACK, State.DRAFT}

FILE = {
    "pwrite64": ["signal=SIGKILL:when={}", "error=EIO:when={}", "error=ENOSPC:when={}+"],
    "fdatasync": ["signal=SIGKILL:when={}", "error=EIO:when={}", "error=EIO:when={}+"],
    "fsync": ["signal=SIGKILL:when={}", "error=EIO:when={}"],
    "ftruncate": ["signal=SIGKILL:when={}", "error=EIO:when={}"],
    "unlink": ["signal=SIGKILL:when={}", "error=EIO:when={}"],
}
SOCKET = {
    "sendto": ["signal=SIGKILL:when={}"],
    "recvfrom": ["signal=SIGKILL:when={}", "error=ECONNRESET:when={}", "error=ECONNRESET:when={}+"],  # the answer is lost
}

Say = Callable[[str], object]


def life(house: House, say: Say) -> None:
    """Two climbs, as far as the store lets them: one is paused, approved and rolled back, the other goes to the end."""
    verbs = house.rollouts
    acts: list[Callable[[], RolloutStatus | None]] = [
        lambda: verbs.change(FLAG, NEW, by="ann") if "change" in sys.argv[4:] else verbs.start(FLAG, by="ann"),
        lambda: tick(house, say),
        lambda: verbs.pause(FLAG),
        lambda: verbs.resume(FLAG),
        lambda: tick(house, say),
        lambda: verbs.approve(FLAG, by="bob"),
        lambda: roll_back(house, say),
        lambda: tick(house, say),
        lambda: verbs.retry(FLAG, force=True),
        lambda: tick(house, say),
        lambda: tick(house, say),
        lambda: verbs.approve(FLAG, by="bob"),
        *[lambda: tick(house, say)] * 4,
    ]
    for act in acts:
        with contextlib.suppress(StoreError, TransitionRefused):
            status = act()
            if status is not None and status.history and not status.pending:
                say(f"{status.history[-1].revision} {status.state} {status.percent}")
        if verbs._parts.brake.intent(FLAG) is not None and house.exposed(people=40):
            say("!somebody is served the candidate after a request to roll back")
        say(f"@{house.clock.now()}")


def tick(house: House, say: Say) -> None:
    house.traffic()
    house.clock.advance(20)
    for step in house.rollouts.tick():
        say(f"{step.revision} {step.target} {step.percent}")


def roll_back(house: House, say: Say) -> RolloutStatus:
    status = house.rollouts.rollback(FLAG, by="ann")
    if house.exposed(people=200):
        say("!a rollback was asked for, and somebody is served the candidate")
    return status


def child(address: str, begin: int, out: int) -> None:
    """Waits until it may be struck, then lives."""
    ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER: a sibling may trace it
    os.read(begin, 1)
    signal.alarm(120)  # one that hangs is a violation, not a test run that never ends
    say = lambda text: os.write(out, f"{text}\n".encode())  # noqa: E731
    with contextlib.suppress(StoreError):
        store = open_store(address)
        life(House(store, ManualClock(wall=BEGIN), {FLAG: TABLE}), say)
        with contextlib.suppress(StoreError):
            store.close()
    say("#lived")


def struck(address: str, options: list[str]) -> tuple[list[str], int]:
    """One life under strace with `options`: what it said, and its wait status."""
    (begin_read, begin_write), (read, write) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(begin_write), os.close(read)
            child(address, begin_read, write)
            code = 0
        finally:
            os._exit(code)
    os.close(begin_read), os.close(write)
    tracer = subprocess.Popen(["strace", "-p", str(pid), *options], stderr=subprocess.PIPE, text=True)
    try:
        said = tracer.stderr.readline()
        assert "attached" in said, said
        os.write(begin_write, b"x")
        with os.fdopen(read, "rb") as pipe:
            lines = pipe.read().decode().splitlines()
        return lines, os.waitpid(pid, 0)[1]
    finally:
        os.close(begin_write)
        tracer.stderr.close()
        tracer.wait(60)


def check(address: str, lines: list[str], status: int, fault: str) -> list[str]:
    """What is wrong with what is left, and with how the next process goes on from there."""
    wrong = [line[1:] for line in lines if line.startswith("!")]
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not killed and "#lived" not in lines:
        wrong.append("it ended by an exception")
    if "KILL" in fault and not killed:
        wrong.append("it was not killed")
    wall = max([BEGIN, *(float(line[1:]) for line in lines if line.startswith("@"))])
    store = open_store(address)
    try:
        wrong += violations(store, FLAG, bakes=BAKES)
        kept = {e.body["number"]: (e.body["to"], e.body["percent"]) for e in store.history(f"rollout/{FLAG}", limit=100_000)}
        for line in lines:
            if line[0].isdigit():
                number, target, percent = line.split()
                if int(number) and kept.get(int(number)) != (target, float(percent)):
                    wrong.append(f"line {number} was acknowledged as {target} at {percent} %, the store has {kept.get(int(number))}")
        wrong += finish(House(store, ManualClock(wall=wall + 20), {FLAG: TABLE}))
        wrong += violations(store, FLAG, bakes=BAKES)
    finally:
        store.close()
    return wrong


def finish(house: House) -> list[str]:
    """The next process takes it to an end, with an approval where one is asked for."""
    for _ in range(20):
        state = house.status().state
        if state in ENDS:
            return []
        if state is State.AWAITING_APPROVAL:
            house.rollouts.approve(FLAG)
        elif state is State.PAUSED:
            house.rollouts.resume(FLAG)
        tick(house, bool)
    return [f"the next process left it {house.status().state}"]


def calls(address: str, kinds: dict[str, list[str]], folder: str) -> Counter[str]:
    """How often an undisturbed life makes each call."""
    trace = Path(folder) / "trace"
    lines, status = struck(address, ["-o", str(trace), "-e", f"trace={','.join(kinds)}"])
    assert status == 0, lines
    assert any(f" {State.COMPLETED} " in line for line in lines), lines
    assert not check(address, lines, status, ""), "an undisturbed life is in order"
    return Counter(re.findall(r"^(\w+)\(", trace.read_text(), re.MULTILINE))


def points(counts: Counter[str], kinds: dict[str, list[str]], every: int, first: int) -> Iterator[tuple[str, str]]:
    """(call, fault) of every `every`-th point; the offset moves on from fault to fault, so that a thin sweep meets many kinds."""
    for call, faults in kinds.items():
        for number, fault in enumerate(faults):
            for n in range(1 + (first + 5 * number) % every, counts[call] + 1, every):
                yield call, fault.format(n)


def main(address: str, every: int, first: int) -> int:
    logging.disable(logging.CRITICAL)  # every refused write is logged, which is thousands of lines
    life(House(MemoryStore(), ManualClock(wall=BEGIN), {FLAG: TABLE}), bool)  # warm: whatever is imported late is imported now
    kinds = FILE if address.startswith("sqlite") else SOCKET
    with TemporaryDirectory() as folder:
        counts = calls(another(address, 0), kinds, folder)
        done, bad = 0, 0
        for number, (call, fault) in enumerate(points(counts, kinds, every, first), 1):
            here = another(address, number)
            lines, status = struck(here, ["-o", os.devnull, "-e", f"trace={call}", "-e", f"inject={call}:{fault}"])
            for one in check(here, lines, status, fault):
                print(f"{call} {fault}: {one}")
                bad += 1
            done += 1
    told = ", ".join(f"{count} {call}" for call, count in sorted(counts.items()))
    print(f"a life makes {told}; {done} lives struck, {bad} violations")
    return 1 if bad or not done else 0


if __name__ == "__main__":
    unhurried_calls()
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
