"""
What an evaluation costs while the server that live state comes from is away: as a share of what it costs while it is there.

Two processes of one application, each behind a forwarder of its own on the way to PostgreSQL or Redis: one is let through, the other is
cut off for a minute. They are timed in turns, so that what else the machine does meets both; then they change places.
"""

from __future__ import annotations

import multiprocessing
import selectors
import socket
import time
from statistics import median
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import progflags as pf
from benchmarks.bench_fleet import SERVERS, running

MINUTE, SLICE, CALLS = 60.0, 0.25, 2000
FLAGS = {"flags": {"half": {"percent": 50}, "climbs": {"rollout": {}}}}


def forward(port: int, server: tuple[str, int], open_: Any) -> None:
    """Connections on `port` are those of `server`, until `open_` is cleared: then they end, and no more are taken."""
    listener, pairs = None, {}
    while True:
        if open_.is_set() and listener is None:
            listener = socket.create_server(("127.0.0.1", port))
            listener.settimeout(0.01)
        if not open_.is_set() and listener is not None:
            for one in (listener, *pairs):
                one.close()
            listener, pairs = None, {}
        if listener is None:
            time.sleep(0.05)
            continue
        try:
            near = listener.accept()[0]
            far = socket.create_connection(server)
            pairs |= {near: far, far: near}
        except TimeoutError:
            pass
        with selectors.DefaultSelector() as ready:
            for one in pairs:
                ready.register(one, selectors.EVENT_READ)
            for key, _ in ready.select(0) if pairs else ():
                passed(pairs, key.fileobj)


def passed(pairs: dict[Any, Any], one: Any) -> None:
    other = pairs.get(one)
    if other is None:
        return
    try:
        if data := one.recv(65536):
            other.sendall(data)
            return
    except OSError:
        pass
    for end in (one, other):
        pairs.pop(end, None)
        end.close()


def serve(address: str, asked: Any) -> None:
    """Nanoseconds an evaluation, whenever it is asked for them."""
    with pf.connect(FLAGS, store=address) as flags:
        flags.is_enabled("half", "u")
        while asked.recv():
            times, until = [], time.perf_counter() + SLICE
            while time.perf_counter() < until:
                began = time.perf_counter()
                for _ in range(CALLS):
                    flags.is_enabled("half", "user-12345")
                times.append((time.perf_counter() - began) / CALLS * 1e9)
            asked.send(median(times))


class Behind:
    """An application's process behind a forwarder."""

    def __init__(self, server: str) -> None:
        parts = urlsplit(server)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        address = urlunsplit(parts._replace(netloc=parts.netloc.replace(str(parts.port), str(port))))
        self.open, (self.asked, theirs) = multiprocessing.Event(), multiprocessing.Pipe()
        self.open.set()
        target = (parts.hostname, parts.port)
        self.processes = [multiprocessing.Process(target=forward, args=(port, target, self.open), daemon=True)]
        self.processes += [multiprocessing.Process(target=serve, args=(address, theirs), daemon=True)]
        for one in self.processes:
            one.start()

    def timed(self) -> float:
        self.asked.send(True)
        return float(self.asked.recv())

    def close(self) -> None:
        for one in self.processes:
            one.kill()


def compare(server: str, seconds: float = MINUTE) -> tuple[float, list[float]]:
    """(away / there), and that of each turn."""
    ratios = []
    both = [Behind(server), Behind(server)]
    try:
        for one in both:
            one.timed()
        for away, there in (both, reversed(both)):
            away.open.clear()
            time.sleep(1.0)
            until, turns = time.monotonic() + seconds, []
            while time.monotonic() < until:
                turns.append(away.timed() / there.timed())
            ratios += turns
            away.open.set()
            time.sleep(8.0)
    finally:
        for one in both:
            one.close()
    return median(ratios), ratios


def main() -> None:
    for name in running():
        ratio, turns = compare(SERVERS[name])
        low, high = sorted(turns)[len(turns) // 10], sorted(turns)[-len(turns) // 10]
        print(f"{name}: an evaluation while it is away for {MINUTE:.0f} s takes {ratio:.3f} × one while it is there", end=" ")
        print(f"({len(turns)} turns, a tenth below {low:.2f}, a tenth above {high:.2f})   bar: 0.95 to 1.05", flush=True)


if __name__ == "__main__":
    main()
