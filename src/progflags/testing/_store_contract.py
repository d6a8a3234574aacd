"""
What every store promises, as a pytest class: subclass it, say how to make one, and run pytest.

    class TestMyStore(StoreContract):
        def make_store(self):
            return MyStore(self.folder / "state")

        def join(self, store):              # optional: a second handle on what `store` holds
            return MyStore(store.path)

A store of several processes promises more: see `SharedStoreContract`.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from progflags.errors import StoreError
from progflags.store import Commit, Hinting, Store, Timed, time_of
from progflags.testing._board_contract import BoardContract
from progflags.testing._commit_contract import CommitContract
from progflags.testing._counting import count
from progflags.testing._handles import PATIENCE
from progflags.testing._hint_contract import HintContract
from progflags.testing._trim_contract import TrimContract

__all__ = ["StoreContract"]


class StoreContract(CommitContract, BoardContract, HintContract, TrimContract):
    """
    The promises of `progflags.store.Store`, each a test. `make_store` returns a new, empty store at every call.

        class TestMyStore(StoreContract):
            def make_store(self):
                return MyStore(self.folder / "state")

            def join(self, store):                      # a second handle on what `store` holds
                return MyStore(store.path)
    """

    examples = 30
    """How many sequences of steps `test_behaves_like_its_model` tries."""

    def test_is_a_store(self, store: Store) -> None:
        """It has every method of the protocol, and its Board too."""
        assert isinstance(store, Store)
        assert "://" in store.url

    def test_an_empty_store_is_at_revision_zero(self, store: Store) -> None:
        """Nothing was committed: no document, no history, no row."""
        assert store.revision() == 0
        assert store.read() == (0, {})
        assert store.history("anything") == ()
        assert store.board.collect("anything") == ()

    # Waiting, and being several.

    def test_wait_returns_at_once_when_there_is_news(self, store: Store) -> None:
        """It does not wait for the next."""
        store.commit(Commit({}))
        assert store.wait(0, PATIENCE) == 1

    def test_wait_gives_up_and_says_what_is(self, store: Store) -> None:
        """No news: the revision known already."""
        store.commit(Commit({}))
        assert store.wait(1, 0.0) == 1
        assert store.wait(1, 0.02) == 1

    def test_wait_wakes_on_a_commit_through_another_handle(self, store: Store, other: Store) -> None:
        """A waiter does not hinder the writer, and hears of it."""
        answers: list[int] = []
        waiter = threading.Thread(target=lambda: answers.append(other.wait(0, PATIENCE)))
        waiter.start()
        before = time.monotonic()
        store.commit(Commit({"a": {}}))
        waiter.join(PATIENCE)

        assert answers == [1]
        assert time.monotonic() - before < PATIENCE / 4

    def test_two_handles_see_one_store(self, store: Store, other: Store) -> None:
        """What one commits the other reads, expects and continues."""
        store.commit(Commit({"a": {"by": "store"}}, entries=[("s", {"by": "store"})]))
        assert other.revision() == 1
        assert other.commit(Commit({"a": {"by": "other"}}, {"a": 1}, [("s", {"by": "other"})])) == 2

        assert store.revision() == 2
        assert store.read()[1]["a"].body == {"by": "other"}
        assert [entry.body["by"] for entry in store.history("s")] == ["store", "other"]

    def test_concurrent_writers_lose_no_update(self, store: Store, other: Store) -> None:
        """Four threads on two handles count to 100 together, by compare-and-set."""
        threads = [threading.Thread(target=count, args=(handle, 25)) for handle in (store, other, store, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE * 3)

        assert store.read("count")[1]["count"].body == {"n": 100}
        assert [entry.body["n"] for entry in store.history("count")] == list(range(1, 101))

    def test_a_read_is_of_one_moment(self, store: Store, other: Store) -> None:
        """Two documents always written together are never read apart, and the revision is theirs."""
        done = threading.Event()

        def write() -> None:
            for n in range(60):
                other.commit(Commit({"left": {"n": n}, "right": {"n": n}}))
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        torn = []
        while not done.is_set():
            revision, found = store.read()
            if found and not (found["left"].body == found["right"].body and found["left"].revision == revision):
                torn.append((revision, found))
        writer.join(PATIENCE)

        assert torn == []

    # Its time.

    def test_its_time_goes_on_for_everybody(self, store: Store, other: Store) -> None:
        """Where it has one (see `Timed`): seconds since 1970, the same through every handle, and never back."""
        if not isinstance(store, Timed) or not isinstance(other, Timed) or store.now() is None:
            pytest.skip("this store has no time of its own")
        times = [time_of(handle) or 0.0 for handle in (store, other, store)]
        time.sleep(0.05)
        times.append(time_of(other) or 0.0)

        assert times == sorted(times)
        assert 0.04 <= times[-1] - times[0] < PATIENCE

    # The end.

    def test_close_is_idempotent_and_final(self, store: Store) -> None:
        """Every method of a closed store says so, and a waiter is not left hanging."""
        board = store.board
        store.close()
        store.close()

        acts: list[Callable[[], object]] = [
            store.revision,
            store.read,
            lambda: store.commit(Commit({})),
            lambda: store.wait(0, PATIENCE),
            lambda: store.history("s"),
            lambda: board.publish("topic", "w", 1, b""),
            lambda: board.collect("topic"),
            lambda: board.clear("topic"),
            *([store.now] if isinstance(store, Timed) else []),
            *([lambda: store.hint(PATIENCE)] if isinstance(store, Hinting) else []),
        ]
        for act in acts:
            with pytest.raises(StoreError):
                act()

    def test_closing_one_handle_leaves_the_other(self, store: Store, other: Store) -> None:
        """They share documents, not a life."""
        if other is store:
            pytest.skip("join() gives no second handle")
        store.commit(Commit({"a": {}}))
        store.close()
        assert list(other.read()[1]) == ["a"]

    # All of it at once.

    def test_behaves_like_its_model(self) -> None:
        """Any sequence of commits, conflicts, retries and rows leaves store and model equal (Hypothesis)."""
        pytest.importorskip("hypothesis")
        from hypothesis import HealthCheck, settings
        from hypothesis.stateful import run_state_machine_as_test

        from progflags.testing._store_model import machine

        with tempfile.TemporaryDirectory() as folder:
            numbers = itertools.count()

            def make() -> Store:
                self.folder = Path(folder) / str(next(numbers))
                self.folder.mkdir()
                return self.make_store()

            calm = settings(max_examples=self.examples, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
            run_state_machine_as_test(machine(make, self.join), settings=calm)
