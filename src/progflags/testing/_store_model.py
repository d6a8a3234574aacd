"""A store as a few lines of plain Python, and a Hypothesis machine that drives a real one beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from progflags.errors import ConflictError
from progflags.store import Commit, Store

__all__ = ["machine"]

_KEYS = st.sampled_from(["flag/a", "flag/b", "rollout/a", "ü%_"])
_BODIES = st.dictionaries(st.text(max_size=3), st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3), max_size=3)
_SUBJECTS = st.sampled_from(["rollout/a", "flag/b"])
_WORKERS = st.sampled_from(["w1", "w2"])


def machine(make: Callable[[], Store], join: Callable[[Store], Store | None]) -> type[RuleBasedStateMachine]:
    """A state machine over stores from `make`, each used through two handles if it has them."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            first = make()
            other = join(first)
            self.handles = [first] if other is None else [first, other]
            self.revision = 0
            self.documents: dict[str, tuple[int, Any]] = {}
            self.history: dict[str, list[tuple[int, Any]]] = {}
            self.ids: dict[str, int] = {}
            self.rows: dict[str, tuple[int, bytes]] = {}

        @property
        def store(self) -> Store:
            return self.handles[0]

        @rule()
        def swap(self) -> None:
            """Go on through the other handle."""
            self.handles.reverse()

        @rule(
            writes=st.dictionaries(_KEYS, st.none() | _BODIES, max_size=3),
            lines=st.lists(st.tuples(_SUBJECTS, _BODIES), max_size=2),
            checked=st.sets(_KEYS, max_size=2),
            off_by=st.sampled_from([0, 0, 0, 1, -1]),
            id_=st.sampled_from(["", "", "x", "y", "z"]),
        )
        def commit(self, writes: dict[str, Any], lines: list[tuple[str, Any]], checked: set[str], off_by: int, id_: str) -> None:
            expects = {key: self.documents.get(key, (0, None))[0] + off_by for key in checked}
            commit = Commit(writes, expects, lines, id_)
            if id_ and id_ in self.ids:
                assert self.store.commit(commit) == self.ids[id_]
            elif checked and off_by:
                with pytest.raises(ConflictError) as caught:
                    self.store.commit(commit)
                assert caught.value.revisions == {key: self.documents.get(key, (0, None))[0] for key in checked}
            else:
                self.revision += 1
                assert self.store.commit(commit) == self.revision
                self._take(writes, lines, id_)

        def _take(self, writes: dict[str, Any], lines: list[tuple[str, Any]], id_: str) -> None:
            for key, body in writes.items():
                if body is None:
                    self.documents.pop(key, None)
                else:
                    self.documents[key] = (self.revision, body)
            for subject, body in lines:
                self.history.setdefault(subject, []).append((self.revision, body))
            if id_:
                self.ids[id_] = self.revision

        @rule(worker=_WORKERS, seq=st.integers(1, 5), body=st.binary(max_size=4))
        def publish(self, worker: str, seq: int, body: bytes) -> None:
            self.store.board.publish("topic", worker, seq, body)
            if seq > self.rows.get(worker, (0, b""))[0]:
                self.rows[worker] = (seq, body)

        @rule()
        def clear(self) -> None:
            self.store.board.clear("topic")
            self.rows = {}

        @invariant()
        def agrees(self) -> None:
            for store in self.handles:
                revision, documents = store.read()
                assert store.revision() == revision == self.revision
                assert {key: (document.revision, document.body) for key, document in documents.items()} == self.documents
                for subject in ("rollout/a", "flag/b"):
                    entries = [(entry.number, entry.revision, entry.body) for entry in store.history(subject)]
                    assert entries == [(n, at, body) for n, (at, body) in enumerate(self.history.get(subject, []), 1)]
                assert {row.worker: (row.seq, row.body) for row in store.board.collect("topic")} == self.rows

        def teardown(self) -> None:
            for handle in self.handles:
                handle.close()

    return Machine
