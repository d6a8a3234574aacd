"""
The ledger: what the store has about rollouts, and the one commit by which any of it changes.

A step writes the rollout's document, the flag's live state where share or counting changes, and one line of history per
small step, in one commit that expects the revisions it was decided on. Two controllers can therefore never both win,
and a reader never meets a share that its rollout does not explain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

from progflags._beside import said
from progflags._clock import Clock
from progflags._deadline import within
from progflags._trouble import swallow
from progflags.errors import StoreError
from progflags.flags import EVERYTHING, Live
from progflags.rollout._status import Transition
from progflags.rollout.run._ages import Ages
from progflags.rollout.run._history import History, chained
from progflags.rollout.run._moves import noted, taken
from progflags.rollout.run._page import FLAG, ROLLOUT, Page, possible, records, subject, switch
from progflags.rollout.run._places import told_of
from progflags.rollout.state import SERVING, Move, Record, dump, load, rivals
from progflags.store import Commit, Document, Store, read_only, trim

__all__ = ["LANDED", "Ledger"]

LANDED: Final = "landed"
"""The act of a line that says since when a file has another definition than a completed change was made of."""
_SOON: Final = 0.5  # seconds
_TRIES: Final = 2  # of one commit whose acknowledgement was lost; after that the next tick reads what became of it


class Loaded:
    """Rollouts as they were read or written last. Evidence takes a while to unpack, and a revision is never used twice."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Record]] = {}

    def record(self, flag: str, document: Document) -> Record:
        revision, record = self._known.get(flag, (-1, None))
        if record is None or revision != document.revision:
            record = load(document.body)
            self.note(flag, document.revision, record)
        return record

    def note(self, flag: str, revision: int, record: Record) -> None:
        self._known[flag] = (revision, record)


