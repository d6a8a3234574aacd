"""What a store promises that says when it moved; for any other there is nothing to promise."""

from __future__ import annotations

import threading

import pytest

from progflags.store import Commit, Hinting, Store
from progflags.testing._handles import PATIENCE, Handles

__all__ = ["HintContract"]

_SHORT = 0.2  # seconds that a hint which must not come is waited for


class HintContract(Handles):
    """The promises of `progflags.store.Hinting`."""

    @pytest.fixture
    def hints(self, store: Store) -> Hinting:
        """The store, listening."""
        if not isinstance(store, Hinting):
            pytest.skip("this store does not say when it moved")
        assert store.hint(PATIENCE), "that it begins to listen is the first hint"
        while store.hint(_SHORT):
            pass
        assert store.deaf == ""
        return store

    def test_a_commit_through_another_handle_is_hinted(self, hints: Hinting, other: Store) -> None:
        """To whoever waits, and to whoever asks later."""
        heard: list[bool] = []
        waiter = threading.Thread(target=lambda: heard.append(hints.hint(PATIENCE)))
        waiter.start()
        other.commit(Commit({"a": {}}))
        waiter.join(PATIENCE)
        other.commit(Commit({"a": {}}))

        assert heard == [True]
        assert hints.hint(PATIENCE)
        assert not hints.hint(_SHORT)

    def test_what_is_quiet_and_what_is_put_up_is_not_hinted(self, hints: Hinting, other: Store) -> None:
        """A thousand workers publishing wake nobody."""
        other.commit(Commit({"a": {}}, quiet=True))
        other.board.publish("topic", "w", 1, b"")

        assert not hints.hint(_SHORT)

    def test_hints_are_heard_while_others_use_the_store(self, hints: Hinting, store: Store, other: Store) -> None:
        """None is lost to a thread whose answer it came with."""
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                store.revision()

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            for n in range(20):
                other.commit(Commit({"a": {"n": n}}))
                assert hints.hint(PATIENCE)
        finally:
            done.set()
            asking.join(PATIENCE)

    def test_a_publication_may_bring_the_revision_along(self, store: Store, other: Store) -> None:
        """Then it is the one there is."""
        other.commit(Commit({"a": {}}))
        assert store.board.publish("topic", "w", 1, b"") in (None, 1)
        assert store.board.publish("topic", "w", 1, b"again") in (None, 1)
