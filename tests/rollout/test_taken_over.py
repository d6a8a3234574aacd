"""`kill -9` of the process that looks at a rollout, again and again: another decides soon, and nothing happens twice."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from dataclasses import replace

import pytest

import progflags as pf
from progflags.store import open_store
from support.patience import until
from support.sizes import FULL, size

from .faults import violations
from .places import KINDS, place

pytestmark = [pytest.mark.slow, pytest.mark.sized]

BATCH = 0.5
GATES = [{"metric": "error_rate", "max": 0.5, "policy": "no_alarm"}]
STAGES = [{"percent": percent, "bake": "1s", "min_samples": 5, "gates": GATES} for percent in (1, 5, 10, 20, 50)]
FLAGS = {"flags": {"new": {"rollout": {"stages": STAGES, "watch": "2s", "batch": f"{BATCH * 1000:g}ms", "brake": False}}}}


def serve(address, told):
    """A worker, until it is killed."""
    with pf.connect(FLAGS, store=address) as flags:
        told.put((flags.rollouts._parts.pool.worker, os.getpid()))
        while True:
            for arm in ("control", "candidate"):
                flags.metrics.record("new", arm=arm, seconds=0.01, error=False, n=5)
            time.sleep(0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_another_takes_over(kind, tmp_path):
    """Within three looks of it, where the machine has nothing else to do; and no step is taken twice."""
    spawn = multiprocessing.get_context("spawn")
    told, pids, workers, waits = spawn.Queue(), {}, [], []

    def another():
        workers.append(spawn.Process(target=serve, args=(address, told), daemon=True))
        workers[-1].start()

    with place(kind, tmp_path) as address, pf.connect(FLAGS, store=address, poll=None, control=False) as person:
        try:
            for _ in range(3):
                another()
            pids.update(told.get(timeout=60) for _ in range(3))

            def record():
                return person.rollouts._parts.ledger.page("new").record

            def decided():
                """All but who looks: that is another before anything is decided."""
                return replace(record(), looker="")

            for _ in range(size(3, full=100)):
                if record() is None or not record().serving:
                    person.rollouts.start("new")
                until(lambda: record().looker in pids, said=lambda: (record().looker, pids))
                os.kill(pids.pop(record().looker), signal.SIGKILL)
                began, before = time.monotonic(), decided()
                until(lambda before=before: decided() != before, said=lambda: "nobody took over")
                waits.append((time.monotonic() - began) / BATCH)
                another()
                pids.update([told.get(timeout=60)])
        finally:
            for worker in workers:
                worker.kill()
                worker.join()
        with contextlib.closing(open_store(address)) as store:
            assert violations(store, "new") == []
    print(f"{kind}: taken over after {max(waits):.1f} batches at most, of {len(waits)}")
    if FULL:
        assert max(waits) <= 3.0
