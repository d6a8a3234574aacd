"""What a person asks of a rollout: `ask` turns a verb into a step, into nothing (it is so already), or refuses it with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from progflags.errors import TransitionRefused
from progflags.rollout.state._decide import Move, climb
from progflags.rollout.state._record import Record
from progflags.rollout.state._state import TRANSITIONS, Act, State, legal

__all__ = ["Ask", "ask"]

#: What a verb has already achieved in these states, whoever did it: asking again changes nothing.
_ALREADY: Final = {
    Act.PAUSE: frozenset({State.PAUSED}),
    Act.ABORT: frozenset({State.ABORTED}),
    # Nobody is served the candidate, which is all a rollback wants.
    Act.ROLLBACK: frozenset({State.ROLLED_BACK, State.ROLLING_BACK, State.DRAFT, State.ABORTED, State.SUPERSEDED}),
}


@dataclass(frozen=True, slots=True)
class Ask:
    """
    A verb with its circumstances. `by`: whose it is. `closed`: why nothing may be promoted now; `cooling`: seconds of the
    cool-down left; `seen`: the version that it was decided on, None where nobody says.

    `full`: promote straight to 100 %. `force`: over a closed calendar, a dependency or a cool-down. `wait`: a retry begins by
    itself when the cool-down is over.
    """

    verb: Act
    reason: str = ""
    by: str = ""
    closed: str = ""
    cooling: float = 0.0
    full: bool = False
    force: bool = False
    wait: bool = False
    seen: str | None = None


def ask(record: Record, wish: Ask) -> Move | None:
    """
    The step that carries out `wish`, None where it changes nothing.

    Raises:
        TransitionRefused: not from here; it names the state, the verbs that are possible, and what stands in the way.
    """
    verb, state = wish.verb, record.state
    if state in _ALREADY.get(verb, ()) or _repeated(record, wish):
        return None
    if verb not in TRANSITIONS[state]:
        raise _refused(record, verb)
    if verb is Act.RETRY and state is not State.HELD:
        return _retry(record, wish)
    if verb in (Act.PROMOTE, Act.APPROVE):
        return _promote(record, wish) if verb is Act.PROMOTE else _approve(record, wish)
    if verb is Act.ROLLBACK:
        target = State.ROLLED_BACK if state is State.COOLING_DOWN else State.ROLLING_BACK
        return Move(verb, target, -1, wish.reason)
    if verb is Act.ABORT:
        return Move(verb, State.ABORTED, -1, wish.reason)
    if verb is Act.RESUME and state is State.PAUSED:
        return Move(verb, record.phase, record.stage, wish.reason)
    return Move(verb, TRANSITIONS[state][verb][0], record.stage, wish.reason)


def _repeated(record: Record, wish: Ask) -> bool:
    """Whether `wish` is the very verb just carried out. A start is not among them: it says "begin", and it has begun."""
    if record.last is not wish.verb or wish.verb is Act.START:
        return False
    more = (wish.full and 0 <= record.stage < record.plan.end) or (wish.force and record.state is State.COOLING_DOWN)
    return not more


def _retry(record: Record, wish: Ask) -> Move:
    if wish.cooling <= 0 or wish.force:
        return Move(wish.verb, State.SCHEDULED, -1, wish.reason)
    if wish.wait and record.state is State.ROLLED_BACK:
        return Move(wish.verb, State.COOLING_DOWN, -1, wish.reason)
    raise _refused(record, wish.verb, f"it cools down for another {wish.cooling:.0f} s; force=True does it now, wait=True then")


def _promote(record: Record, wish: Ask) -> Move:
    if wish.closed and not wish.force:
        raise _refused(record, wish.verb, f"{wish.closed}; force=True does it all the same")
    if record.state is State.WATCHING:
        return Move(wish.verb, State.COMPLETED, record.stage, wish.reason)
    if not wish.full:
        return climb(record.plan, record.approved, wish.verb, record.stage + 1, wish.reason)
    asked = [stage for stage in range(record.stage + 1, record.plan.end + 1) if record.plan.asks(stage) and stage not in record.approved]
    if asked and not wish.force:
        percents = ", ".join(f"{record.plan.share(stage) / 10_000:g} %" for stage in asked)
        raise _refused(record, wish.verb, f"the plan asks for approval before {percents}; promote stage by stage, or force=True")
    if asked:
        _by_another(record, wish)
    return climb(record.plan, tuple(range(record.plan.end + 1)), wish.verb, record.plan.end, wish.reason)


def _approve(record: Record, wish: Ask) -> Move:
    _by_another(record, wish)
    if record.plan.two_person and wish.reason == "":
        raise _refused(record, wish.verb, "this plan wants a reason on record: say reason=")
    if wish.closed:
        target = State.SCHEDULED if record.stage < 0 else State.JUDGING
        return Move(wish.verb, target, record.stage, wish.reason or f"approved; {wish.closed}")
    return climb(record.plan, (*record.approved, record.stage + 1), wish.verb, record.stage + 1, wish.reason)


def _by_another(record: Record, wish: Ask) -> None:
    """Where the plan wants two people, whoever started this run can't be the one who agrees to its next step."""
    if record.plan.two_person and wish.by == record.started_by:
        raise _refused(record, wish.verb, f"the plan wants two people, and {wish.by} started this run: somebody else has to agree")


def _refused(record: Record, verb: Act, why: str = "") -> TransitionRefused:
    verbs = legal(record.state)
    possible = ", ".join(each for each in verbs if not (why and each is verb)) or "nothing else"
    because = f": {why}" if why else ""
    hint = " (`retry` starts it anew)" if verb is Act.START and Act.RETRY in verbs else ""
    return TransitionRefused(
        f"{record.flag} is {record.state}, so {verb} is refused{because}; possible now: {possible}{hint}",
        state=record.state,
        legal=map(str, verbs),
    )
