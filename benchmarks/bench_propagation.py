"""
How long a change in the store takes to be served by another process.

One process commits kill and unkill in turn on a SQLite file; another, an ordinary client with the default poll, notes
when its answer changes. Printed beside what one look at the store and one commit cost, measured in the same run.
"""

import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path

import progflags as pf

FLAGS = {"flags": {"x": {"percent": 100}}}
CHANGES = 40


def watch(store: str, seen) -> None:
    with pf.connect(FLAGS, store=store, control=False) as flags:
        seen.put(("ready", 0.0))
        last = flags.is_enabled("x", "u")
        while True:
            now = flags.is_enabled("x", "u")
            if now != last:
                seen.put((now, time.monotonic()))
                last = now
            time.sleep(0.0005)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{Path(folder) / 's.db'}"
        spawn = multiprocessing.get_context("spawn")
        seen = spawn.Queue()
        worker = spawn.Process(target=watch, args=(store, seen), daemon=True)
        worker.start()
        with pf.connect(FLAGS, store=store, poll=None, control=False) as flags:
            seen.get(timeout=60)
            delays, commits = [], []
            for number in range(CHANGES):
                time.sleep(0.05)
                began = time.monotonic()
                (flags.unkill if number % 2 else flags.kill)("x")
                done = time.monotonic()
                commits.append(done - began)
                delays.append(seen.get(timeout=10)[1] - done)
            looks = []
            for _ in range(2000):
                began = time.perf_counter()
                flags._store.revision()
                looks.append(time.perf_counter() - began)
        worker.kill()
    delays.sort()
    p50, p99 = statistics.median(delays) * 1e3, delays[int(CHANGES * 0.99) - 1] * 1e3
    print(f"store → other worker ({CHANGES} changes, store polled every 0.1 s):")
    print(f"  p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   max {delays[-1] * 1e3:6.1f} ms")
    print(f"  kill() here, from call to served: {statistics.median(commits) * 1e3:.2f} ms")
    print(f"  one look at an unchanged store:   {statistics.median(looks) * 1e6:.1f} µs")


if __name__ == "__main__":
    main()
