"""
What a fleet's questions cost in processor time: the server that answers, and the process that asks. The simulation is made of these.

Times on the clock depend on what else the machine does; processor time hardly does. The server's is read from the system, so this runs
where the server does, on Linux. `python -m benchmarks.fleet_costs` prints them as JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import progflags as pf
from benchmarks.bench_fleet import FLAGS, SERVERS, USERS
from progflags._json import canonical
from progflags.canary import Pool
from progflags.store import Commit, open_store

MANY, FEW = 1000, 60
ROWS = 100  # of a board that is collected
TICKS = os.sysconf("SC_CLK_TCK")


def of_postgres(store: Any) -> float:
    """Processor seconds of the server so far: its first process, those that ended, and those that run."""
    backend = store._server.run(lambda cursor: cursor.execute("SELECT pg_backend_pid()").fetchone()[0])
    first = int(_stat(backend)[1])
    children = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    live = sum(_spent(pid, ended=False) for pid in children if _parent(pid) == first)
    return live + _spent(first, ended=True)


def of_redis(store: Any) -> float:
    found = store._client.info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def _stat(pid: int) -> list[str]:
    """The fields of proc(5) behind the name: state, parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _parent(pid: int) -> int:
    try:
        return int(_stat(pid)[1])
    except OSError:  # ended meanwhile
        return 0


def _spent(pid: int, *, ended: bool) -> float:
    try:
        fields = _stat(pid)
    except OSError:
        return 0.0
    return sum(int(fields[at]) for at in (11, 12, *((13, 14) if ended else ()))) / TICKS


def costs(name: str) -> dict[str, dict[str, float]]:
    """By what is done: processor seconds of the server, of the process that asks, and on the clock."""
    url = f"{SERVERS[name]}?namespace=costs-{uuid4().hex[:8]}"
    watch = open_store(url)
    spent: Callable[[Any], float] = of_postgres if name == "PostgreSQL" else of_redis
    store, found = open_store(url), {}

    def each(act: Callable[[], object], count: int) -> dict[str, float]:
        server, client, began = spent(watch), time.process_time(), time.perf_counter()
        for _ in range(count):
            act()
        wall, client = time.perf_counter() - began, time.process_time() - client
        time.sleep(0.1)  # what ends is counted once it has
        return {"server": (spent(watch) - server) / count, "client": client / count, "clock": wall / count}

    window = _window(url)
    number = iter(range(1, 10**9))
    found["revision"] = each(store.revision, MANY)
    found["commit"] = each(lambda: store.commit(_commit(next(number))), FEW)
    found["read"] = each(store.read, MANY)
    found["publish"] = each(lambda: store.board.publish("a@1", "w", next(number), window), MANY)
    found["collect"] = each(lambda: store.board.collect("b@1"), MANY)
    for worker in range(ROWS):
        store.board.publish("slow@1", f"w{worker}", 1, window)
    pool = Pool(store.board, "looker")
    whole = each(lambda: pool.collect("slow", 1), FEW)
    found["row"] = {kind: (whole[kind] - found["collect"][kind]) / ROWS for kind in whole}
    found["open"] = each(lambda: open_store(url).close(), FEW)
    found["change"] = _change(url, each)
    found["now"] = each(store.now, MANY)
    found["first look"], found["look"] = _looks()
    watch.close()
    store.close()
    return {what: {kind: round(seconds, 7) for kind, seconds in kinds.items()} for what, kinds in found.items()}


def _commit(number: int) -> Commit:
    writes = {"flag/a": {"v": 1, "share": number}, "rollout/a": {"n": number, "pad": "x" * 3000}}  # a rollout's is a few kilobytes
    return Commit(writes, {}, [("rollout/a", {"n": number})], f"cost-{number}")


def _window(url: str) -> bytes:
    """As a process of the fleet puts it up."""
    with pf.connect(FLAGS, store=f"{url}-w", control=False, poll=None) as flags:
        flags.rollouts.start("slow")
        flags.refresh()
        for arm in ("control", "candidate"):
            flags.metrics.record("slow", arm=arm, seconds=0.01, error=False, n=50)
        window = flags.metrics.window("slow")
        assert window is not None
        return canonical(window.of("worker").to_json()).encode()


def _change(url: str, each: Callable[[Callable[[], object], int], dict[str, float]]) -> dict[str, float]:
    """One more process that hears of a kill, looks, reads and serves it: what two cost, less what one does."""

    def following(count: int) -> dict[str, float]:
        near = [pf.connect(FLAGS, store=f"{url}-{count}", control=False) for _ in range(count)]
        person = pf.connect(FLAGS, store=f"{url}-{count}", control=False, poll=None)
        pause, kills = threading.Event(), iter(range(10**9))

        def change() -> None:
            killed = next(kills) % 2 == 0
            (person.kill if killed else person.unkill)("switch")
            while any(flags.is_enabled("switch", USERS[0]) is killed for flags in near):
                pause.wait(0.005)

        try:
            return each(change, FEW)
        finally:
            for flags in near:
                flags.close()
            person.close()

    few, more = following(1), following(9)
    return {kind: (more[kind] - few[kind]) / 8 for kind in few}


LOOKS = """
import time
import progflags as pf
from benchmarks.bench_fleet import FLAGS
spent = []
with pf.connect(FLAGS, store="memory://looks", poll=None) as flags:
    flags.rollouts.start("fast")
    for _ in range(5):
        for arm in ("control", "candidate"):
            flags.metrics.record("fast", arm=arm, seconds=0.01, error=False, n=50)
        time.sleep(1.1)
        began = time.process_time()
        flags.rollouts.tick()
        spent.append(time.process_time() - began)
print(*spent)
"""


def _looks() -> tuple[dict[str, float], dict[str, float]]:
    """The first look of a process, which loads the judge's libraries, and one after it."""
    told = subprocess.run([sys.executable, "-c", LOOKS], check=True, capture_output=True, text=True).stdout.split()
    first, *others = map(float, told)
    return {"server": 0.0, "client": first}, {"server": 0.0, "client": statistics.median(others)}


def main() -> None:
    print(json.dumps({name: costs(name) for name in SERVERS}, indent=1))


if __name__ == "__main__":
    main()
