"""Writers that count together by compare-and-set, so that what is lost, doubled or half done shows in a number."""

from __future__ import annotations

import os
import signal
import time
from random import Random

from progflags._chance import chance
from progflags.errors import ConflictError
from progflags.store import Commit, Store

__all__ = ["count", "increment", "kill_writers"]


def count(store: Store, times: int) -> None:
    """Add one to the document `count`, `times` times, as a controller would: read, decide, commit, again if another was first."""
    for _ in range(times):
        while not increment(store):
            time.sleep(chance.uniform(0.0, 0.002))


def increment(store: Store, name: str = "") -> bool:
    found = store.read("count")[1].get("count")
    n, at = (found.body["n"], found.revision) if found else (0, 0)
    try:
        store.commit(Commit({"count": {"n": n + 1}}, {"count": at}, [("count", {"n": n + 1})], f"{name}{n + 1}" if name else ""))
    except ConflictError:
        return False
    return True


def kill_writers(store: Store, times: int) -> None:
    """Fork writers one after another, kill each at a random moment after a random number of its commits, look at what is there."""
    dice = Random(1)
    for _ in range(times):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            while True:
                increment(store, "count-")
                os.write(writing, f"{store.read('count')[1]['count'].body['n']}\n".encode())
        os.close(writing)
        with os.fdopen(reading, "rb") as told:
            acknowledged = [int(told.readline()) for _ in range(dice.randint(0, 4))]
            time.sleep(dice.uniform(0.0, 0.005))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            acknowledged += [int(line) for line in told.read().split(b"\n")[:-1]]
        _agree(store, acknowledged[-1] if acknowledged else 0)


def _agree(store: Store, acknowledged: int) -> None:
    """Document, history and revision tell one story, and what was acknowledged is in it."""
    while True:  # a server may still be at work on what the dead one sent last
        revision = store.revision()
        numbers = [entry.body["n"] for entry in store.history("count", limit=1_000_000)]
        document = store.read("count")[1].get("count")
        if store.revision() == revision:
            break
    there = document.body["n"] if document else 0
    if numbers != list(range(1, there + 1)) or acknowledged > there or revision != there:
        raise SystemExit(f"the document says {there}, the history ends {numbers[-5:]}, the writer was told {acknowledged}")
