"""From evidence to a verdict: estimates, integrity, what can still be seen, and the sentence that says so."""

from progflags.canary.judging._estimates import change, estimate
from progflags.canary.judging._findings import bounded, ruled_out, whole
from progflags.canary.judging._foresight import Foreseen, foresee
from progflags.canary.judging._integrity import scatter
from progflags.canary.judging._intervals import interval, inverted, reconciled, stretched
from progflags.canary.judging._judge import judge
from progflags.canary.judging._planning import Prospect, prospects, requests_to_detect, requests_to_prove, smallest_detectable
from progflags.canary.judging._policy import asked, next_asked
from progflags.canary.judging._sentences import between, duration, moved, odds, quantity

__all__ = [
    "Foreseen",
    "Prospect",
    "asked",
    "between",
    "bounded",
    "change",
    "duration",
    "estimate",
    "foresee",
    "interval",
    "inverted",
    "judge",
    "moved",
    "next_asked",
    "odds",
    "prospects",
    "quantity",
    "reconciled",
    "requests_to_detect",
    "requests_to_prove",
    "ruled_out",
    "scatter",
    "smallest_detectable",
    "stretched",
    "whole",
]
