"""An application lives through reloads, rollouts, shadows, neighbours and restarts of its store, and is as large afterwards as before."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

import pytest

from support.own import OwnRedis
from support.sizes import FULL, size

pytestmark = pytest.mark.skipif(
    not (Path("/proc/self/statm").exists() and hasattr(ctypes.CDLL(None), "mallinfo2")), reason="sizes are read from /proc and glibc"
)

TESTS = Path(__file__).parent.parent


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, OwnRedis | None]]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db", None
        return
    server = OwnRedis(tmp_path / "redis")
    server.start()
    yield server.address, server
    server.stop()


def lived(store: str, server: OwnRedis | None, seconds: int, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "scenarios.soaking", str(seconds), str(max(0.25, seconds / 240)), store, str(folder)]
    # What is held is read from malloc's own books, so everything has to go through it. The resident pages are told as well: a neighbour's
    # client a round makes thousands of threads in an hour, which no application does, and what they leave between them is never quite filled.
    environment = os.environ | {"PYTHONMALLOC": "malloc", "MALLOC_ARENA_MAX": "1"}
    log = folder / "log"  # a file: nobody would empty a pipe for an hour
    with log.open("w") as errors:
        program = subprocess.Popen(command, cwd=TESTS, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert program.stdout is not None
    program.stdout.readline()  # it has begun: until then nothing of its goes through a restart
    pause = 2.0 if seconds < 60 else 60.0
    end = time.monotonic() + seconds - pause
    while server is not None and time.monotonic() < end and program.poll() is None:
        time.sleep(pause)
        server.stop()
        time.sleep(0.3)
        server.start()
    told, _ = program.communicate(timeout=seconds + 300)
    assert program.returncode == 0, log.read_text()[-3000:]
    told = json.loads(told.splitlines()[-1])
    return {**told, "log": log.read_text()}


@pytest.mark.sized
def test_an_application_that_lives_through_everything_stays_as_large_as_it_is(store: tuple[str, OwnRedis | None], tmp_path: Path) -> None:
    """
    An hour in full: less than 1 MiB more is held each ten minutes after the first ten. In short: no more threads, descriptors or memory in the second
    half than in the first.
    """
    told = lived(*store, size(6, full=3600), tmp_path)

    samples = told["samples"]
    assert told["wrong"] == []
    ours = ("source", "store", "rollouts", "notifications")
    assert {name: told["threads"][name].partition(",")[0] for name in ours} == dict.fromkeys(ours, "running")
    assert not [name for name in told["threads"] if name.startswith("rollout of")]  # a store that is busy once is looked at again
    assert not [where for where in told["swallowed"] if where.startswith(("counts of", "refresher"))], told["log"]
    assert all(told["histories"].values())  # every one of them moved

    warm = [sample for sample in samples if sample["at"] - samples[0]["at"] >= (600 if FULL else 1)]
    assert len(warm) >= 4
    early, late = warm[: len(warm) // 2], warm[len(warm) // 2 :]
    for what, more in (
        ("threads", 4 if FULL else 6),
        ("descriptors", 4 if FULL else 6),
    ):  # threads that begin when they are needed; a leak is one in every round
        assert max(sample[what] for sample in late) <= max(sample[what] for sample in early) + more, [sample[what] for sample in warm]
    for what in ("held", "resident"):
        before, after = (median(sample[what] for sample in half) for half in (early, late))
        assert after <= before * 1.1, [round(sample[what], 1) for sample in warm]
    if FULL:
        slope, _ = linear_regression([sample["at"] for sample in warm], [sample["held"] for sample in warm])
        assert slope * 600 <= 1.0, [round(sample["held"], 1) for sample in warm]
