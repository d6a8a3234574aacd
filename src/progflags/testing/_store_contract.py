"""
What every store promises, as a pytest class: subclass it, say how to make one, and run pytest.

    class TestMyStore(StoreContract):
        def make_store(self):
            return MyStore(self.folder / "state")

        def join(self, store):              # optional: a second handle on what `store` holds
            return MyStore(store.path)

`SharedStoreContract` adds what a store of several processes promises. It needs `store.url` to be something that
`progflags.store.open_store` understands, or overrides of `join` and of `opener`, the source text other processes open it with.
"""

# ruff: noqa: S603 - the processes started here are this very Python

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from progflags.errors import ConflictError, StoreError
from progflags.store import Commit, Store, open_store

__all__ = ["SharedStoreContract", "StoreContract"]

_PATIENCE = 20.0  # seconds for what must happen soon; only a failing test waits so long


class StoreContract:
    """The promises of `progflags.store.Store`, each a test. `make_store` returns a new, empty store at every call."""

    folder: Path
    """An empty folder of the test's own, another one for every store."""

    examples = 30
    """How many sequences of steps `test_behaves_like_its_model` tries."""

    def make_store(self) -> Store:
        """A new, empty store; files go into `self.folder`."""
        raise NotImplementedError("say how to make a store: def make_store(self): return ...")

    def join(self, store: Store) -> Store | None:  # noqa: ARG002 - for overriding
        """A second handle on what `store` holds, as another client would open it; None: there is no such thing."""
        return None

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        self.folder = tmp_path
        store = self.make_store()
        yield store
        store.close()

    @pytest.fixture
    def other(self, store: Store) -> Iterator[Store]:
        other = self.join(store)
        yield other or store
        if other is not None:
            other.close()

    # Documents.

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

    # Waiting, and being several.

    def test_wait_returns_at_once_when_there_is_news(self, store: Store) -> None:
        """It does not wait for the next."""
        store.commit(Commit({}))
        assert store.wait(0, _PATIENCE) == 1

    def test_wait_gives_up_and_says_what_is(self, store: Store) -> None:
        """No news: the revision known already."""
        store.commit(Commit({}))
        assert store.wait(1, 0.0) == 1
        assert store.wait(1, 0.02) == 1

    def test_wait_wakes_on_a_commit_through_another_handle(self, store: Store, other: Store) -> None:
        """A waiter does not hinder the writer, and hears of it."""
        answers: list[int] = []
        waiter = threading.Thread(target=lambda: answers.append(other.wait(0, _PATIENCE)))
        waiter.start()
        before = time.monotonic()
        store.commit(Commit({"a": {}}))
        waiter.join(_PATIENCE)

        assert answers == [1]
        assert time.monotonic() - before < _PATIENCE / 4

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
        threads = [threading.Thread(target=_count, args=(handle, 25)) for handle in (store, other, store, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_PATIENCE * 3)

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
        writer.join(_PATIENCE)

        assert torn == []

    # The Board.

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

        assert 0.04 <= old.age < _PATIENCE
        assert 0.0 <= young.age < _PATIENCE

    def test_the_board_never_moves_the_revision(self, store: Store) -> None:
        """A thousand workers publishing wake nobody."""
        store.commit(Commit({}))
        store.board.publish("topic", "w", 1, b"")
        store.board.clear("topic")

        assert store.revision() == 1

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
            lambda: store.wait(0, _PATIENCE),
            lambda: store.history("s"),
            lambda: board.publish("topic", "w", 1, b""),
            lambda: board.collect("topic"),
            lambda: board.clear("topic"),
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


class SharedStoreContract(StoreContract):
    """What a store of several processes promises besides. Other processes open it with the source text of `opener`."""

    kills = 40
    """How many writers `test_a_killed_writer_leaves_before_or_after` kills."""

    def join(self, store: Store) -> Store:
        return open_store(store.url)

    def opener(self, store: Store) -> str:
        """Python source that binds `store` to the same store in another process."""
        return f"from progflags.store import open_store; store = open_store({store.url!r})"

    def test_processes_lose_no_update(self, store: Store) -> None:
        """Three processes count to 60 together, by compare-and-set."""
        script = f"{self.opener(store)}\nfrom progflags.testing._store_contract import _count\n_count(store, 20)"
        running = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]

        assert [process.wait(_PATIENCE * 3) for process in running] == [0, 0, 0]
        assert store.read("count")[1]["count"].body == {"n": 60}
        assert [entry.body["n"] for entry in store.history("count")] == list(range(1, 61))

    def test_another_process_wakes_a_waiter(self, store: Store) -> None:
        """Within the patience of a rollout, without this process doing anything."""
        script = f"{self.opener(store)}\nfrom progflags.store import Commit; store.commit(Commit({{'a': {{}}}}))"
        before = time.monotonic()
        with subprocess.Popen([sys.executable, "-c", script]):
            assert store.wait(0, _PATIENCE) == 1
        assert time.monotonic() - before < _PATIENCE / 2

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    def test_parent_and_forked_child_both_go_on(self, store: Store) -> None:
        """A store opened before a fork is used on both sides of it, at the same time."""
        script = (
            f"{self.opener(store)}\nimport os, sys\nfrom progflags.testing._store_contract import _count\n_count(store, 5)\n"
            "child = os.fork()\n_count(store, 20)\nos._exit(0) if not child else sys.exit(os.waitpid(child, 0)[1])"
        )
        assert subprocess.run([sys.executable, "-c", script], timeout=_PATIENCE * 3, check=False).returncode == 0

        assert [entry.body["n"] for entry in store.history("count")] == list(range(1, 46))

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    def test_a_killed_writer_leaves_before_or_after(self, store: Store) -> None:
        """
        SIGKILL at any moment: document and history agree, what was acknowledged is there, nothing is there twice.

        One process forks the writers, so that each costs milliseconds; a writer acknowledges through a pipe.
        """
        script = f"{self.opener(store)}\nfrom progflags.testing._store_contract import _kill_writers\n_kill_writers(store, {self.kills})"
        done = subprocess.run([sys.executable, "-c", script], timeout=120, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert store.read("count")[1]["count"].body["n"] == len(store.history("count", limit=1_000_000)) >= self.kills


def _count(store: Store, times: int) -> None:
    """Add one to the document `count`, `times` times, as a controller would: read, decide, commit, again if another was first."""
    for _ in range(times):
        while not _increment(store):
            time.sleep(random.uniform(0.0, 0.002))


def _increment(store: Store, name: str = "") -> bool:
    found = store.read("count")[1].get("count")
    n, at = (found.body["n"], found.revision) if found else (0, 0)
    try:
        store.commit(Commit({"count": {"n": n + 1}}, {"count": at}, [("count", {"n": n + 1})], f"{name}{n + 1}" if name else ""))
    except ConflictError:
        return False
    return True


def _kill_writers(store: Store, times: int) -> None:
    """Fork writers one after another, kill each at a random moment after a random number of its commits, look at what is there."""
    dice = random.Random(1)
    for _ in range(times):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            while True:
                _increment(store, "count-")
                os.write(writing, f"{store.read('count')[1]['count'].body['n']}\n".encode())
        os.close(writing)
        with os.fdopen(reading, "rb") as told:
            acknowledged = [int(told.readline()) for _ in range(dice.randint(0, 4))]
            time.sleep(dice.uniform(0.0, 0.005))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            acknowledged += [int(line) for line in told.read().split(b"\n")[:-1]]
        _agree(store, acknowledged[-1] if acknowledged else 0)


def _agree(store: Store, acknowledged: int) -> None:
    """Document, history and revision tell one story, and what was acknowledged is in it."""
    while True:  # a server may still be at work on what the dead one sent last
        revision = store.revision()
        numbers = [entry.body["n"] for entry in store.history("count", limit=1_000_000)]
        document = store.read("count")[1].get("count")
        if store.revision() == revision:
            break
    there = document.body["n"] if document else 0
    if numbers != list(range(1, there + 1)) or acknowledged > there or revision != there:
        raise SystemExit(f"the document says {there}, the history ends {numbers[-5:]}, the writer was told {acknowledged}")
