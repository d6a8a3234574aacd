"""Rollouts: the verbs, the status, the tick of one client. What users hold as `flags.rollouts`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final
from uuid import uuid4

from progflags._clock import Clock
from progflags._fork import in_child
from progflags._trouble import swallow
from progflags.canary import CanaryReport, Pool, Recorder
from progflags.errors import ConflictError, StoreError, TransitionRefused
from progflags.flags import Client, Live
from progflags.flags import kill as kill_
from progflags.flags import unkill as unkill_
from progflags.rollout._brake import Brake, Intent
from progflags.rollout._chosen import Plans
from progflags.rollout._controller import Controller
from progflags.rollout._decide import Sight
from progflags.rollout._kept import Kept
from progflags.rollout._ledger import Ledger, Page, records
from progflags.rollout._look import blocked, settle
from progflags.rollout._outbox import Outbox, Sink
from progflags.rollout._plan import Plan
from progflags.rollout._record import Record
from progflags.rollout._report import report
from progflags.rollout._shadows import Shadows
from progflags.rollout._state import Act, State
from progflags.rollout._status import RolloutStatus, Transition
from progflags.rollout._verbs import Ask, ask
from progflags.store import Store

__all__ = ["Rollouts"]

_TRIES: Final = 1_000  # conflicts in a row; each is another writer's progress, so a verb gets its turn long before
_RECENT: Final = 50  # steps that a status shows


class Rollouts:
    """
    The rollouts of one client's flags.

    Verbs take `(flag, *, reason="", by=None)` and return a RolloutStatus; one that is not legal now raises
    TransitionRefused, naming the state and the legal verbs; repeating the one just done changes nothing. When a verb or
    `tick` returns, this process serves the new state already.

    `refresh` re-reads the store and installs it in the client; `actor` signs what nobody else does; `deliveries` is called
    when somebody wants notifications, so that `deliver` gets called from then on. `keep` names a folder in which a rollback
    that could not be stored outlives this process.
    """

    def __init__(
        self,
        client: Client,
        store: Store,
        recorder: Recorder,
        clock: Clock,
        *,
        refresh: Callable[[], object],
        actor: str = "operator",
        deliveries: Callable[[], object] = bool,
        keep: str | os.PathLike[str] | None = None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._recorder = recorder
        self._refresh = refresh
        self._actor = actor
        self._deliveries = deliveries
        self._board = store.board
        self._ledger = Ledger(store, clock)
        self._brake = Brake(client, recorder)
        self._outbox = Outbox(store, clock)
        self._plans = Plans(client)
        self._shadows = Shadows(self._board, client.bus, clock)
        self._controller = Controller(client, self._ledger, recorder, self._brake, clock=clock, closed=self._shadows.closed)
        self._kept = None if keep is None else Kept(keep, store.url)
        if self._kept is not None:  # of a process that ended before the store was back: ours to carry now
            for flag, intent in self._kept.read().items():
                self._brake.intend(flag, intent, client.live(flag).revision)
        self.after_fork()
        in_child(self)

    def after_fork(self) -> None:
        """A worker of its own: another name on the Board, a lock nobody holds."""
        self._pool = Pool(self._board, uuid4().hex[:12])
        self._ticking = threading.RLock()  # a listener may look again from inside a look

    # -- what the client asks ------------------------------------------------------------------------------------------

    def live(self) -> dict[str, Live]:
        """
        Every flag's live state as the store has it now; begins counting what is live. What `refresh` installs.

        Raises:
            StoreError: the store is out of reach; go on with what was read last.
        """
        pages = self._ledger.pages()
        self._controller.heed(pages)
        return {**{flag: self._client.live(flag) for flag in self._ledger.dark}, **{flag: page.live for flag, page in pages.items()}}

    def publish(self, *, at_once: bool = False) -> None:
        """
        What every process does, whether or not it runs the controller: put its open windows up for whoever judges, and carry a
        rollback that was wanted here to the store. `at_once`: although they were put up a moment ago, for no more will come.
        """
        self._put_up(at_once=at_once)
        with self._ticking:
            if self._brake.intents:
                self._ticked(self._brake.intents)
            else:
                self._keep()  # one that was settled by what the store says is not to wait on disk for the next process

    def _put_up(self, *, at_once: bool = False) -> None:
        try:
            self._controller.publish(self._pool, at_once=at_once)
            self._shadows.publish(self._controller.pages)
        except StoreError as error:
            swallow("rollouts: the board", error)

    def tick(self) -> tuple[Transition, ...]:
        """
        One step of the controller: publish, refresh, judge, decide, commit. The transitions committed by this call.

        Empty when there was nothing to do or another process won. A store out of reach is no error here: nothing is
        promoted, a rollback that is wanted stays wanted, and the next tick tries again.
        """
        with self._ticking:
            self._look()
            self._put_up()
            return self._ticked()

    def _ticked(self, only: Collection[str] | None = None) -> tuple[Transition, ...]:
        steps = self._controller.tick(self._pool, only)
        if steps or self._controller.lost:
            self._look()
        self._keep()
        return steps

    def _keep(self) -> None:
        if self._kept is not None:
            self._kept.keep(self._brake.intents)

    def notify(self, sink: Sink) -> None:
        """
        Tell `sink` (a Webhook, a Hook) of every step of every rollout from now on, at least once and in order.

        Delivery is apart from the ticks: a connected client gives it a thread of its own, elsewhere (`poll=None`, a test) call
        `deliver`. A sink that fails is tried again, ever more slowly, for ever.
        """
        self._outbox.add(sink)
        self._deliveries()

    def deliver(self) -> int:
        """One round of notifications; how many lines were taken. May take as long as its sinks do."""
        return self._outbox.deliver() if self._outbox else 0

    def shadow(
        self,
        flag: str,
        verdict: Callable[[], object] | None = None,
        *,
        of: str = "",
        max_mismatch: float = 0.001,
        confidence: float = 0.95,
    ) -> None:
        """
        Where a plan with `dark_launch` learns that its shadow is safe.

        `verdict` is a function of this process that returns SAFE, or something whose `state` is. Or `of` names the flag the
        shadow runs under, and what every process compares counts from the start of the run: say it in each of them, in those
        that shadow as in those that run the controller. It is SAFE when less than `max_mismatch` of those calls differ.

        Raises:
            ValueError: not exactly one of `verdict` and `of`, or a number that is not between 0 and 1.
        """
        if (verdict is None) is not bool(of):
            raise ValueError("say one of them: the function that knows the verdict, or of= and the flag that the shadow runs under")
        if verdict is not None:
            self._shadows.ask(flag, verdict)
        else:
            self._shadows.count(flag, of, max_mismatch, confidence)

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def start(self, flag: str, *, reason: str = "", by: str | None = None) -> RolloutStatus:
        """Begin the climb with the plan the file has now; the plan stays the one it began with."""
        return self._carry(flag, Ask(Act.START, reason), by, fresh=True)

    def pause(self, flag: str, *, reason: str = "", by: str | None = None) -> RolloutStatus:
        """Stop the climb where it is. The share stays, and so does everything that can roll it back."""
        return self._carry(flag, Ask(Act.PAUSE, reason), by)

    def resume(self, flag: str, *, reason: str = "", by: str | None = None) -> RolloutStatus:
        """Go on after a pause; a held rollout gets its deadline anew."""
        return self._carry(flag, Ask(Act.RESUME, reason), by)

    def approve(self, flag: str, *, reason: str = "", by: str | None = None) -> RolloutStatus:
        """Agree to the step it is waiting for. With `two_person` in the plan that is for somebody else than who started this run."""
        return self._carry(flag, Ask(Act.APPROVE, reason), by)

    def promote(self, flag: str, *, reason: str = "", by: str | None = None, full: bool = False, force: bool = False) -> RolloutStatus:
        """Take the next step now, on your own authority; `full`: all the way to 100 %. `force`: over a freeze or a dependency."""
        return self._carry(flag, Ask(Act.PROMOTE, reason, full=full, force=force), by)

    def skip(self, flag: str, *, reason: str = "", by: str | None = None) -> RolloutStatus:
        """Waive the rest of this stage's bake. The gates still decide."""
        return self._carry(flag, Ask(Act.SKIP, reason), by)

    def rollback(self, flag: str, *, reason: str = "", by: str | None = None) -> RolloutStatus:
        """
        Everybody gets the control, now. Wins over every promotion that is under way anywhere.

        This process stops serving the candidate before it asks the store. With the store out of reach the status says
        `rolling_back`, every tick tries to store it until it is, and where a folder is kept (`last_known_good`) it waits there
        for the next process as well.
        """
        live = self._client.live(flag)
        intent = Intent(live.run, reason or "rollback requested", by or self._actor)
        first = bool(live.run and live.share) and self._brake.intend(flag, intent, live.revision)
        try:
            return self._carry(flag, Ask(Act.ROLLBACK, reason), by)
        except StoreError as error:
            swallow("rollouts: the store", error)
            self._brake.intend(flag, replace(intent, run=self._run(flag, live.run)), live.revision)
            self._keep()
            return self.status(flag)
        except BaseException:
            if first:  # refused: it is not ours to stop
                self._brake.settled(flag)
                self._client.unpin(flag)
            raise

    def _run(self, flag: str, known: int) -> int:
        """The run that stands in the store; the one `known` here where it can't be read. It may have begun since this process looked."""
        try:
            record = self._ledger.page(flag).record
        except StoreError:
            return known
        return known if record is None else record.run

    def abort(self, flag: str, *, reason: str = "", by: str | None = None) -> RolloutStatus:
        """Give it up: everybody gets the control, and no cool-down follows, for nothing is said to be wrong with it."""
        return self._carry(flag, Ask(Act.ABORT, reason), by)

    def retry(self, flag: str, *, reason: str = "", by: str | None = None, force: bool = False, wait: bool = False) -> RolloutStatus:
        """
        Begin again from the first stage, with the plan the file has now, after a rollback or an abort; a held stage goes on.

        During the cool-down it is refused; `force` begins now all the same, `wait` as soon as it is over.
        """
        return self._carry(flag, Ask(Act.RETRY, reason, force=force, wait=wait), by, fresh=True)

    def kill(self, flag: str, *, reason: str = "", by: str | None = None) -> None:
        """The safe variant for everybody, at once, whatever else happens. Needs no rollout; again changes nothing."""
        who, at = by or self._actor, self._clock.now()
        self._switch(flag, lambda live: kill_(live, reason=reason, by=who, at=at), "kill", reason, who)

    def unkill(self, flag: str, *, reason: str = "", by: str | None = None) -> None:
        """Take a kill back: the flag answers as before it."""
        self._switch(flag, unkill_, "unkill", reason, by or self._actor)

    # -- questions -----------------------------------------------------------------------------------------------------

    def status(self, flag: str) -> RolloutStatus:
        """Where it stands, by the store; with the store out of reach, what was read last."""
        history: tuple[Transition, ...] = ()
        try:
            page = self._ledger.page(flag)
            if page.record is not None:
                history = self._ledger.history(flag, after=max(0, page.record.number - _RECENT))
        except StoreError as error:
            swallow("rollouts: the store", error)
            page = self._controller.pages.get(flag) or Page(flag, self._client.live(flag))
        return self._status(page, history)

    def history(self, flag: str) -> tuple[Transition, ...]:
        """Every step of the flag's rollouts, oldest first. Raises TransitionRefused where there is no such flag."""
        steps = self._ledger.history(flag)
        if not steps:
            self._plans.known(flag)
        return steps

    def report(self, flag: str) -> CanaryReport:
        """
        What the evidence in the store says of the flag's run, or of its last one: print it, `to_html(path)`, `to_dict()`.

        The judgement is made again from the stored totals; `extra` has the status and every step of that run.

        Raises:
            TransitionRefused: no such flag, or nothing was gathered yet.
            StoreError: the store is out of reach.
        """
        record = self._ledger.page(flag).record
        if record is None or record.evidence is None:
            self._plans.model(flag)
            raise TransitionRefused(f"{flag!r} has no evidence yet: start it, and let some traffic pass")
        return report(record, self.status(flag), self._ledger.history(flag, run=record.run))

    def verify(self, flag: str) -> tuple[str, ...]:
        """Check the hash chain of a flag's history: what is wrong, as sentences; empty when every line is as it was written."""
        self.history(flag)  # of a flag that does not exist nothing was written, and nothing is said
        return self._ledger.verify(flag)

    def plan(self, flag: str) -> Plan:
        """
        The plan the file has for `flag` now.

        Raises:
            TransitionRefused: no such flag, or it has no rollout.
            DefinitionError: the rollout table cannot be carried out; file, line and key are named.
        """
        return self._plans.of(flag)

    # -- how -----------------------------------------------------------------------------------------------------------

    def _carry(self, flag: str, wish: Ask, by: str | None, *, fresh: bool = False) -> RolloutStatus:
        """Read, apply, commit; on a conflict read and apply again, so that a verb is always about what is."""
        actor = by or self._actor
        for _ in range(_TRIES):
            page = self._ledger.page(flag)
            record = self._record(page, wish.verb)
            pages = self._ledger.pages()
            circumstances = replace(wish, by=actor, closed=self._blocked(record, pages), cooling=record.cooling(self._clock.now()))
            move = ask(record, circumstances)
            if move is None:
                break
            if fresh and move.target in (State.SCHEDULED, State.COOLING_DOWN):
                record = replace(record, plan=self.plan(flag))
            sight = Sight(closed="" if wish.force else self._blocked(record, pages))
            try:
                written, steps = self._ledger.write(page, record, settle(record, sight, move).moves, actor=actor, others=pages)
            except ConflictError:
                continue
            self._controller.wrote(page, written, steps)
            break
        else:
            raise ConflictError(f"{flag}: the store was busy {_TRIES} times in a row; try again")
        self._look()
        return self.status(flag)

    def _record(self, page: Page, verb: Act) -> Record:
        """The rollout there is, else one in draft by the file's plan."""
        if page.record is not None:
            if verb in (Act.START, Act.RETRY):
                self.plan(page.flag)  # a start needs the plan it will have; the other verbs must work without any file
            return page.record
        return Record(page.flag, self.plan(page.flag))

    def _blocked(self, record: Record, pages: Mapping[str, Page]) -> str:
        return blocked(record, records(pages), self._clock.now()) or self._shadows.closed(record)

    def _switch(self, flag: str, change: Callable[[Live], Live], verb: str, reason: str, actor: str) -> None:
        for _ in range(_TRIES):
            page = self._ledger.switch(flag)
            if not page.body:
                self._plans.known(flag)
            live = change(page.live)
            if live == page.live:
                break
            try:
                line = {"v": 1, "act": verb, "actor": actor, "reason": reason, "at": self._clock.now()}
                self._ledger.set_live(page, live, line)
            except ConflictError:
                continue
            break
        self._look()

    def _look(self) -> None:
        try:
            self._refresh()
        except Exception as error:
            swallow("rollouts: refresh", error)

    def _status(self, page: Page, history: tuple[Transition, ...]) -> RolloutStatus:
        record = page.record
        if record is None:
            record = Record(page.flag, self.plan(page.flag))
        intent = self._brake.intent(page.flag)
        return RolloutStatus.of(
            record,
            wanted=intent.reason if intent is not None and intent.run == record.run else None,
            waiting=self._blocked(record, self._controller.pages) if record.state in _WAITING else "",
            cool_down=record.cooling(self._clock.now()),
            changed=self._plans.changed(record),
            notes=self._plans.notes(record),
            killed=page.live.killed is not None,
            history=history,
        )


_WAITING: Final = frozenset({State.SCHEDULED, State.RAMPING, State.BAKING, State.JUDGING, State.AWAITING_APPROVAL, State.HELD})
