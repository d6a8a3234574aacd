"""
How long a change in the store takes to be served by another process, and a verdict by all workers of a host.

One process commits kill and unkill in turn on a SQLite file; another, an ordinary client with the default poll, notes
when its answer changes. Printed beside what one look at the store and one commit cost, measured in the same run.

Then eight processes serve a rollout's candidate to half of their users, a ninth runs the controller and sees it fail: from the
moment its verdict says ROLLBACK until the last of the eight serves nobody. The promise is a p99 below 500 ms.

Last the brake of a process that can only read: it follows a published snapshot by HTTP, and its candidate fails from one call to the next.
From the beginning of the call that is one too many until another thread of that process is served the candidate no more.
"""

import multiprocessing
import queue
import statistics
import tempfile
import threading
import time
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import progflags as pf
from progflags.contrib.http import HttpSource
from progflags.contrib.publish import Publisher
from progflags.events import Judged

FLAGS = {"flags": {"x": {"percent": 100}}}
CHANGES = 40
WORKERS, ROUNDS = 8, 50
GATES = [{"metric": "error_rate", "max": 0.05}]
CLIMB = {"flags": {"new": {"rollout": {"stages": [{"percent": 50, "bake": "1h", "gates": GATES}], "batch": "200ms", "brake": False}}}}

BRAKED = {"flags": {"new": {"rollout": {"stages": [{"percent": 50, "bake": "1h", "gates": GATES}]}}}}


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


def serve(store: str, seen) -> None:
    """A worker: says when its last user is served the candidate no more, and when the first is again."""
    with pf.connect(CLIMB, store=store, control=False) as flags:
        users = [f"u{n}" for n in range(50)]
        served = False
        while True:
            now = any(flags.is_enabled("new", user) for user in users)
            if now != served:
                seen.put((now, time.monotonic()))
                served = now
            time.sleep(0.002)


def verdicts() -> None:
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{Path(folder) / 's.db'}"
        seen = spawn.Queue()
        workers = [spawn.Process(target=serve, args=(store, seen), daemon=True) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
        with pf.connect(CLIMB, store=store) as flags:
            judged: queue.SimpleQueue[float] = queue.SimpleQueue()
            flags.bus.listen(Judged, lambda event: event.decision == "ROLLBACK" and judged.put(time.monotonic()))
            last, each = [], []
            for number in range(ROUNDS):
                flags.rollouts.retry("new", force=True) if number else flags.rollouts.start("new")
                assert all(seen.get(timeout=120)[0] for _ in workers)
                flags.metrics.record("new", arm="control", seconds=0.01, error=False, n=500)
                flags.metrics.record("new", arm="candidate", seconds=0.01, error=True, n=500)
                said = judged.get(timeout=60)
                ended = [seen.get(timeout=60) for _ in workers]
                assert not any(served for served, _ in ended)
                each += [at - said for _, at in ended]
                last.append(max(at for _, at in ended) - said)
        for worker in workers:
            worker.kill()
    each.sort(), last.sort()
    print(f"verdict → all {WORKERS} workers at 0 % ({ROUNDS} rollbacks; each worker, then the last of each rollback):")
    for name, delays in (("each", each), ("last", last)):
        p50, p99 = statistics.median(delays) * 1e3, delays[max(0, round(len(delays) * 0.99) - 1)] * 1e3
        print(f"  {name} p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   max {delays[-1] * 1e3:6.1f} ms   (promised: p99 < 500 ms)")


def changes() -> None:
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


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def brakes() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store, public = f"sqlite:///{Path(folder, 's.db')}", Path(folder, "public")
        public.mkdir()
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(public)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = HttpSource(f"http://127.0.0.1:{server.server_port}/snapshot.json", every=0.05)
        with pf.connect(BRAKED, store=store, poll=None) as home, closing(Publisher(BRAKED, store=store, to=f"{public}/")) as publisher:
            home.rollouts.start("new")
            publisher.publish()
            with pf.connect(source, poll=0.02) as far:
                delays = sorted(braked(home, publisher, far, number) for number in range(ROUNDS))
        server.shutdown()
    p50, p99 = delays[len(delays) // 2] * 1e3, delays[round(len(delays) * 0.99) - 1] * 1e3
    print(f"one failure too many → nobody is served by this follower of a snapshot ({ROUNDS} brakes):")
    print(f"  p50 {p50:6.2f} ms   p99 {p99:6.2f} ms   max {delays[-1] * 1e3:6.2f} ms   (promised: < 50 ms)")


def braked(home: pf.Flags, publisher: Publisher, far: pf.Flags, number: int) -> float:
    """One brake, of a run that was just begun and published."""
    if number:
        home.rollouts.rollback("new")
        home.rollouts.retry("new", force=True)
        publisher.publish()
    users = [f"u{n}" for n in range(20)]

    def served() -> bool:
        return any(far.is_enabled("new", user) for user in users)

    while not served() or far.status().pending:
        time.sleep(0.005)
    ended: list[float] = []

    def watch_it() -> None:
        while served():
            time.sleep(0.0005)
        ended.append(time.monotonic())

    watching = threading.Thread(target=watch_it)
    watching.start()
    while True:
        began = time.monotonic()
        far.metrics.record("new", arm="candidate", seconds=0.01, error=True)
        if far.status().pending:
            watching.join()
            return ended[0] - began
        time.sleep(0.002)


def main() -> None:
    changes()
    verdicts()
    brakes()


if __name__ == "__main__":
    main()
