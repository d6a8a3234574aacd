"""
An application that lives through everything at once, for as many seconds as it is told, and writes down how large it is.

`python -m scenarios.soaking SECONDS EVERY STORE FOLDER`: requests in two threads; a flag file that is written again and again;
rollouts that start, climb, are rolled back, aborted and retried; kills; shadows; a source, a listener and a sink that exit or are
slow now and then; other processes' worth of clients that come and go. What it prints last is JSON: samples and what went wrong.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import progflags as pf
from progflags import _trouble
from progflags.errors import ProgflagsError
from progflags.events import Judged, Moved
from progflags.rollout import Hook

ROLLING, PEOPLE = ("checkout", "search", "feed"), 2_000
FILE = """
[flags.checkout]
tags = ["round-{round}"]
[flags.checkout.rollout]
batch = "1s"
watch = "2s"
gates = [{{ metric = "error_rate", max = 0.5, policy = "no_alarm" }}, {{ metric = "depth", kind = "gauge", max = 500.0 }}]
stages = [{{ percent = 20, bake = "2s", min_samples = 1 }}, {{ percent = 50, bake = "2s", min_samples = 1 }}]
[flags.search]
[flags.search.rollout]
batch = "1s"
watch = "2s"
gates = [{{ metric = "error_rate", max_increase = 0.5 }}]
stages = [{{ percent = 50, bake = "1h" }}]
[flags.feed]
[flags.feed.rollout]
dark_launch = true
watch = "2s"
gates = [{{ metric = "error_rate", max = 0.5, policy = "no_alarm" }}]
stages = [{{ percent = 10, bake = "1s", min_samples = 1 }}]
[flags.prices]
percent = {percent}
[flags.plain]
percent = 100
"""


class Malloc(ctypes.Structure):
    """What glibc's `mallinfo2` answers."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    ]


def held() -> float:
    """MiB in use by the allocator's own books, which are of everything where PYTHONMALLOC=malloc and MALLOC_ARENA_MAX=1."""
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = Malloc
    told = ask()
    return (told.uordblks + told.hblkhd) / 2**20


class Application:
    def __init__(self, store: str, folder: Path) -> None:
        self.store, self.file, self.rng = store, folder / "flags.toml", random.Random(11)
        self.round, self.over = 0, threading.Event()
        self.wrong: list[str] = []
        self.save()
        self.flags = pf.connect(self.file, store=store, poll=0.05, last_known_good=folder / "kept")
        self.flags.metrics.source("depth", self.depth)
        self.flags.bus.listen(Moved, self.hear)
        self.flags.bus.listen(Judged, self.hear)
        self.flags.rollouts.notify(Hook("pager", self.page))
        self.flags.rollouts.shadow("feed", lambda: "SAFE")
        self.price = pf.dark_launch("prices", candidate=lambda n: n * 2 + (n % 7 == 0), flags=self.flags)(lambda n: n * 2)
        self.answer = pf.progressive("checkout", candidate=lambda n: n, flags=self.flags, key=lambda n: f"u{n}")(lambda n: n)

    def save(self) -> None:
        self.round += 1
        aside = self.file.with_suffix(".new")
        aside.write_text(FILE.format(round=self.round % 50, percent=20 + self.round % 50), encoding="utf-8")
        aside.replace(self.file)

    # -- functions of the application's that don't behave

    def depth(self) -> float:
        luck = self.rng.random()
        if luck < 0.01:
            sys.exit()
        if luck < 0.02:
            time.sleep(0.3)
        return 1.0

    def hear(self, event: object) -> None:
        if self.rng.random() < 0.02:
            raise SystemExit
        if self.rng.random() < 0.02:
            time.sleep(0.1)

    def page(self, line: object) -> None:
        if self.rng.random() < 0.02:
            raise KeyboardInterrupt

    # -- what happens to it

    def serve(self) -> None:
        rng = random.Random(threading.get_ident())
        while not self.over.is_set():
            who = f"u{rng.randrange(PEOPLE)}"
            with pf.bind(who, fresh=True):
                if not isinstance(self.flags.is_enabled("search"), bool) or self.answer(5) != 5 or self.price(7) != 14:
                    self.wrong.append("an answer")
                self.flags.is_enabled("feed")
                self.flags.track(f"event-{rng.randrange(400)}")
                self.flags.track("half\ud83d")
            for flag in ROLLING:
                arm = rng.choice(["control", "candidate", "candidat"])
                self.flags.metrics.record(flag, arm=arm, seconds=0.01, error=rng.random() < 0.01, unit=who)
            time.sleep(0.004)

    def live(self) -> None:
        """One round: a file, a verb on each rollout, a kill, and a neighbour that comes and goes."""
        self.save()
        rollouts = self.flags.rollouts
        verbs: list[Callable[..., Any]] = [rollouts.start, rollouts.pause, rollouts.resume, rollouts.promote, rollouts.rollback]
        verbs += [rollouts.abort, rollouts.retry, rollouts.retry]
        for flag in ROLLING:
            verb = self.rng.choice(verbs)
            try:
                verb(flag, by="soak", **({"force": True} if verb == rollouts.retry else {}))
            except ProgflagsError:
                continue  # not legal now, or the store is away
        try:
            with pf.connect(self.file, store=self.store, poll=0.05) as neighbour:
                neighbour.kill("plain", by="soak")
                neighbour.rollouts.tick()
                neighbour.rollouts.status("checkout")
                neighbour.unkill("plain", by="soak")
        except ProgflagsError:
            return

    def settled(self) -> bool:
        """Whether everything of its own runs, and no rollout is in trouble: what a machine that stood still kept waiting has come."""
        threads = self.flags.status().threads
        ours = all(threads[name].startswith("running") for name in ("source", "store", "rollouts", "notifications"))
        return ours and not any(name.startswith("rollout of") for name in threads)

    def size(self) -> dict[str, float]:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return {
            "at": time.monotonic(),
            "held": held(),
            "resident": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
            "descriptors": len(os.listdir("/proc/self/fd")),
            "threads": threading.active_count(),
        }


def main(seconds: float, every: float, store: str, folder: Path) -> None:
    application = Application(store, folder)
    for _ in range(2):
        threading.Thread(target=application.serve, daemon=True).start()
    for flag in ROLLING:  # whatever begins when it is first needed, and what is imported then, belongs to no growth
        application.flags.rollouts.start(flag, by="soak", timeout=60)
    judged: set[str] = set()
    unlisten = application.flags.bus.listen(Judged, lambda event: judged.add(event.flag))
    begun = time.monotonic()
    while time.monotonic() - begun < 2.5 or (judged < set(ROLLING) and time.monotonic() - begun < 60):
        time.sleep(0.1)
    unlisten()
    application.live()
    print("begun", flush=True)
    samples = [application.size()]
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(samples) < 16:
        application.live()
        time.sleep(0.05)
        if time.monotonic() - samples[-1]["at"] >= every:
            samples.append(application.size())
    settled = time.monotonic() + 60
    while time.monotonic() < settled and not application.settled():
        time.sleep(0.1)
    application.over.set()
    threads = application.flags.status().threads
    histories = {flag: len(application.flags.rollouts.history(flag)) for flag in ROLLING}
    application.flags.close()
    told = {"samples": samples, "wrong": application.wrong, "threads": threads, "histories": histories, "rounds": application.round}
    print(json.dumps({**told, "swallowed": _trouble.counts()}))


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
