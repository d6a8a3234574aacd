"""
What progflags takes of a processor in an application that does nothing: an ordinary client with the default polls, and it sleeps.

For each store, alone and with a rollout under way (default batch, 10 s), as the process that looks at it and as one that doesn't: processor
time in parts of a thousand of one core, and how often in a second a thread of the process woke up. Last a program that has a file of flags
and no store, and one that has imported progflags and not connected, which is what the interpreter takes by itself.

`python -m benchmarks idle` takes two and a half minutes; the processes are measured beside each other, and hardly disturb each other.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import progflags as pf
from benchmarks.bench_fleet import SERVERS, rollout, running

SETTLE, MEASURED = 80.0, 60.0  # by then a process that doesn't look has rehearsed it, once
FLAGS = {"flags": {"plain": {"percent": 50}, "slow": rollout("10s")}}


def idle(name: str, connect: dict[str, Any] | None, starts: bool, told: Any) -> None:
    """Connects, sleeps, and says what that took."""
    flags = None if connect is None else pf.connect(FLAGS if "store" in connect else connect.pop("source"), **connect)
    if starts and flags is not None:
        flags.rollouts.start("slow")
    time.sleep(SETTLE)
    spent, woken, began = time.process_time(), _woken(), time.monotonic()
    time.sleep(MEASURED)
    seconds = time.monotonic() - began
    spent, woken = time.process_time() - spent, _woken() - woken
    looks = flags is not None and _looks(flags)  # which loads what a client without a store has no need of
    told.put((name, looks, spent / seconds, woken / seconds))


def _woken() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


def _looks(flags: Any) -> bool:
    parts = flags.rollouts._parts
    record = parts.ledger.page("slow").record if flags.status().store else None
    return record is not None and record.looker == parts.pool.worker


def main() -> None:
    spawn = multiprocessing.get_context("spawn")
    told, workers = spawn.Queue(), []

    def begin(name: str, connect: dict[str, Any] | None, *, starts: bool = False) -> None:
        workers.append(spawn.Process(target=idle, args=(name, connect, starts, told), daemon=True))
        workers[-1].start()

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "flags.toml")
        file.write_text("[flags.plain]\npercent = 50\n", encoding="utf-8")
        begin("imported", None)
        begin("a file, no store", {"source": str(file)})
        for name in ("SQLite", *running()):
            for under_way in (False, True):
                space = f"bench-{uuid4().hex[:8]}"
                store = f"sqlite:///{folder}/{space}.db" if name == "SQLite" else f"{SERVERS[name]}?namespace={space}"
                for starts in (under_way, False)[: 1 + under_way]:
                    begin(f"{name}, a rollout" if under_way else f"{name}, nothing", {"store": store}, starts=starts)
        found = sorted(told.get(timeout=SETTLE + MEASURED + 120) for _ in workers)
    print(f"{'':22} {'‰ of a core':>12} {'wakes a second':>15}")
    for name, looks, processor, woken in found:
        print(f"{name + (', who looks' if looks else ''):32} {processor * 1e3:10.2f} {woken:10.1f}")


if __name__ == "__main__":
    main()
