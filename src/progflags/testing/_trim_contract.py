"""What a store promises that forgets the beginning of a history; for any other there is nothing to promise."""

from __future__ import annotations

import pytest

from progflags.store import Commit, Store, Trimming
from progflags.testing._handles import Handles

__all__ = ["TrimContract"]


class TrimContract(Handles):
    """The promises of `progflags.store.Trimming`."""

    @pytest.fixture
    def trimmed(self, store: Store) -> Trimming:
        """The store, with five entries of `s` and two of `t`, of which those of `s` up to the third were cut."""
        if not isinstance(store, Trimming):
            pytest.skip("this store forgets nothing")
        for n in range(1, 6):
            store.commit(Commit({}, entries=[("s", {"n": n}), *([("t", {"n": n})] if n < 3 else [])]))
        assert store.trim("s", 3) == 4
        return store

    @pytest.mark.usefixtures("trimmed")
    def test_what_stays_keeps_its_numbers(self, store: Store, other: Store) -> None:
        """Through every handle, from wherever one reads; and what comes goes on counting."""
        other.commit(Commit({}, entries=[("s", {"n": 6})]))
        for handle in (store, other):
            assert [(entry.number, entry.body["n"]) for entry in handle.history("s")] == [(4, 4), (5, 5), (6, 6)]
            assert [entry.number for entry in handle.history("s", after=2, limit=2)] == [4, 5]
            assert [entry.number for entry in handle.history("s", after=4, limit=1)] == [5]
            assert [entry.number for entry in handle.history("t")] == [1, 2]
        assert store.revision() == 6

    def test_to_trim_again_changes_nothing(self, trimmed: Trimming, store: Store) -> None:
        """Nor does less; zero asks where it begins."""
        for through in (3, 1, 0):
            assert trimmed.trim("s", through) == 4
        assert trimmed.trim("t", 0) == 1
        assert trimmed.trim("nothing", 7) == 1
        assert [entry.number for entry in store.history("s")] == [4, 5]

    def test_the_last_entry_always_stays(self, trimmed: Trimming, store: Store) -> None:
        """For it says how far the numbers are."""
        assert trimmed.trim("s", 99) == 5
        store.commit(Commit({}, entries=[("s", {"n": 6})]))
        assert [(entry.number, entry.body["n"]) for entry in store.history("s")] == [(5, 5), (6, 6)]
