"""What became of a call. Every call has exactly one outcome, and they sum to the calls."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["BAD", "CONCLUSIVE", "GOOD", "Outcome", "Shed"]


class Outcome(StrEnum):
    """
    The fifteen ends of a call. The first three never ran the candidate.

        from progflags.darklaunch import Outcome

        stats = price.dark_launch.stats()
        print(stats.outcomes[Outcome.MISMATCH], stats.outcomes["mismatch"])
    """

    OFF = "off"  #: the flag is off for everybody, unknown, or there is no client
    NOT_SAMPLED = "not_sampled"  #: the share, `sample` or `run_if` left this call out
    SHED = "shed"  #: left out under load or for safety; `Shed` says why
    MATCH = "match"  #: both say the same
    MISMATCH = "mismatch"  #: they differ
    IGNORED = "ignored"  #: they differ, and `ignore_if` or ignore("$") says it does not matter
    CONTROL_ERROR_MATCH = "control_error_match"  #: both failed in the same way
    CONTROL_ERROR_MISMATCH = "control_error_mismatch"  #: the control failed, the candidate otherwise or not at all
    CANDIDATE_ERROR = "candidate_error"  #: only the candidate failed
    TIMEOUT = "timeout"  #: the candidate took longer than its deadline
    ABANDONED = "abandoned"  #: it took longer, and did not even stop then: its thread or task was left behind
    COMPARE_ERROR = "compare_error"  #: the two values can't be compared
    INCOMPLETE = "incomplete"  #: not enough was captured to compare (an early answer, a cut stream)
    GUARD_BLOCKED = "guard_blocked"  #: the candidate wanted an effect a guard refuses
    CANCELLED_SHUTDOWN = "cancelled_shutdown"  #: the process or its loop ended first


class Shed(StrEnum):
    """Why a call was left out although its turn had come."""

    BREAKER = "breaker"  # the candidate failed too often; tried again in a while
    STUCK = "stuck"  # too many abandoned threads are still running
    ADAPTIVE = "adaptive"  # the rate was lowered by itself
    PROBE = "probe"  # a short pause in which the control is timed without shadows
    INFLIGHT = "inflight"
    QUEUE = "queue"
    BYTES = "bytes"
    CPU = "cpu"
    STALE = "stale"  # waited so long that it would have read a later world
    ISOLATION = "isolation"  # the arguments can't be copied, or are too large
    RESULT_ISOLATION = "result_isolation"  # likewise the control's result
    REQUEST_BODY = "request_body"
    RESPONSE_BODY = "response_body"
    CONTROL_CANCELLED = "control_cancelled"  # nothing to compare with
    HOOK = "hook"  # key, run_if or another function of the user's failed
    NO_LOOP = "no_loop"  # a coroutine, and no asyncio loop to run it
    NO_THREAD = "no_thread"  # no thread to be had: uWSGI without enable-threads, a system at its limit
    ROLLED_BACK = "rolled_back"  # the transaction it was to follow did not happen
    NOT_STARTED = "not_started"  # the candidate application has not started yet, or could not
    CLOSED = "closed"  # or the process is ending


#: What a verdict counts: the candidate answered as the control did …
GOOD: Final = frozenset({Outcome.MATCH, Outcome.CONTROL_ERROR_MATCH, Outcome.IGNORED})
#: … or it did not. A timeout is a wrong answer: whoever switches over will wait for it.
BAD: Final = frozenset({Outcome.MISMATCH, Outcome.CONTROL_ERROR_MISMATCH, Outcome.CANDIDATE_ERROR, Outcome.TIMEOUT, Outcome.ABANDONED})
CONCLUSIVE: Final = GOOD | BAD
