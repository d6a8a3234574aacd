"""Evidence that may be looked at at any time: the tests, and what they have added up so far."""

from progflags.canary.sequential._bounded import against, bounded
from progflags.canary.sequential._claims import Claim, claims, margin, moments_of, rate_of, shift, stretched
from progflags.canary.sequential._comparison import Ledger, Worth, said
from progflags.canary.sequential._counted import counted
from progflags.canary.sequential._design_effect import NO_STRATA, Counts, Stratum
from progflags.canary.sequential._evidence import Evidence
from progflags.canary.sequential._exact import at_least, at_most, conditional_p
from progflags.canary.sequential._means import Means, clipped, cuped, not_zero, radius, slope_of, tuning
from progflags.canary.sequential._open import mixture, reaches
from progflags.canary.sequential._planned import standard, upper
from progflags.canary.sequential._quantiles import quantile_bounds, ratio_interval
from progflags.canary.sequential._revision import z_of_look
from progflags.canary.sequential._sequential import LEVEL, RATIO, discoveries, fresh, fresh_levels, level, level_test, log_mean, ratio
from progflags.canary.sequential._step import BAD, FIRST_READINGS, GOOD, PEER, SMALL, VERSUS
from progflags.canary.sequential._track import FIRST, Track

__all__ = [
    "BAD",
    "FIRST",
    "FIRST_READINGS",
    "GOOD",
    "LEVEL",
    "NO_STRATA",
    "PEER",
    "RATIO",
    "SMALL",
    "VERSUS",
    "Claim",
    "Counts",
    "Evidence",
    "Ledger",
    "Means",
    "Stratum",
    "Track",
    "Worth",
    "against",
    "at_least",
    "at_most",
    "bounded",
    "claims",
    "clipped",
    "conditional_p",
    "counted",
    "cuped",
    "discoveries",
    "fresh",
    "fresh_levels",
    "level",
    "level_test",
    "log_mean",
    "margin",
    "mixture",
    "moments_of",
    "not_zero",
    "quantile_bounds",
    "radius",
    "rate_of",
    "ratio",
    "ratio_interval",
    "reaches",
    "said",
    "shift",
    "slope_of",
    "standard",
    "stretched",
    "tuning",
    "upper",
    "z_of_look",
]
