"""Definitions made ready to answer: compiled, with live state laid over them, counted."""

from progflags.flags.serving._change import kill, set_share, unkill
from progflags.flags.serving._closures import Deferred, Fn, KeyMissing, attribute, unit_of
from progflags.flags.serving._compile import BRAKED, Compiled, Workshop
from progflags.flags.serving._counters import Counters, Outcome, Watch
from progflags.flags.serving._edit import Edit
from progflags.flags.serving._edits import Edits
from progflags.flags.serving._exposures import Exposures
from progflags.flags.serving._live import NO_LIVE, Killed, Live
from progflags.flags.serving._ruleset import CLASSES, EMPTY, Forced, Pin, Ruleset, Stated, assemble, forced_by

__all__ = [
    "BRAKED",
    "CLASSES",
    "EMPTY",
    "NO_LIVE",
    "Compiled",
    "Counters",
    "Deferred",
    "Edit",
    "Edits",
    "Exposures",
    "Fn",
    "Forced",
    "KeyMissing",
    "Killed",
    "Live",
    "Outcome",
    "Pin",
    "Ruleset",
    "Stated",
    "Watch",
    "Workshop",
    "assemble",
    "attribute",
    "forced_by",
    "kill",
    "set_share",
    "unit_of",
    "unkill",
]
