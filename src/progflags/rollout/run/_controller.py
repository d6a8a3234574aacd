"""
The controller: reads, judges, decides, commits, once per tick. Any number of them may run; the store lets one win.

Elapsed time is what this controller saw itself: on its own monotonic clock, since it first met the document at its
present revision, and at most `max_gap` per look. So a restart, another winner, a stopped process or a stepped wall clock
can only make a bake longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from progflags._beside import failing, said
from progflags._trouble import swallow
from progflags.canary import Pool, Recorder
from progflags.errors import ConflictError, StoreError
from progflags.flags import Client
from progflags.rollout._status import Transition
from progflags.rollout.run._brake import Brake
from progflags.rollout.run._defined import defined
from progflags.rollout.run._ledger import Ledger
from progflags.rollout.run._lookers import Lookers
from progflags.rollout.run._news import News
from progflags.rollout.run._page import Page, records
from progflags.rollout.run._rehearsal import Rehearsal
from progflags.rollout.run._windows import Windows
from progflags.rollout.state import ACTIVE, Act, Ask, Record, Sight, State, ask, blocked, look, settle

__all__ = ["ACTOR", "Controller"]

ACTOR: Final = "controller"
_AGAIN: Final = 100  # conflicts in a row before a look is left to the next tick; each of them is another writer's progress
_ROUNDING: Final = 1e-6  # seconds: ten looks a minute by a manual clock must not miss one to a float's last digit


class Controller:
    """One process's controller. `tick` is called by one thread at a time. `closed`: why a rollout may not climb, if it may not."""

    def __init__(self, client: Client, ledger: Ledger, recorder: Recorder, brake: Brake, closed: Callable[[Record], str]) -> None:
        self._client = client
        self._ledger = ledger
        self.windows = Windows(recorder, ledger.clock)
        self._news = News(client.bus, ledger.store)
        self._brake = brake
        self._clock = ledger.clock
        self._closed = closed
        self._seen: dict[str, tuple[int, float]] = {}
        self.pages: Mapping[str, Page] = {}  # as read, or written, last
        self._failing: dict[str, tuple[int, str]] = {}  # by flag: looks in a row that raised, and what
        self._lookers = Lookers(ledger.clock)
        self._rehearsal = Rehearsal(ledger.clock)
        self._shared = False
        self.lost = False  # whether somebody else was first during the last tick

    def heed(self, pages: Mapping[str, Page]) -> None:
        """Count what is live, at its present revision; take the brake's rules; notice documents for the first time."""
        self.pages = pages
        for page in pages.values():
            try:
                self.elapsed(page)
                self.windows.open(page)
            except Exception as error:
                swallow(f"rollout of {page.flag}", error)
        self._brake.heed(pages)

    def elapsed(self, page: Page) -> float:
        """Seconds since this process first saw the page's document at its present revision."""
        now = self._clock.monotonic()
        revision, since = self._seen.get(page.flag, (-1, now))
        if revision != page.revision:
            self._seen[page.flag] = (page.revision, now)
            return 0.0
        return now - since

    # -- what the controller does --------------------------------------------------------------------------------------

    def tick(self, pool: Pool, only: Collection[str] | None = None, *, shared: bool = False) -> tuple[Transition, ...]:
        """
        One look at every rollout under way. What goes wrong with one flag stays with that flag, until the next tick.

        `only`: the flags whose wanted rollbacks are carried, and nothing else is done. `shared`: leave a rollout to the process that
        looks at it, as long as one does.
        """
        self._shared = shared
        try:
            pages = self._ledger.pages()
        except StoreError as error:
            swallow("rollouts: the store", error)
            return ()
        steps: list[Transition] = []
        self.lost = False
        for flag, page in pages.items():
            self._ledger.ages.cooling(page.record)  # from now on, however the wall clock jumps
            if page.record is None or (page.record.state not in ACTIVE and self._brake.intent(flag) is None):
                self._failing.pop(flag, None)
                self._landed(page, page.record)
                continue
            if only is not None and not (flag in only and self._brake.wanted(page.record)):
                continue
            try:
                steps += self._one(page, pages, pool)
            except StoreError as error:
                swallow(f"rollout of {flag}", error)
                if not self._ledger.answers():
                    break  # each of the others would wait for it as long
            except Exception as error:
                swallow(f"rollout of {flag}", error)
                self._failing[flag] = (self._failing.get(flag, (0, ""))[0] + 1, said(error))
            else:
                self._failing.pop(flag, None)
        if shared:
            self._rehearsal.go_on(pages.values(), pool.worker)
        return tuple(steps)

    def health(self) -> dict[str, str]:
        """The rollouts that can't be looked at, and why; one that the store is to blame for is the store's trouble."""
        return {f"rollout of {flag}": why for flag, (n, error) in tuple(self._failing.items()) if (why := failing(n, error))}

    def _one(self, page: Page, pages: Mapping[str, Page], pool: Pool) -> tuple[Transition, ...]:
        for _ in range(_AGAIN):
            try:
                return self._step(page, pages, pool)
            except ConflictError:  # somebody was first: what they wrote is what we decide on now
                self.lost = True
                pages = self._ledger.pages()
                if page.flag not in pages or pages[page.flag].record is None:
                    return ()
                page = pages[page.flag]
        return ()

    def _step(self, page: Page, pages: Mapping[str, Page], pool: Pool) -> tuple[Transition, ...]:
        record = page.record
        assert record is not None
        elapsed = self.elapsed(page)
        intent = self._brake.wanted(record)
        if intent is not None and not (intent.braked and record.serving):
            return self._asked(page, record, Ask(Act.ROLLBACK, intent.reason), intent.actor, pool)
        due = record.serving and elapsed >= record.plan.batch_at(record.stage) - _ROUNDING
        reads = due or (record.stage < 0 and record.plan.dark_launch is not None)  # what every process counted
        if reads and intent is None and self._leaves(page, record, pool.worker):
            return ()
        still = defined(record, self._client)
        sight = Sight(
            closed=blocked(record, records(pages), self._clock.now()) or self._closed(record),
            braked=intent.reason if intent is not None else "",
            defined=still.still,
            gone=still.why,
            landed=still.landed,
            cooled=self._ledger.ages.cooling(record) <= 0,
            now=self._clock.now(),
        )
        if due and intent is None and self._shared and record.looker != pool.worker:
            page = self._claimed(page, record, pool)
            assert page.record is not None
            record = page.record
        looked = record
        if due or (record.serving and sight.braked):
            looked, sight = self._looked(page, record, min(elapsed, record.plan.max_gap), sight, pool)
        moves = settle(looked, sight).moves
        if (reads or self._claims(page, record, due=due)) and self._shared and record.looker != pool.worker:
            looked = replace(looked, looker=pool.worker)
        if looked is record and not moves:
            return ()
        actor = intent.actor if sight.braked and intent else ACTOR
        written, steps = self._ledger.write(page, looked, moves, actor=actor, others=pages)
        return self._wrote(page, written, steps, pool)

    def _landed(self, page: Page, record: Record | None) -> None:
        """
        Write down, once, that the file has moved on from what a completed change was made of: whoever begins from now on with the old
        definition in its file means that one.
        """
        if record is None or record.edit is None or record.edit.landed is not None or record.state is not State.COMPLETED:
            return
        still = defined(record, self._client)
        if (still.still and not still.landed) or self._ledger.read_only:
            return
        try:
            self._ledger.land(page, actor=ACTOR, reason=still.why)
        except (ConflictError, StoreError) as error:  # the next tick finds out what became of it
            swallow(f"change of {page.flag}", error)

    def _leaves(self, page: Page, record: Record, worker: str) -> bool:
        """Whether another process is at it: it looks at this rollout, or has moved it since we looked at the store."""
        if not self._shared or record.looker == worker:
            return False
        return not self._lookers.free(page) or self._ledger.page(page.flag).revision != page.revision

    def _claims(self, page: Page, record: Record, *, due: bool) -> bool:
        """
        Whether to say, before the first look of a run is due, that this process will look: the first one of all loads the judge, and
        until that is done every other process would have begun to look as well.
        """
        return self._shared and record.serving and not record.looker and not due and self._lookers.free(page)

    def _claimed(self, page: Page, record: Record, pool: Pool) -> Page:
        """
        The page with us as its looker, committed before the look. Those whose patience ends meanwhile leave it to us: the first look of a
        process takes a tenth of a second of a processor, and where one of 64 had died most of the others began theirs until the first
        of them was done, which was the later the more they were.

        Raises:
            ConflictError: somebody else was first.
        """
        written, _ = self._ledger.write(page, replace(record, looker=pool.worker), (), actor=ACTOR, others=self.pages)
        self.wrote(page, written, ())
        return written

    def _looked(self, page: Page, record: Record, step: float, sight: Sight, pool: Pool) -> tuple[Record, Sight]:
        """With the evidence since the last look. A brake rolls back with it, and just as well without it."""
        began = time.perf_counter()
        try:
            self.windows.put_up(page, pool)
            looked, sight, verdict = look(record, pool.collect(page.flag, page.live.revision), step, sight)
        except Exception as error:
            if not sight.braked:
                raise
            swallow(f"evidence of {page.flag}", error)
            return record, sight
        self._news.judged(page, verdict, time.perf_counter() - began)
        return looked, sight

    def _asked(self, page: Page, record: Record, wish: Ask, actor: str, pool: Pool) -> tuple[Transition, ...]:
        move = ask(record, wish)
        if move is None:
            self._brake.settled(page.flag)
            return ()
        written, steps = self._ledger.write(page, record, settle(record, Sight(), move).moves, actor=actor, others=self.pages)
        return self._wrote(page, written, steps, pool)

    def _wrote(self, page: Page, written: Page, steps: tuple[Transition, ...], pool: Pool) -> tuple[Transition, ...]:
        self.wrote(page, written, steps)
        if written.live.revision != page.live.revision:
            try:
                pool.clear(page.flag, page.live.revision)
            except StoreError as error:  # rows nobody reads any more: the step is taken all the same
                swallow("rollouts: the board", error)
        return steps

    def wrote(self, page: Page, written: Page, steps: Sequence[Transition]) -> None:
        """After a commit of ours: our clock for the new revision starts now, an intent is settled, listeners hear of it."""
        self.elapsed(written)
        self.pages = {**self.pages, written.flag: written}
        if written.record is not None and written.record.state in (State.ROLLED_BACK, State.ABORTED, State.SUPERSEDED):
            self._brake.settled(page.flag)
        self._news.moved(page, written, steps)
