"""Verbs: what people ask of a rollout, carried out against what the store has, within the time they gave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from progflags._deadline import spent, within
from progflags._names import sentence
from progflags._trouble import swallow
from progflags.errors import ConflictError, StoreError, TransitionRefused
from progflags.flags import EVERYTHING
from progflags.rollout._changing import anew, changing, verb_of
from progflags.rollout._parts import Parts
from progflags.rollout._proposal import Proposal
from progflags.rollout._standing import Standing
from progflags.rollout._status import RolloutStatus
from progflags.rollout._version import about, must_be_as_seen
from progflags.rollout.plan import Traffic
from progflags.rollout.run import Intent, Page, possible
from progflags.rollout.state import Act, Ask, Record, Sight, State, ask, known, legal, settle, watched_by

__all__ = ["TIMEOUT", "Turn", "Verbs"]

TIMEOUT: Final = 2.0  # seconds a verb takes at most, unless it is told otherwise
_TRIES: Final = 1_000  # conflicts in a row; each is another writer's progress, so a verb gets its turn long before
_FRESH: Final = frozenset({Act.START, Act.RETRY})  # they begin with the plan the file has now


@dataclass(frozen=True, slots=True)
class Turn:
    """A switch to be turned: on is the safe variant."""

    on: bool
    reason: str
    by: str | None


class Verbs:
    """`refresh` installs in the client what the store has now, so that it serves here when a verb returns; `actor` signs for nobody."""

    def __init__(self, parts: Parts, standing: Standing, refresh: Callable[[], object], actor: str) -> None:
        self._parts = parts
        self._standing = standing
        self._refresh = refresh
        self._actor = actor

    def carry(self, flag: str, wish: Ask, by: str | None, timeout: float, proposal: Proposal | None = None) -> RolloutStatus:
        """A verb, and where it leaves the flag; both within `timeout` seconds. `proposal`: the definition that a start is of."""
        self._parts.must_write()
        with within(timeout):
            try:
                why = sentence(wish.reason) if proposal is None else ": ".join(filter(None, (proposal.said, sentence(wish.reason))))
                self._apply(flag, replace(wish, reason=why), sentence(by) or self._actor, proposal)
            except StoreError as error:
                if not spent():
                    raise
                hint = "look at its status, or say it again: what has been done is not done twice"
                raise StoreError(f"{flag}: {wish.verb} was not done within its {timeout:g} s ({error}); {hint}") from error
            self.look()
            self._parts.looks.save()
            return self._standing.of(flag)

    def rollback(self, flag: str, reason: str, by: str | None, timeout: float, seen: str | None = None) -> RolloutStatus:
        """The candidate is stopped here before the store is asked, and stays stopped where the store does not answer."""
        parts, flag, reason, by = self._parts, possible(flag), sentence(reason), sentence(by)
        parts.must_write()
        live = parts.client.live(flag)
        intent = Intent(live.run, reason or "rollback requested", by or self._actor)
        with within(timeout):
            first = bool(live.run and live.share) and about(seen, live.run) and parts.brake.intend(flag, intent, live.revision)
            try:
                return self.carry(flag, Ask(Act.ROLLBACK, reason, seen=seen), by, timeout)
            except StoreError as error:
                swallow("rollouts: the store", error)
                run = self._run(flag, live.run)
                if not about(seen, run):
                    raise  # of another run than is known of here: nobody can say whether that one is still there
                parts.brake.intend(flag, replace(intent, run=run), live.revision)
                parts.keep()
                return self._standing.of(flag)
            except BaseException:
                if first:  # refused: it is not ours to stop
                    parts.brake.settled(flag)
                    parts.client.unpin(flag)
                raise

    def turn(self, flag: str, wish: Turn, timeout: float) -> None:
        """A switch of one flag, or of `EVERYTHING`; here first, and in the store as soon as it takes it."""
        self._parts.must_write()
        with within(timeout):
            if flag != EVERYTHING:
                self._must_be_known(flag)
            self._parts.switches.turn(flag, wish.on, reason=sentence(wish.reason), actor=sentence(wish.by) or self._actor)
            self.look()
        self._parts.looks.save()

    def look(self) -> None:
        """Serve what the store has now."""
        try:
            self._refresh()
        except Exception as error:
            swallow("rollouts: refresh", error)

    def traffic(self, flag: str) -> Traffic | None:
        """What is known of a flag's traffic: of a run under way its own. A board out of reach knows nothing."""
        parts = self._parts
        try:
            record = parts.ledger.page(flag).record
            own = known(record) if record is not None and record.serving else None
            return own or parts.meter.of(flag, parts.pool.worker)
        except StoreError as error:
            swallow("rollouts: the board", error)
            return None

    def _run(self, flag: str, known: int) -> int:
        """The run that stands in the store; the one `known` here where it can't be read. It may have begun since this process looked."""
        try:
            record = self._parts.ledger.page(flag).record
        except StoreError:
            return known
        return known if record is None else record.run

    def _apply(self, flag: str, wish: Ask, actor: str, proposal: Proposal | None) -> None:
        """Read, apply, commit; on a conflict read and apply again, so that a verb is always about what is."""
        parts = self._parts
        for _ in range(_TRIES):
            page = parts.ledger.page(flag)
            record = self._record(page, wish.verb) if proposal is None else changing(page, proposal)
            if wish.seen is not None:  # of the very page that the commit will expect
                must_be_as_seen(wish.seen, wish.verb, record, killed=page.live.killed is not None)
            pages = parts.ledger.pages()
            closed = self._standing.blocked(record, pages, wish.verb)
            own = page.record is not None and page.record.edit is not None and record.edit is None  # it is not what was rolled back
            cooling = 0.0 if own else parts.ledger.ages.cooling(page.record)
            verb = verb_of(wish.verb, record) if record is not page.record else wish.verb
            move = ask(record, replace(wish, verb=verb, by=actor, closed=closed, cooling=cooling))
            if move is None:
                return None
            if wish.verb in _FRESH and move.target in (State.SCHEDULED, State.COOLING_DOWN):
                plan = parts.plans.of(flag) if record.edit is None else record.plan.blank
                record = _watching(replace(record, plan=plan, traffic=self.traffic(flag)))
            sight = Sight(closed="" if wish.force else closed)
            try:
                written, steps = parts.ledger.write(page, record, settle(record, sight, move).moves, actor=actor, others=pages)
            except ConflictError as error:
                if spent():
                    raise StoreError(f"other writers were first each time: {error}") from error
                continue
            return parts.controller.wrote(page, written, steps)
        raise ConflictError(f"{flag}: the store was busy {_TRIES} times in a row; try again")

    def _record(self, page: Page, verb: Act) -> Record:
        """The rollout there is, else one in draft by the file's plan."""
        if page.record is not None:
            if page.record.edit is not None and verb in _FRESH:
                return anew(page.record, page.record.edit, verb, self._parts)
            if verb in _FRESH:
                self._parts.plans.of(page.flag)  # a start needs the plan it will have; the other verbs must work without any file
            return page.record
        return Record(page.flag, self._parts.plans.of(page.flag))

    def _must_be_known(self, flag: str) -> None:
        """Refuse a flag that nobody knows: neither the file nor the store, which is asked last and only then."""
        try:
            self._parts.plans.known(flag)
        except TransitionRefused:
            if not self._parts.client.read(flag).revision and not self._parts.ledger.switch(flag).body:
                raise


def _watching(record: Record) -> Record:
    """The record, unless its plan watches everybody for a while and would see nothing."""
    plan, by = record.plan, watched_by(replace(record, state=State.DRAFT, stage=-1))
    if plan.remember and plan.watch > 0 and set(by.values()) == {"nothing"}:
        raise TransitionRefused(
            f"{record.flag} is not started: its watch after 100 % would watch nothing ({', '.join(by)}): keep a holdback, compare or bound"
            ' a metric that is recorded, such as error_rate, or write watch = "0s"',
            state=record.state,
            legal=map(str, legal(record.state)),
        )
    return record
