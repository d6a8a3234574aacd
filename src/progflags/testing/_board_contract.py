"""What the Board promises: one row per topic and worker, replaced by a later one only, outside of all revisions."""

from __future__ import annotations

import time

from progflags.store import Commit, Store
from progflags.testing._handles import PATIENCE, Handles

__all__ = ["BoardContract"]


class BoardContract(Handles):
    """The promises of `progflags.store.Board`."""

    def test_a_row_is_replaced_only_by_a_higher_seq(self, store: Store) -> None:
        """A re-send and an overtaken write are harmless."""
        for seq, body in [(2, b"two"), (1, b"one"), (2, b"again"), (3, b"three"), (2, b"late")]:
            store.board.publish("topic", "w", seq, body)

        assert [(row.worker, row.seq, row.body) for row in store.board.collect("topic")] == [("w", 3, b"three")]

    def test_rows_come_ordered_by_worker_and_topics_are_apart(self, store: Store, other: Store) -> None:
        """Every handle sees all of a topic and nothing else."""
        for worker in ("c", "a", "b"):
            store.board.publish("one", worker, 1, worker.encode())
        other.board.publish("two", "a", 1, bytes(range(256)))

        assert [row.worker for row in other.board.collect("one")] == ["a", "b", "c"]
        assert [row.body for row in store.board.collect("two")] == [bytes(range(256))]

    def test_a_topic_is_cleared_whole(self, store: Store) -> None:
        """Its neighbours stay; one that is not there is fine; a worker may begin at 1 again."""
        store.board.publish("one", "a", 5, b"")
        store.board.publish("two", "a", 5, b"")
        store.board.clear("one")
        store.board.clear("none")
        store.board.publish("one", "a", 1, b"new")

        assert [row.seq for row in store.board.collect("one")] == [1]
        assert [row.seq for row in store.board.collect("two")] == [5]

    def test_a_rows_age_is_the_time_since_it_was_put_up(self, store: Store) -> None:
        """Seconds, never negative; a higher seq makes it young again."""
        store.board.publish("topic", "w", 1, b"")
        time.sleep(0.05)
        (old,) = store.board.collect("topic")
        store.board.publish("topic", "w", 2, b"")
        (young,) = store.board.collect("topic")

        assert 0.04 <= old.age < PATIENCE
        assert 0.0 <= young.age < PATIENCE

    def test_the_board_never_moves_the_revision(self, store: Store) -> None:
        """A thousand workers publishing wake nobody."""
        store.commit(Commit({}))
        store.board.publish("topic", "w", 1, b"")
        store.board.clear("topic")

        assert store.revision() == 1
