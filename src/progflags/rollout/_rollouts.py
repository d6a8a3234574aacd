"""Rollouts: the verbs, the status, the tick of one client. What users hold as `flags.rollouts`."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from progflags._clock import Clock
from progflags._deadline import within
from progflags._names import must_be_named, sentence
from progflags._printed import quoted
from progflags._process import in_child
from progflags.canary import CanaryReport, Recorder
from progflags.errors import TransitionRefused
from progflags.flags import EVERYTHING, Client, Live
from progflags.rollout._forecast import Forecast, forecast, watched
from progflags.rollout._parts import Parts
from progflags.rollout._proposal import Given, Proposal, propose
from progflags.rollout._report import report
from progflags.rollout._rounds import Rounds
from progflags.rollout._standing import Standing
from progflags.rollout._status import RolloutStatus, Transition
from progflags.rollout._verbs import TIMEOUT, Turn, Verbs
from progflags.rollout.plan import Plan
from progflags.rollout.run import Archived, Bars, Outbox, Process, Sink, archive, archived, living, possible
from progflags.rollout.state import Act, Ask
from progflags.store import Store

if TYPE_CHECKING:
    from progflags.darklaunch import ShadowSummary

__all__ = ["Rollouts"]


# Left whole, though long: it is what users hold, one verb beside the other; each is a line or two, and the rest is what it promises.
class Rollouts:
    """
    The rollouts of one client's flags.

    Verbs take `(flag, *, reason="", by=None, timeout=2.0)` and return a RolloutStatus; one that is not legal now raises
    TransitionRefused, naming the state and the legal verbs; repeating the one just done changes nothing. When a verb or
    `tick` returns, this process serves the new state already. A verb that is not done within `timeout` seconds, whatever it
    waits for, raises StoreError; `rollback`, `kill` and `panic` do not, for they hold here and are stored later.

    Each takes `seen=` as well, the `version` of the status that it is decided on: a verb about another is refused with MovedOn, and
    what came between reading and writing is another, too. What only takes the candidate away (`rollback`, `pause`, `abort`) is refused
    for another run alone.

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
        self._parts = parts = Parts(client, store, recorder, clock, keep)
        self._standing = standing = Standing(parts)
        self._actor = actor
        self._verbs = Verbs(parts, standing, refresh, actor)
        self._rounds = Rounds(parts, self._verbs.look)
        self.deliveries = deliveries
        in_child(self)

    def after_fork(self) -> None:
        """A worker of its own: another name on the Board, a lock nobody holds."""
        self._parts.after_fork()
        self._rounds.after_fork()

    def health(self) -> dict[str, str]:
        """What runs beside, and each rollout that can't be looked at or read: `running`, or why not."""
        parts = self._parts
        return {**parts.shadows.health(), **parts.outbox.health(), **parts.controller.health(), **parts.ledger.unreadable()}

    def close(self) -> None:
        """End the threads of judges and sinks. They begin again with the next question and the next round."""
        self._parts.shadows.close()
        self._parts.outbox.close()

    # -- what the client asks ------------------------------------------------------------------------------------------

    def live(self) -> dict[str, Live]:
        """
        Every flag's live state as the store has it now, that of `EVERYTHING` too; begins counting what is live. What `refresh`
        installs.

        Raises:
            StoreError: the store is out of reach; go on with what was read last.
        """
        parts = self._parts
        lives = parts.looks.look(parts.brake, parts.switches)
        drafts = parts.plans.drafts(parts.controller.pages)
        parts.meter.heed(drafts)
        metered = {flag: replace(lives.get(flag) or Live(flag), metered=True) for flag in drafts if flag not in parts.ledger.dark}
        return {**lives, **metered}

    def last(self) -> dict[str, Live]:
        """The live state as it was seen last; where this process has seen none, as one before it saved it. Asks nobody."""
        return self._parts.looks.last()

    @property
    def saved_at(self) -> float | None:
        """When (wall) what serves was saved, in a process that has not seen the store yet; None once it has."""
        return self._parts.looks.saved_at

    def forget(self) -> None:
        """Read the whole store anew at the next look, for its revisions have begun again."""
        self._parts.ledger.forget()

    @property
    def busy(self) -> bool:
        """Whether a rollout is under way, or something decided here waits for the store: then steps come a few times a second."""
        return self._rounds.busy

    def publish(self, *, at_once: bool = False) -> None:
        """
        What every process does, whether or not it runs the controller: put its open windows up for whoever judges, and carry a
        rollback that was wanted here to the store. `at_once`: although they were put up a moment ago, for no more will come.
        """
        self._rounds.publish(at_once=at_once)

    def carry(self) -> None:
        """Store the turns of switches that wait for it, if it can be had now, and save what was seen. Never raises."""
        self._parts.switches.carry()
        self._parts.looks.save()

    def leave(self) -> None:
        """What a process does that ends: put up what it counted last, and say that it goes. Raises StoreError."""
        self._rounds.leave()

    def tick(self) -> tuple[Transition, ...]:
        """
        One step of the controller: publish, refresh, judge, decide, commit. The transitions committed by this call.

        Empty when there was nothing to do or another process won. A store out of reach is no error here: nothing is
        promoted, a rollback that is wanted stays wanted, and the next tick tries again.
        """
        return self._rounds.tick()

    def turn(self) -> tuple[Transition, ...]:
        """
        The tick of a background that looks at the store by itself; yours is `tick`. A rollout that another process looks at is left to
        that one, for as long as it does.
        """
        return self._rounds.turn()

    def notify(self, sink: Sink) -> None:
        """
        Tell `sink` (a Webhook, a Hook) of every step of every rollout from now on, at least once and in order.

        Delivery is apart from the ticks: a connected client gives it a thread of its own, elsewhere (`poll=None`, a test) call
        `deliver`. A sink that fails is tried again, ever more slowly, for ever.

        Raises:
            ValueError: its `name` can't be one: the place it has been told up to is kept under it.
            ReadOnlyError: the store can't be written to from here, so nobody could keep that place.
        """
        must_be_named(sink.name, "a sink")
        self._parts.must_write()
        self._parts.outbox.add(sink)
        self.deliveries()

    @property
    def outbox(self) -> Outbox:
        """What serves the sinks."""
        return self._parts.outbox

    def deliver(self) -> int:
        """One round of notifications; how many lines were taken. May take as long as its sinks do."""
        return self._parts.outbox.deliver() if self._parts.outbox else 0

    def shadow(
        self,
        flag: str,
        verdict: Callable[[], object] | None = None,
        *,
        of: str = "",
        max_mismatch: float = 0.001,
        confidence: float = 0.95,
        min_score: float | None = None,
        margin: float = 0.0,
    ) -> None:
        """
        Where a plan with `dark_launch` learns that its shadow is safe.

        `verdict` is a function of this process that returns SAFE, or something whose `state` is. Or `of` names the flag the
        shadow runs under, and what every process compares counts from the start of the run: say it in each of them, in those
        that shadow as in those that run the controller. It is SAFE when less than `max_mismatch` of those calls differ;
        with `min_score`, for launches that have a `score=`, when the mean score is at least `min_score` − `margin` and less than
        `max_mismatch` of the calls fail.

        Raises:
            ValueError: not exactly one of `verdict` and `of`, a name that can't be one, a number that is out of range, or
                `min_score` with a function, which knows for itself.
        """
        for name in (flag, of or flag):
            must_be_named(name, "a flag")
        if (verdict is None) is not bool(of):
            raise ValueError("say one of them: the function that knows the verdict, or of= and the flag that the shadow runs under")
        if verdict is not None and min_score is not None:
            raise ValueError("min_score= goes with of=: a function that knows the verdict has asked for its score itself")
        if verdict is not None:
            self._parts.shadows.ask(flag, verdict)
        else:
            self._parts.shadows.count(flag, of, Bars(max_mismatch, confidence, min_score, margin))

    def dark_launches(self) -> tuple[ShadowSummary, ...]:
        """
        What every dark launch has found, over all processes that share the store, by flag; of a process what it told last.

        Raises:
            StoreError: the store is out of reach.
        """
        return self._parts.found.merged()

    def processes(self) -> tuple[Process, ...]:
        """
        The processes that share the store, by name: each tells of itself every half minute, and is left out once it is gone.

        Raises:
            StoreError: the store is out of reach.
        """
        return living(self._parts.board)

    # -- verbs ---------------------------------------------------------------------------------------------------------

    def start(
        self, flag: str, *, reason: str = "", by: str | None = None, seen: str | None = None, timeout: float = TIMEOUT
    ) -> RolloutStatus:
        """
        Begin the climb with the plan the file has now; the plan stays the one it began with.

        The status that is returned says in its `notes` what each stage will see and when, at the traffic there is.

            flags.rollouts.start("new-checkout", by="ann", reason="release 42")
        """
        status = self._verbs.carry(flag, Ask(Act.START, reason, seen=seen), by, timeout)
        return self._foretold(status, None, timeout)

    def _foretold(self, status: RolloutStatus, plan: Plan | None, timeout: float) -> RolloutStatus:
        """With what each stage will see, and when."""
        with within(timeout):
            stages = self.forecast(status.flag, plan=plan).stages
        told = [line for stage in stages if stage.lasts is not None for line in stage.sentences()]
        if told and status.watched_by:
            told.append(f"after 100 %: {watched(status.watched_by)}")
        return replace(status, notes=(*told, *status.notes))

    def change(
        self,
        flag: str,
        new_definition: Given,
        *,
        reason: str = "",
        by: str | None = None,
        force: bool = False,
        seen: str | None = None,
        timeout: float = TIMEOUT,
    ) -> RolloutStatus:
        """
        Deliver another definition of a flag like code: its rules, values, prerequisites, whatever decides.

        `new_definition` is the flag's table as a file has it, a whole document, or the path of a flag file; what it does not say of
        segments, groups and holdouts is as in the file that serves. It is the candidate and what the file says the control: a share
        of the units is served by it, stage by stage, behind the gates of its own `rollout` table, else of the file's, else of its
        profile. Once everybody is, put it into the file; a file that says anything else than before wins at any time.

            flags.rollouts.change("new-checkout", "new.toml", by="ann", reason="schools pay less")

        Raises:
            DefinitionError: it is wrong, does not go with the other flags, or is of another type; file, line and key are named.
            TransitionRefused: no such flag, nothing to change, a rollout is under way, or the last one cools down (`force` all the same).
        """
        proposal = self.proposed(flag, new_definition)
        status = self._verbs.carry(proposal.old.key, Ask(Act.START, reason, force=force, seen=seen), by, timeout, proposal)
        return self._foretold(status, proposal.plan, timeout)

    def proposed(self, flag: str, new_definition: Given) -> Proposal:
        """
        What `change` would deliver, and by which plan; nothing is begun.

        Raises:
            DefinitionError, TransitionRefused: as `change` does.
        """
        return propose(self._parts.plans, self._parts.client.definitions, possible(flag), new_definition)

    def forecast(self, flag: str, *, rps: float | None = None, error_rate: float | None = None, plan: Plan | None = None) -> Forecast:
        """
        What the file's plan for `flag`, or another `plan`, will be like: at `rps` requests a second, of which the control fails
        `error_rate` (1 % if that is not said); without `rps` at the traffic of the last hour, as far as any process counted it.

            print(flags.rollouts.forecast("new-checkout", rps=20, error_rate=0.01))

        Raises:
            TransitionRefused: no such flag, or it has no rollout.
            DefinitionError: the rollout table cannot be carried out; file, line and key are named.
        """
        plan = plan or self._parts.plans.of(flag)
        if rps is not None:
            return forecast(plan, rps=rps, error_rate=0.01 if error_rate is None else error_rate)
        return forecast(plan, traffic=self._verbs.traffic(flag))

    def pause(
        self, flag: str, *, reason: str = "", by: str | None = None, seen: str | None = None, timeout: float = TIMEOUT
    ) -> RolloutStatus:
        """Stop the climb where it is. The share stays, and so does everything that can roll it back."""
        return self._verbs.carry(flag, Ask(Act.PAUSE, reason, seen=seen), by, timeout)

    def resume(
        self, flag: str, *, reason: str = "", by: str | None = None, seen: str | None = None, timeout: float = TIMEOUT
    ) -> RolloutStatus:
        """Go on after a pause; a held rollout gets its deadline anew."""
        return self._verbs.carry(flag, Ask(Act.RESUME, reason, seen=seen), by, timeout)

    def approve(
        self, flag: str, *, reason: str = "", by: str | None = None, seen: str | None = None, timeout: float = TIMEOUT
    ) -> RolloutStatus:
        """Agree to the step it is waiting for. With `two_person` in the plan that is for somebody else than who started this run."""
        return self._verbs.carry(flag, Ask(Act.APPROVE, reason, seen=seen), by, timeout)

    def promote(
        self,
        flag: str,
        *,
        reason: str = "",
        by: str | None = None,
        full: bool = False,
        force: bool = False,
        seen: str | None = None,
        timeout: float = TIMEOUT,
    ) -> RolloutStatus:
        """Take the next step now, on your own authority; `full`: all the way to 100 %. `force`: over a freeze or a dependency."""
        return self._verbs.carry(flag, Ask(Act.PROMOTE, reason, full=full, force=force, seen=seen), by, timeout)

    def skip(
        self, flag: str, *, reason: str = "", by: str | None = None, seen: str | None = None, timeout: float = TIMEOUT
    ) -> RolloutStatus:
        """Waive the rest of this stage's bake. The gates still decide."""
        return self._verbs.carry(flag, Ask(Act.SKIP, reason, seen=seen), by, timeout)

    def rollback(
        self, flag: str, *, reason: str = "", by: str | None = None, seen: str | None = None, timeout: float = TIMEOUT
    ) -> RolloutStatus:
        """
        Everybody gets the control, now. Wins over every promotion that is under way anywhere.

        This process stops serving the candidate before it asks the store. With the store out of reach the status says
        `rolling_back`, every tick tries to store it until it is, and where a folder is kept (`last_known_good`) it waits there
        for the next process as well.

            flags.rollouts.rollback("new-checkout", reason="support is on the phone")
        """
        return self._verbs.rollback(flag, reason, by, timeout, seen)

    def abort(
        self, flag: str, *, reason: str = "", by: str | None = None, seen: str | None = None, timeout: float = TIMEOUT
    ) -> RolloutStatus:
        """Give it up: everybody gets the control, and no cool-down follows, for nothing is said to be wrong with it."""
        return self._verbs.carry(flag, Ask(Act.ABORT, reason, seen=seen), by, timeout)

    def retry(
        self,
        flag: str,
        *,
        reason: str = "",
        by: str | None = None,
        force: bool = False,
        wait: bool = False,
        seen: str | None = None,
        timeout: float = TIMEOUT,
    ) -> RolloutStatus:
        """
        Begin again from the first stage, with the plan the file has now, after a rollback or an abort; a held stage goes on.

        During the cool-down it is refused; `force` begins now all the same, `wait` as soon as it is over.
        """
        return self._verbs.carry(flag, Ask(Act.RETRY, reason, force=force, wait=wait, seen=seen), by, timeout)

    def kill(self, flag: str, *, reason: str = "", by: str | None = None, timeout: float = TIMEOUT) -> None:
        """
        The safe variant for everybody, at once, whatever else happens. Needs no rollout; again changes nothing.

        Here it is so before the store is asked. With the store out of reach it stays so, is in `pending`, is stored as soon as the
        store is back, and where a folder is kept (`last_known_good`) waits there for the next process as well. Nothing is promoted
        while it stands.

        Raises:
            TransitionRefused: there is no such flag.
            StoreError: it is none of the file's, and the store, which may know it, is out of reach.
        """
        self._verbs.turn(possible(flag), Turn(True, reason, by), timeout)

    def unkill(self, flag: str, *, reason: str = "", by: str | None = None, timeout: float = TIMEOUT) -> None:
        """Take a kill back: the flag answers as before it. At once here, and in the store as `kill` is."""
        self._verbs.turn(possible(flag), Turn(False, reason, by), timeout)

    def panic(self, *, reason: str = "", by: str | None = None, timeout: float = TIMEOUT) -> None:
        """A kill of every flag there is and will be, in every process that shares the store. Nothing is promoted meanwhile."""
        self._verbs.turn(EVERYTHING, Turn(True, reason, by), timeout)

    def unpanic(self, *, reason: str = "", by: str | None = None, timeout: float = TIMEOUT) -> None:
        """Take a panic back. Flags that were killed one by one stay killed."""
        self._verbs.turn(EVERYTHING, Turn(False, reason, by), timeout)

    @property
    def pending(self) -> tuple[str, ...]:
        """What was decided here, holds here, and is not in the store yet, as sentences; empty when the store has everything."""
        return self._standing.pending

    # -- questions -----------------------------------------------------------------------------------------------------

    def status(self, flag: str) -> RolloutStatus:
        """
        Where it stands, by the store; with the store out of reach, what was read last. One that can't be read is held, and says why.

            status = flags.rollouts.status("new-checkout")
            status.state, status.percent, status.reason
        """
        return self._standing.of(flag)

    def every(self) -> tuple[RolloutStatus, ...]:
        """
        Every rollout that was ever started, its flag's last run, by flag. Left out are `history`, `findings`, `design_effect` and
        `watched_by`, which take a while for hundreds of them: ask `status`.

        As of one moment; with the store out of reach, what was read last. One that can't be read is held, and says why.
        """
        return self._standing.every()

    def history(self, flag: str) -> tuple[Transition, ...]:
        """Every step of the flag's rollouts that is not archived, oldest first. Raises TransitionRefused where there is no such flag."""
        steps = self._parts.ledger.history.of(flag)
        if not steps:
            self._parts.plans.known(flag)
        return steps

    def report(self, flag: str) -> CanaryReport:
        """
        What the evidence in the store says of the flag's run, or of its last one: print it, `to_html(path)`, `to_dict()`.

        The judgement is made again from the stored totals; `extra` has the status and every step of that run.

        Raises:
            TransitionRefused: no such flag, or nothing was gathered yet.
            StoreError: the store is out of reach.
        """
        record = self._parts.ledger.page(flag).record
        if record is None or record.evidence is None:
            if record is None or record.edit is None:
                self._parts.plans.model(flag)
            raise TransitionRefused(f"{quoted(flag)} has no evidence yet: start it, and let some traffic pass")
        return report(record, self.status(flag), self._parts.ledger.history.of(flag, run=record.run))

    def verify(self, flag: str, *, archive: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
        """
        Check the hash chain of a flag's history: what is wrong, as sentences; empty when every line is as it was written.

        `archive`: a folder with lines that were archived, which are checked as well. ValueError where a file in it is none of ours.
        """
        self.history(flag)  # of a flag that does not exist nothing was written, and nothing is said
        return self._parts.ledger.verify(flag, () if archive is None else archived(Path(archive), flag))

    def archive(
        self, flag: str, folder: str | os.PathLike[str], *, older: float = 90 * 86400.0, by: str | None = None, untold: bool = False
    ) -> Archived:
        """
        Put the lines about runs of a flag's rollout that were over `older` seconds ago into a file in `folder`, and then cut them from the
        store. The present run's stay, and so do those that a sink or channel has not been told yet, named in `untold` of what is returned;
        with `untold=True` they go as well, and it never is told of them. The cut is a line of the history itself, so `verify` holds for
        what is left, and for both together.

        Every process that shares the store needs a progflags that knows of it (see the changelog).

        Raises:
            StoreError: out of reach, or not a store that forgets anything (`progflags.store.Trimming`).
            ReadOnlyError: the store can't be written to from here.
            OSError: the file could not be written; nothing was cut.
        """
        self._parts.must_write()
        until = self._parts.clock.now() - older
        return archive(self._parts.ledger, flag, Path(folder), until=until, actor=sentence(by) or self._actor, untold=untold)

    def plan(self, flag: str) -> Plan:
        """
        The plan the file has for `flag` now.

        Raises:
            TransitionRefused: no such flag, or it has no rollout.
            DefinitionError: the rollout table cannot be carried out; file, line and key are named.
        """
        return self._parts.plans.of(flag)
