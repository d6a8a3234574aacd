"""Stores that fail, meddle and forget, and the invariants that must hold behind all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from progflags.errors import StoreError
from progflags.flags import Live
from progflags.rollout import TRANSITIONS, Act, State
from progflags.rollout.state._codec import load
from progflags.store import Commit, Document, Entry, Store


class Wrapped:
    """A store through which every call can be watched, delayed, refused, or answered with a lie."""

    def __init__(
        self, store: Store, *, before: Callable[[str], Any] = lambda what: None, after: Callable[[str], Any] = lambda what: None
    ) -> None:
        self._store, self.before, self.after = store, before, after

    def _call(self, what: str, *args: Any, **options: Any) -> Any:
        self.before(what)
        answer = getattr(self._store, what)(*args, **options)
        self.after(what)
        return answer

    @property
    def url(self) -> str:
        return self._store.url

    @property
    def board(self) -> Any:
        return _Board(self)

    def revision(self) -> int:
        return self._call("revision")

    def read(self, prefix: str = "") -> tuple[int, dict[str, Document]]:
        return self._call("read", prefix)

    def commit(self, commit: Commit) -> int:
        return self._call("commit", commit)

    def wait(self, revision: int, timeout: float) -> int:
        return self._call("wait", revision, timeout)

    def history(self, subject: str, *, after: int = 0, limit: int = 1000) -> tuple[Entry, ...]:
        return self._call("history", subject, after=after, limit=limit)

    def close(self) -> None:
        self._store.close()


class _Board:
    def __init__(self, wrapped: Wrapped) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> Any:
            self._wrapped.before(name)
            answer = getattr(self._wrapped._store.board, name)(*args)
            self._wrapped.after(name)
            return answer

        return call


class Breaker:
    """Raises at the n-th call of the kinds it watches: before it happens, or after (a lost acknowledgement)."""

    def __init__(
        self, at: int, kinds: tuple[str, ...] = ("read", "commit", "publish", "collect", "clear", "history"), *, times: int = 1
    ) -> None:
        self.count, self.at, self.kinds, self.times = 0, at, kinds, times

    def __call__(self, what: str) -> None:
        if what in self.kinds:
            self.count += 1
            if self.at <= self.count < self.at + self.times:
                raise StoreError(f"[Errno 28] No space left on device ({what})")


def violations(store: Store, flag: str, *, bakes: dict[int, float] | None = None, times: Mapping[int, float] | None = None) -> list[str]:
    """
    What is wrong with a rollout in a store: state, share, history, chain, order. Empty when nothing is.

    `times` has the moment of each line where the wall clock that dates them can't be trusted.
    """
    from progflags.rollout.run._ledger import Ledger
    from progflags.testing import ManualClock

    wrong = list(Ledger(store, ManualClock()).verify(flag))
    documents = store.read("")[1]
    entries = [entry.body for entry in store.history(f"rollout/{flag}", limit=100_000)]
    document = documents.get(f"rollout/{flag}")
    if document is None:
        return [*wrong, *(["history without a state"] if entries else [])]
    record, live = load(document.body), Live.of(documents.get(f"flag/{flag}"), flag)
    if entries and (entries[-1]["to"], entries[-1]["percent"]) != (record.state, record.share / 10_000):
        wrong.append(f"the state {record.state} is not the last line's {entries[-1]['to']}")
    if (live.share or 0) != record.share:
        wrong.append(f"the flag serves {live.share}, its rollout means {record.share}")
    if [entry["number"] for entry in entries] != list(range(1, len(entries) + 1)):
        wrong.append("the lines are not numbered 1, 2, 3 …")
    down, stage, state = False, -1, State.DRAFT
    since = {}
    for entry in entries:
        at = entry["at"] if times is None else times[entry["number"]]
        source, target, act = State(entry["from"]), State(entry["to"]), Act(entry["act"])
        if source is not state:
            wrong.append(f"line {entry['number']} goes from {source}, but it stood at {state}")
        if target not in TRANSITIONS[source].get(act, ()):
            wrong.append(f"line {entry['number']}: {source} to {target} by {act} is not in the table")
        if act in (Act.START, Act.RETRY) and target in (State.SCHEDULED, State.COOLING_DOWN):
            down, stage = False, -1
        if down and entry["percent"] > 0:
            wrong.append(f"line {entry['number']}: {entry['percent']} % after a rollback")
        if act is Act.SKIP:
            since.pop(stage, None)  # the bake was waived
        if target is State.RAMPING and source is not State.PAUSED:
            if entry["stage"] != stage + 1:
                wrong.append(f"line {entry['number']}: stage {entry['stage']} after stage {stage}")
            if bakes and stage in bakes and stage in since and act is Act.PASSED and at - since[stage] < bakes[stage] - 1e-6:
                wrong.append(f"line {entry['number']}: stage {stage} was left after {at - since[stage]} s")
            stage = entry["stage"]
            since[stage] = at
        down = down or target in (State.ROLLING_BACK, State.ROLLED_BACK)
        state = target
    return wrong
