"""What a rollout costs: a progressive call, a tick, and how long a failing candidate is served on (`propagation` has the other workers)."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from progflags.canary import Recorder
from progflags.context import Context, bind
from progflags.events import Bus
from progflags.flags import Client, parse
from progflags.rollout import Rollouts, progressive
from progflags.store import MemoryStore, SQLiteStore
from progflags.testing import ManualClock

FLAG = "new-checkout"
GATES = [{"metric": "error_rate", "max": 0.5, "policy": "no_alarm"}, {"metric": "p99_latency", "max_increase": 0.5, "policy": "no_alarm"}]
TABLE = {"stages": [{"percent": 50, "bake": "10h", "gates": GATES}], "batch": "1s", "deadline": "20h"}


def house(store, clock):
    bus = Bus()
    client = Client(bus=bus, clock=clock)
    recorder = Recorder(bus, clock)
    rollouts = Rollouts(client, store, recorder, clock, refresh=lambda: client.install(live=rollouts.live()))
    client.install(parse({"flags": {FLAG: {"rollout": TABLE}}}, file="bench", lines=lambda path: None))
    client.install(live=rollouts.live())
    return client, recorder, rollouts


def ns(call: Callable[[], object], n: int = 50_000) -> float:
    """Nanoseconds per call: the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter_ns()
        for _ in range(n // 5):
            call()
        best = min(best, (time.perf_counter_ns() - began) / (n // 5))
    return best


def progressive_call() -> None:
    client, _, rollouts = house(MemoryStore(), ManualClock())
    rollouts.start(FLAG)

    def plain(user):
        return user

    routed = progressive(FLAG, candidate=plain, flags=client)(plain)
    with bind(Context("user-1")):
        floor, cost = ns(lambda: plain("x")), ns(lambda: routed("x"))
    print(f"progressive call, routed, timed and counted   {cost:10,.0f} ns   (the plain call: {floor:.0f} ns)")


def ticks() -> None:
    for name, make in (("memory", lambda _: MemoryStore()), ("sqlite", lambda folder: SQLiteStore(Path(folder) / "p.db"))):
        with tempfile.TemporaryDirectory() as folder:
            clock = ManualClock()
            store = make(folder)
            _, recorder, rollouts = house(store, clock)
            rollouts.start(FLAG)
            idle, busy = [], []
            for _ in range(200):
                for arm in ("control", "candidate"):
                    for i in range(40):
                        recorder.record(FLAG, arm=arm, seconds=0.05 + i / 1000, error=False, n=3)
                began = time.perf_counter()
                rollouts.tick()
                idle.append(time.perf_counter() - began)
                clock.advance(1)
                began = time.perf_counter()
                rollouts.tick()
                busy.append(time.perf_counter() - began)
            print(f"tick over {name:<8} nothing due {median(idle) * 1e6:8,.0f} µs   judge, decide, commit {median(busy) * 1e6:8,.0f} µs")
            store.close()


def brake() -> None:
    times = []
    for _ in range(50):
        client, recorder, rollouts = house(MemoryStore(), ManualClock())
        rollouts.start(FLAG)
        for _ in range(19):
            recorder.record(FLAG, arm="candidate", seconds=0.1, error=True)
        began = time.perf_counter()
        recorder.record(FLAG, arm="candidate", seconds=0.1, error=True)
        times.append(time.perf_counter() - began)
        assert client.pinned(FLAG) is not None
    print(f"brake: deciding failure to pin   {median(times) * 1e3:8.3f} ms median, {max(times) * 1e3:.3f} ms at worst of {len(times)}")


def main() -> None:
    progressive_call()
    ticks()
    brake()


if __name__ == "__main__":
    main()
