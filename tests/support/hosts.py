"""Processes of one host that share a connection to a server, real ones: what they serve, and what each does for the host."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
from pathlib import Path
from typing import Any

import progflags as pf
from progflags.store.host import _duty, _sign, _store
from support.patience import PATIENCE, until

__all__ = ["Host"]

FLAGS = {
    "flags": {
        "plain": {"percent": 100},
        "climbs": {"rollout": {"stages": [{"percent": 50, "bake": "1h"}], "batch": "1s", "brake": False}},
    }
}


def serve(address: str, folder: str, told: Any, wishes: Any) -> None:
    """A worker that says what it serves, and what it does, whenever that changes; and counts what it is told to."""
    _store._IDLE, _sign._PATIENCE, _duty._SPREAD, _duty._AGAIN = 0.3, (1.5, 2.0), 0.3, (0.5, 1.0)  # type: ignore[misc]
    with pf.connect(FLAGS, store=address, host_cache=folder) as flags:
        last = None
        while True:
            status = flags.status()
            now = flags.is_enabled("plain", "u"), status.threads.get("host", ""), flags.live("climbs").counting
            if now != last:
                last = now
                told.put((os.getpid(), now))
            try:
                wish = wishes.get(timeout=0.01)
            except queue.Empty:
                continue
            if wish == "end":
                return
            for _ in range(wish):
                flags.metrics.record("climbs", arm="candidate", seconds=0.01, error=False)
                flags.metrics.record("climbs", arm="control", seconds=0.01, error=False)


class Host:
    """So many workers, with one folder. `said`: by process, whether it serves the flag, what it does for its host, whether it counts."""

    def __init__(self, address: str, folder: Path, size: int) -> None:
        self._spawn = multiprocessing.get_context("spawn")
        self.address, self.folder = address, folder
        self.told = self._spawn.Queue()
        self.workers: dict[int, Any] = {}
        self.wishes: dict[int, Any] = {}
        self.said: dict[int, tuple[bool, str, bool]] = {}
        for _ in range(size):
            self.add()

    def add(self) -> None:
        wishes = self._spawn.Queue()
        worker = self._spawn.Process(target=serve, args=(self.address, str(self.folder), self.told, wishes), daemon=True)
        worker.start()
        self.workers[worker.pid], self.wishes[worker.pid] = worker, wishes

    def hear(self) -> None:
        while True:
            try:
                pid, said = self.told.get_nowait()
            except queue.Empty:
                return
            self.said[pid] = said

    def living(self) -> list[tuple[bool, str, bool]]:
        self.hear()
        return [said for pid, said in self.said.items() if pid in self.workers]

    def until(self, true: Any) -> None:
        """Until `true` of what the workers say they serve, and what they say they do."""

        def seen() -> bool:
            living = self.living()
            return len(living) == len(self.workers) and bool(true([serves for serves, _, _ in living], [does for _, does, _ in living]))

        until(seen, said=lambda: self.said)

    def settled(self) -> None:
        """Until one asks and the others follow."""
        self.until(lambda _, does: sorted(one.split()[1] for one in does) == ["asks", *["reads"] * (len(does) - 1)])

    def counting(self) -> bool:
        return all(counts for _, _, counts in self.living())

    def asking(self) -> int:
        self.hear()
        (asks,) = [pid for pid, (_, does, _) in self.said.items() if pid in self.workers and "asks" in does]
        return asks

    def kill(self, pid: int) -> None:
        worker = self.workers.pop(pid)
        os.kill(pid, signal.SIGKILL)
        worker.join(PATIENCE)

    def end(self) -> None:
        """Every worker closes its client."""
        for wishes in self.wishes.values():
            wishes.put("end")
        for worker in self.workers.values():
            worker.join(PATIENCE)

    def close(self) -> None:
        for worker in self.workers.values():
            worker.kill()
            worker.join(PATIENCE)
