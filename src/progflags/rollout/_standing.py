"""Standing: where a flag's rollout stands just now, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from progflags._trouble import swallow
from progflags.errors import StoreError
from progflags.rollout._parts import Parts
from progflags.rollout._status import Circumstances, RolloutStatus, Transition, unreadable
from progflags.rollout._stops import said_by
from progflags.rollout.run import Intent, Page, act, records
from progflags.rollout.state import Act, Record, State, blocked

__all__ = ["Standing"]

_RECENT: Final = 50  # steps that a status shows
_HALTS: Final = frozenset({Act.ROLLBACK, Act.ABORT, Act.PAUSE})
_WAITING: Final = frozenset({State.SCHEDULED, State.RAMPING, State.BAKING, State.JUDGING, State.AWAITING_APPROVAL, State.HELD})


class Standing:
    """Answers from the store; with the store out of reach, from what was read last."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def of(self, flag: str) -> RolloutStatus:
        """Where it stands, as the store has it."""
        parts = self._parts
        history: tuple[Transition, ...] = ()
        try:
            page = parts.ledger.page(flag)
            if page.record is not None:
                history = parts.ledger.history.of(flag, after=max(0, page.record.number - _RECENT))
        except StoreError as error:
            swallow("rollouts: the store", error)
            page = parts.controller.pages.get(flag) or Page(flag, parts.client.live(flag))
        if page.damaged:
            return self._unreadable(page)
        record = Record(flag, parts.plans.of(flag)) if page.record is None else page.record
        return RolloutStatus.of(record, self._circumstances(page, record, records(parts.controller.pages)), history)

    def every(self) -> tuple[RolloutStatus, ...]:
        """Every rollout that was started, by flag, as of one moment; without their steps and findings."""
        parts = self._parts
        try:
            pages: Mapping[str, Page] = parts.ledger.pages()
        except StoreError as error:
            swallow("rollouts: the store", error)
            pages = parts.controller.pages
        others = records(parts.controller.pages)
        return tuple(
            self._unreadable(page)
            if page.record is None
            else RolloutStatus.of(page.record, self._circumstances(page, page.record, others), (), whole=False)
            for _, page in sorted(pages.items())
            if page.record is not None or page.damaged
        )

    def _unreadable(self, page: Page) -> RolloutStatus:
        """What serves is known, and no more; the kill switch works all the same."""
        parts, intent = self._parts, self._parts.brake.intent(page.flag)
        wanted = intent is not None and intent.run == page.live.run
        status = unreadable(page.flag, page.live, page.damaged, killed_by=said_by(page.live), panic=parts.stops.panic())
        return replace(status, state=State.ROLLING_BACK, pending=True) if wanted else status

    def blocked(self, record: Record, pages: Mapping[str, Page], verb: Act | None = None) -> str:
        """Why it may not climb just now. Nothing that ends or halts a climb has to wait for somebody's answer to that."""
        if verb in _HALTS:
            return ""
        return self._blocked(record, records(pages))

    def _blocked(self, record: Record, others: Mapping[str, Record | None]) -> str:
        return blocked(record, others, self._parts.clock.now()) or self._parts.stops.closed(record)

    @property
    def pending(self) -> tuple[str, ...]:
        """What was decided here, holds here, and is not in the store yet, as sentences."""
        intents, wanted = self._parts.brake.intents, self._parts.switches.wanted
        rollbacks = [f"{flag}: rollback by {one.actor}" + _because(one) for flag, one in intents.items()]
        turns = [f"{flag or 'all flags'}: {act(flag, one)} by {one.actor}" + _because(one) for flag, one in wanted.items()]
        return (*rollbacks, *turns)

    def _circumstances(self, page: Page, record: Record, others: Mapping[str, Record | None]) -> Circumstances:
        parts = self._parts
        intent, turned = parts.brake.wanted(record), page.flag in parts.switches.wanted
        live = parts.client.live(page.flag) if turned else page.live
        return Circumstances(
            wanted=None if intent is None else intent.reason,
            waiting=self._blocked(record, others) if record.state in _WAITING else "",
            cool_down=parts.ledger.ages.cooling(record),
            changed=parts.plans.changed(record),
            notes=parts.plans.notes(record),
            killed=live.killed is not None,
            killed_by=said_by(live),
            panic=parts.stops.panic(),
        )


def _because(intent: Intent) -> str:
    return f" ({intent.reason})" if intent.reason else ""
