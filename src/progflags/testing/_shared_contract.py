"""
What a store of several processes promises besides.

It needs `store.url` to be something that `progflags.store.open_store` understands, or overrides of `join` and of `opener`, the
source text by which other processes open it.
"""

# ruff: noqa: S603 - the processes started here are this very Python

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from progflags.store import Store, open_store
from progflags.testing._handles import PATIENCE
from progflags.testing._store_contract import StoreContract

__all__ = ["SharedStoreContract"]


class SharedStoreContract(StoreContract):
    """
    What a store of several processes promises besides. Other processes open it with the source text of `opener`.

        from uuid import uuid4

        from progflags.store import open_store

        class TestMyStore(SharedStoreContract):
            def make_store(self):
                return open_store(f"sqlite:///{self.folder}/{uuid4()}.db")
    """

    kills = 40
    """How many writers `test_a_killed_writer_leaves_before_or_after` kills."""

    def join(self, store: Store) -> Store:
        return open_store(store.url)

    def opener(self, store: Store) -> str:
        """Python source that binds `store` to the same store in another process."""
        return f"from progflags.store import open_store; store = open_store({store.url!r})"

    def test_processes_lose_no_update(self, store: Store) -> None:
        """Three processes count to 60 together, by compare-and-set."""
        script = f"{self.opener(store)}\nfrom progflags.testing._counting import count\ncount(store, 20)"
        running = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]

        assert [process.wait(PATIENCE * 3) for process in running] == [0, 0, 0]
        assert store.read("count")[1]["count"].body == {"n": 60}
        assert [entry.body["n"] for entry in store.history("count")] == list(range(1, 61))

    def test_another_process_wakes_a_waiter(self, store: Store) -> None:
        """Within the patience of a rollout, without this process doing anything."""
        script = f"{self.opener(store)}\nfrom progflags.store import Commit; store.commit(Commit({{'a': {{}}}}))"
        before = time.monotonic()
        with subprocess.Popen([sys.executable, "-c", script]):
            assert store.wait(0, PATIENCE) == 1
        assert time.monotonic() - before < PATIENCE / 2

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    def test_parent_and_forked_child_both_go_on(self, store: Store) -> None:
        """A store opened before a fork is used on both sides of it, at the same time."""
        script = (
            f"{self.opener(store)}\nimport os, sys\nfrom progflags.testing._counting import count\ncount(store, 5)\n"
            "child = os.fork()\ncount(store, 20)\nos._exit(0) if not child else sys.exit(os.waitpid(child, 0)[1])"
        )
        assert subprocess.run([sys.executable, "-c", script], timeout=PATIENCE * 3, check=False).returncode == 0

        assert [entry.body["n"] for entry in store.history("count")] == list(range(1, 46))

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    def test_a_killed_writer_leaves_before_or_after(self, store: Store) -> None:
        """
        SIGKILL at any moment: document and history agree, what was acknowledged is there, nothing is there twice.

        One process forks the writers, so that each costs milliseconds; a writer acknowledges through a pipe.
        """
        script = f"{self.opener(store)}\nfrom progflags.testing._counting import kill_writers\nkill_writers(store, {self.kills})"
        done = subprocess.run([sys.executable, "-c", script], timeout=120, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert store.read("count")[1]["count"].body["n"] == len(store.history("count", limit=1_000_000)) >= self.kills
