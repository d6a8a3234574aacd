"""What a commit, a look and a window cost in each store, in this process, on this disk and loopback."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from uuid import uuid4

from progflags.errors import ProgflagsError
from progflags.store import Commit, Store, open_store

_SERVERS = ("redis://127.0.0.1:6379/0", "postgresql://postgres@127.0.0.1:5432/test")
_PAD = "x" * 3000  # a rollout's document is a few kilobytes


def main() -> None:
    """Print a line per store; one that is not running here is left out."""
    print(f"{'store':12} {'commit p50':>12} {'p99':>9} {'revision':>10} {'read':>9} {'publish':>9} {'collect':>9}   (µs)")
    with tempfile.TemporaryDirectory() as folder:
        for url in ("memory://bench", f"sqlite:///{Path(folder) / 'bench.db'}", *_SERVERS):
            named = f"{url}?namespace=bench-{uuid4().hex}" if url in _SERVERS else url
            try:
                store = open_store(named)
            except (ProgflagsError, ImportError):
                print(f"{url.partition(':')[0]:12} not running here")
                continue
            _row(url.partition(":")[0], store)
            store.close()


def _row(name: str, store: Store) -> None:
    number = 0

    def commit() -> None:
        nonlocal number
        expects = {"flag/a": number, "rollout/a": number}
        number += 1
        writes = {"flag/a": {"v": 1, "share": number}, "rollout/a": {"n": number, "pad": _PAD}}
        store.commit(Commit(writes, expects, [("rollout/a", {"n": number})], f"bench-{number}"))

    def publish() -> None:
        nonlocal number
        number += 1
        store.board.publish("a@1", "worker", number, _PAD.encode())

    commits = _times(commit, 200)
    cuts = quantiles(commits, n=100)
    rest = [sum(times) / len(times) for times in (_times(store.revision, 2000), _times(store.read, 500), _times(publish, 200))]
    rest.append(sum(collects := _times(lambda: store.board.collect("a@1"), 500)) / len(collects))
    print(f"{name:12} {cuts[49]:12.0f} {cuts[98]:9.0f} {rest[0]:10.1f} {rest[1]:9.0f} {rest[2]:9.0f} {rest[3]:9.0f}")


def _times(act: Callable[[], object], count: int) -> list[float]:
    found = []
    for _ in range(count):
        before = time.perf_counter()
        act()
        found.append((time.perf_counter() - before) * 1e6)
    return found
