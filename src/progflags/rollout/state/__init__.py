"""Where a rollout is and what comes next: a table of states, a pure decision, and the document it is kept in."""

from progflags.rollout.state._codec import bare, dump, load
from progflags.rollout.state._decide import Move, Sight, advance, decide
from progflags.rollout.state._look import blocked, findings, look, rivals, settle
from progflags.rollout.state._pace import eta, known
from progflags.rollout.state._record import NO_SAMPLES, Record
from progflags.rollout.state._state import ACTIVE, COOLING, SERVING, TRANSITIONS, VERBS, Act, State, legal, steps
from progflags.rollout.state._verbs import Ask, ask
from progflags.rollout.state._watched import watched_by

__all__ = [
    "ACTIVE",
    "COOLING",
    "NO_SAMPLES",
    "SERVING",
    "TRANSITIONS",
    "VERBS",
    "Act",
    "Ask",
    "Move",
    "Record",
    "Sight",
    "State",
    "advance",
    "ask",
    "bare",
    "blocked",
    "decide",
    "dump",
    "eta",
    "findings",
    "known",
    "legal",
    "load",
    "look",
    "rivals",
    "settle",
    "steps",
    "watched_by",
]