class Ledger:
    """Reads and writes pages of one store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self.clock = clock
        self.ages = Ages(store, clock)
        self.history = History(store)
        self._kept: tuple[int, dict[str, Page]] = (-1, {})
        self.panic = Live(EVERYTHING)  # as read last
        self.dark: frozenset[str] = frozenset()  # flags whose live state could not be read last time: what serves them goes on
        self._loaded = Loaded()

    def pages(self) -> dict[str, Page]:
        """
        Every flag that has live state or a rollout, as of one moment. What cannot be read is said: a flag's live state that can't
        leaves it out (see `dark`), its rollout that can't leaves only that out (see `Page`).

        A store that has not moved is not read again: a tick with nothing to do costs one look at its revision.
        """
        revision, pages = self._kept
        if self._store.revision() != revision:
            revision, documents = self._store.read()
            self.ages.now()  # asked for now, if it is due at all, so that a rollback need not wait for it
            keys = sorted({key.partition("/")[2] for key in documents if key.startswith((FLAG, ROLLOUT))})
            pages = {page.flag: page for page in self._readable(keys, documents)}
            if revision >= self._kept[0]:  # a look and a step read beside each other, and the slower one may have read less
                self._kept, self.dark = (revision, pages), frozenset(keys) - pages.keys()
                self._look_for_panic(documents)
        return pages

    def _look_for_panic(self, documents: Mapping[str, Document]) -> None:
        try:
            self.panic = switch(EVERYTHING, documents).live
        except StoreError as error:  # neither thrown nor taken back: what serves goes on
            swallow("panic switch", error)

    @property
    def revision(self) -> int:
        """Of the store, as it was read last; -1 where it was not read yet."""
        return self._kept[0]

    def unreadable(self) -> dict[str, str]:
        """What could not be read last time, and why or what follows from it."""
        damaged = {f"rollout of {flag}": page.damaged for flag, page in self._kept[1].items() if page.damaged}
        return {**damaged, **{f"live state of {flag}": "can't be read; what served before goes on" for flag in sorted(self.dark)}}

    def forget(self) -> None:
        """Read everything anew: the store's revisions have begun again, so an equal one is no longer the same."""
        self._kept, self._loaded = (-1, {}), Loaded()

    @property
    def store(self) -> str:
        """How a person would name the store."""
        return self._store.url

    @property
    def read_only(self) -> str:
        """Why nobody can write to it from here; empty where one can."""
        return read_only(self._store)

    def answers(self) -> bool:
        """Whether the store answers just now, and soon: who has met one error of it need not wait for the next."""
        try:
            with within(_SOON):
                self._store.revision()
        except StoreError:
            return False
        return True

    def page(self, flag: str) -> Page:
        """
        What the store has about `flag` now.

        Raises:
            StoreError: out of reach, or the documents are damaged or of another version.
            TransitionRefused: no flag can be called that.
        """
        flag = possible(flag)
        _, flags = self._store.read(FLAG + flag)
        _, rollouts = self._store.read(ROLLOUT + flag)
        # Two reads are two moments. Whatever came between them fails the commit, for both revisions are expected.
        return self._page(switch(flag, flags), rollouts.get(ROLLOUT + flag))

    def switch(self, flag: str) -> Page:
        """
        What a kill switch needs of a page, and no more: it works whatever has become of the rollout. `EVERYTHING` has one too.

        Raises:
            StoreError: out of reach, or the flag's live state is damaged or of another version.
        """
        return switch(flag, self._store.read(subject(flag))[1])

    def _page(self, page: Page, rollout: Document | None) -> Page:
        """A page with its rollout."""
        if rollout is None:
            return page
        record = self._loaded.record(page.flag, rollout)
        return replace(page, live=_named(page.live, record), record=record, revision=rollout.revision)

    def _readable(self, keys: Sequence[str], documents: Mapping[str, Document]) -> Iterator[Page]:
        for flag in keys:
            try:
                page = switch(flag, documents)
            except Exception as error:  # a document that somebody else wrote: this flag's trouble, and nobody else's
                swallow(f"live state of {flag}", error)
                continue
            rollout = documents.get(ROLLOUT + flag)
            try:
                page = self._page(page, rollout)
            except Exception as error:
                swallow(f"rollout of {flag}", error)
                page = replace(page, revision=0 if rollout is None else rollout.revision, damaged=said(error))
            yield page

    def write(
        self, page: Page, record: Record, moves: Sequence[Move], *, actor: str, others: Mapping[str, Page]
    ) -> tuple[Page, tuple[Transition, ...]]:
        """
        Commit `record` (the page's, perhaps with new evidence) after `moves`; the page as it is then, and the steps taken.

        Raises:
            ConflictError: another writer was first; nothing was written.
            StoreError: the store failed. It may or may not have happened: read again before deciding again.
        """
        record, lines = taken(record, moves, actor, self.clock.now(), self.ages.now() if moves else None)
        live = _live(page.live, record) if moves else page.live
        writes: dict[str, Mapping[str, Any]] = {ROLLOUT + page.flag: dump(record)}
        if live != page.live:
            writes[subject(page.flag)] = _served(page, live)
        expects = page.expects
        if record.stage >= 0 and not (page.record is not None and page.record.serving):
            # Two rollouts that exclude each other may begin at the same moment: what we saw of the other must still be so.
            expects |= {ROLLOUT + flag: others[flag].revision if flag in others else 0 for flag in rivals(record, records(others))}
        # What one look gathered concerns its looker alone; who that is keeps the others from looking as well.
        quiet = not moves and page.record is not None and page.record.looker == record.looker
        revision = self.commit(Commit(writes, expects, tuple((ROLLOUT + page.flag, line) for line in lines), uuid4().hex, quiet))
        live = replace(live, revision=revision) if live != page.live else live
        self._loaded.note(page.flag, revision, record)
        written = Page(page.flag, live, record, revision, writes.get(subject(page.flag), page.body))
        return written, tuple(Transition.of(page.flag, line) for line in lines)

    def commit(self, commit: Commit) -> int:
        """Commit, and once more under the same id where the answer was lost: the store takes one id once."""
        for attempt in range(_TRIES):
            try:
                return self._store.commit(commit)
            except StoreError:
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def verify(self, flag: str, archived: Sequence[Mapping[str, Any]] = ()) -> tuple[str, ...]:
        """What is wrong with a flag's histories, as sentences; empty when every line is the one that was written."""
        return self.history.verify(self.page(flag), archived)

    def begins(self, flag: str, after: int = 0) -> int:
        """
        The number of the first line that the store has of a flag's rollouts, once those up to `after` are cut from it.

        Raises:
            StoreError: out of reach, or not a store that forgets anything.
        """
        return trim(self._store, ROLLOUT + possible(flag), after)

    def told(self, flag: str) -> dict[str, int]:
        """
        By sink, up to which line of a flag's rollouts it was told.

        Raises:
            StoreError: out of reach.
        """
        return told_of(self._store, ROLLOUT + possible(flag))

    def land(self, page: Page, *, actor: str, reason: str) -> None:
        """
        Commit that a new definition, which serves everybody, has been found replaced in some file: with its line, and nothing moves.

        Raises:
            ConflictError: the page is not what the store has any more.
        """
        assert page.record is not None
        assert page.record.edit is not None
        now = self.clock.now()
        record = replace(page.record, edit=replace(page.record.edit, landed=now))
        line, record = noted(record, LANDED, actor, now, reason=reason)
        served = _served(page, replace(page.live, edit=record.edit))
        key = ROLLOUT + page.flag
        self.commit(Commit({key: dump(record), subject(page.flag): served}, page.expects, ((key, line),), uuid4().hex))

    def note(self, page: Page, act: str, *, actor: str, **facts: Any) -> None:
        """
        Commit one more line of a rollout's history, which moves nothing.

        Raises:
            ConflictError: the page is not what the store has any more.
        """
        assert page.record is not None
        line, record = noted(page.record, act, actor, self.clock.now(), **facts)
        key = ROLLOUT + page.flag
        self.commit(Commit({key: dump(record)}, {key: page.revision}, ((key, line),), uuid4().hex, quiet=True))

    def set_switch(self, page: Page, live: Live, line: Mapping[str, Any]) -> int:
        """Commit another live state of a switch by itself (kill, unkill, panic, unpanic), with its line in its own chain."""
        chain = page.body.get("chain") or {"number": 0, "head": ""}
        body, number, head = chained(line, int(chain["number"]), str(chain["head"]))
        document = {**_served(page, live), "chain": {"number": number, "head": head}}
        key = subject(page.flag)
        return self.commit(Commit({key: document}, {key: page.live.revision}, ((key, body),), uuid4().hex))


def _served(page: Page, live: Live) -> dict[str, Any]:
    """The flag's document with another live state; keys of others are kept."""
    return {**{key: value for key, value in page.body.items() if key != "edit"}, **live.body()}


def _live(live: Live, record: Record) -> Live:
    """The flag's live state that `record` means. Counting goes on while there is something to judge."""
    counting = record.state in SERVING and record.stage >= 0
    own = live.own if record.edit is None else replace(live, variant=None)
    return _named(replace(own, share=record.share, counting=counting, run=record.run, edit=record.edit), record)


def _named(live: Live, record: Record) -> Live:
    """
    With the variant that the run is of. The record is the better witness: an older progflags writes no such name into the flag's
    document, and leaves one there that it did not write.
    """
    return replace(live, variant=record.plan.variant) if record.plan.variant and record.run == live.run else live
