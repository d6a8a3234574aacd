"""What a commit promises: documents under compare-and-set, lines of history, one revision for all of it, or nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from progflags.errors import ConflictError
from progflags.store import Commit, Store
from progflags.testing._handles import Handles

__all__ = ["CommitContract"]


# Left whole, though long: a list of promises, which a backend's author reads from the first to the last.
class CommitContract(Handles):
    """The promises of `Store.commit`, and of `read` and `history` about what was committed."""

    # Documents.

    def test_a_commit_is_one_revision_for_all_it_wrote(self, store: Store) -> None:
        """Two documents and a line of history, one step."""
        revision = store.commit(Commit({"a": {"n": 1}, "b": {"n": 2}}, entries=[("s", {"line": 1})]))

        assert revision == store.revision() == 1
        assert store.commit(Commit({})) == store.revision() == 2
        at, documents = store.read()
        assert at == 2
        assert {key: (document.revision, document.body) for key, document in documents.items()} == {"a": (1, {"n": 1}), "b": (1, {"n": 2})}
        assert [(entry.number, entry.revision, entry.body) for entry in store.history("s")] == [(1, 1, {"line": 1})]

    def test_a_document_keeps_the_revision_of_its_own_last_write(self, store: Store) -> None:
        """Writing one moves the store, not its neighbour."""
        store.commit(Commit({"a": {}, "b": {}}))
        store.commit(Commit({"b": {"n": 1}}))

        _, documents = store.read()
        assert {key: document.revision for key, document in documents.items()} == {"a": 1, "b": 2}

    def test_an_empty_commit_is_a_revision_too(self, store: Store) -> None:
        """A line of history alone wakes everybody."""
        assert store.commit(Commit({}, entries=[("s", {})])) == 1
        assert store.commit(Commit({})) == 2

    def test_a_conflict_writes_nothing_and_says_what_is_there(self, store: Store) -> None:
        """Neither the other documents of the commit nor its history are taken."""
        store.commit(Commit({"a": {"n": 1}}))

        with pytest.raises(ConflictError) as caught:
            store.commit(Commit({"a": {"n": 9}, "b": {}}, {"a": 0, "b": 0}, [("s", {})], "lost"))

        assert caught.value.revisions == {"a": 1, "b": 0}
        assert store.read() == (1, store.read("a")[1])
        assert store.history("s") == ()

    def test_zero_expects_absence(self, store: Store) -> None:
        """The first writer makes the document, the second is told."""
        store.commit(Commit({"a": {}}, {"a": 0}))
        with pytest.raises(ConflictError):
            store.commit(Commit({"a": {}}, {"a": 0}))
        store.commit(Commit({"a": {}}, {"a": 1}))

    def test_a_key_can_be_expected_without_being_written(self, store: Store) -> None:
        """A decision that rests on another document fails when that one moved."""
        store.commit(Commit({"ground": {}}))
        store.commit(Commit({"ground": {"n": 1}}))
        with pytest.raises(ConflictError):
            store.commit(Commit({"house": {}}, {"ground": 1}))
        store.commit(Commit({"house": {}}, {"ground": 2}))

    def test_revisions_grow_over_deletion(self, store: Store) -> None:
        """A document that comes back is not mistaken for the one that was there."""
        store.commit(Commit({"a": {"life": 1}}))
        store.commit(Commit({"a": None}, {"a": 1}))
        assert store.read()[1] == {}
        store.commit(Commit({"a": {"life": 2}}, {"a": 0}))

        with pytest.raises(ConflictError):
            store.commit(Commit({"a": {}}, {"a": 1}))
        assert store.read("a")[1]["a"].revision == 3

    def test_deleting_what_is_not_there_is_fine(self, store: Store) -> None:
        """It is a commit like another."""
        assert store.commit(Commit({"a": None})) == 1

    def test_a_repeated_id_is_the_same_commit(self, store: Store, other: Store) -> None:
        """An acknowledgement that was lost is asked for again, through any handle, however much happened since."""
        commit = Commit({"a": {"n": 1}}, {"a": 0}, [("s", {"n": 1})], "once")
        first = store.commit(commit)
        store.commit(Commit({"a": {"n": 2}}, {"a": first}, id="next"))

        assert other.commit(commit) == first
        assert store.revision() == 2
        assert store.read()[1]["a"].body == {"n": 2}
        assert len(store.history("s")) == 1

    def test_a_conflict_does_not_use_up_its_id(self, store: Store) -> None:
        """Decided again on what is there, the same id is taken."""
        store.commit(Commit({"a": {}}))
        with pytest.raises(ConflictError):
            store.commit(Commit({"a": {"n": 1}}, {"a": 0}, id="again"))

        assert store.commit(Commit({"a": {"n": 1}}, {"a": 1}, id="again")) == 2

    def test_a_prefix_is_plain_text(self, store: Store) -> None:
        """No character of a key is a pattern, and case counts."""
        keys = ["flag/a", "flag/b", "Flag/a", "flag_a", "flag%a", "flag*", "flag[a]", "fl", "ü/ключ", "ü"]
        store.commit(Commit({key: {} for key in keys}))

        for prefix in ["flag/", "flag_", "flag%", "flag*", "flag[", "F", "ü", "ü/", "fl", "x", ""]:
            assert list(store.read(prefix)[1]) == sorted(key for key in keys if key.startswith(prefix))

    def test_what_was_read_or_written_is_nobody_elses_to_change(self, store: Store) -> None:
        """A body is a copy on the way in and on the way out."""
        body: dict[str, Any] = {"list": [1]}
        store.commit(Commit({"a": body}, entries=[("s", body)]))
        body["list"].append(2)
        mine: Any = store.read()[1]["a"].body
        mine["list"].append(3)

        assert store.read()[1]["a"].body == {"list": [1]}
        assert store.history("s")[0].body == {"list": [1]}

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), object(), "\ud800"], ids=["nan", "inf", "object", "surrogate"])
    def test_what_is_not_json_is_refused_before_anything_is_written(self, store: Store, bad: object) -> None:
        """A store keeps what every other store could keep."""
        with pytest.raises((ValueError, TypeError)):
            store.commit(Commit({"good": {}, "bad": {"value": bad}}))
        with pytest.raises((ValueError, TypeError)):
            store.commit(Commit({"good": {}}, entries=[("s", {"value": bad})]))
        assert store.read() == (0, {})
        assert store.commit(Commit({"good": {}})) == 1

    def test_a_key_that_is_no_text_is_refused_and_harms_nothing(self, store: Store) -> None:
        """Half a surrogate pair, as careless JSON may bring it."""
        acts: list[Callable[[], object]] = [
            lambda: store.commit(Commit({"\ud800": {}})),
            lambda: store.commit(Commit({}, entries=[("\ud800", {})])),
        ]
        for act in acts:
            with pytest.raises(ValueError, match="surrogates"):
                act()
        with contextlib.suppress(ValueError):
            assert store.read("\ud800")[1] == {}
        with contextlib.suppress(ValueError):
            assert store.history("\ud800") == ()
        assert store.commit(Commit({"good": {}})) == 1

    def test_any_json_comes_back_as_it_was(self, store: Store) -> None:
        """Text of every alphabet, big integers, floats to the last bit, nesting, empty things."""
        body = {
            "": "", "ü": "\u0000\u2028\U0001f600'\"\\", "big": 2**62, "tiny": 5e-324, "third": 1 / 3, "no": None, "yes": True,
            "deep": [[[{}]], {"a": [1, [2, {"b": []}]]}], "long": "x" * 100_000,
        }  # fmt: skip
        store.commit(Commit({"a": body}, entries=[("s", body)]))

        assert store.read()[1]["a"].body == body
        assert store.history("s")[0].body == body

    # History.

    def test_history_counts_each_subject_from_one_without_gaps(self, store: Store) -> None:
        """Also when one commit writes several lines, and after a conflict."""
        store.commit(Commit({}, entries=[("a", {"n": 1}), ("b", {"n": 1}), ("a", {"n": 2})]))
        with pytest.raises(ConflictError):
            store.commit(Commit({}, {"x": 7}, [("a", {"n": 99})]))
        store.commit(Commit({}, entries=[("a", {"n": 3})]))

        assert [(entry.subject, entry.number, entry.revision, entry.body["n"]) for entry in store.history("a")] == [
            ("a", 1, 1, 1),
            ("a", 2, 1, 2),
            ("a", 3, 2, 3),
        ]
        assert [entry.number for entry in store.history("b")] == [1]

    def test_history_is_read_page_by_page(self, store: Store) -> None:
        """`after` and `limit` cut it; pages put together are the whole."""
        store.commit(Commit({}, entries=[("s", {"n": n}) for n in range(1, 8)]))

        assert [entry.number for entry in store.history("s", after=2, limit=3)] == [3, 4, 5]
        assert [entry.number for entry in store.history("s", after=5)] == [6, 7]
        assert store.history("s", after=7) == ()
        assert store.history("s", limit=0) == ()
