"""What was seen, counted: sketches and totals of fixed size that merge over workers, and the windows they come in."""

from progflags.canary.counting._columns import REQUESTS, UNITS, Places, beyond, completed, credited, summed, timed, worth
from progflags.canary.counting._groups import ANONYMOUS, GROUPS, Cells, added, from_text, to_text
from progflags.canary.counting._otel import explicit, exponential
from progflags.canary.counting._pool import Pool, Summed
from progflags.canary.counting._recorder import Recorder
from progflags.canary.counting._sketch import EDGES, LARGEST, OVERFLOW, UNIT, Sample, around, position
from progflags.canary.counting._tallies import thresholds
from progflags.canary.counting._totals import CLUSTERED, ERRORS, SHARDS, TRIALS, Moments, Totals, dispersion, exact, shards
from progflags.canary.counting._window import CANDIDATE, CONTROL, Window

__all__ = [
    "ANONYMOUS",
    "CANDIDATE",
    "CLUSTERED",
    "CONTROL",
    "EDGES",
    "ERRORS",
    "GROUPS",
    "LARGEST",
    "OVERFLOW",
    "REQUESTS",
    "SHARDS",
    "TRIALS",
    "UNIT",
    "UNITS",
    "Cells",
    "Moments",
    "Places",
    "Pool",
    "Recorder",
    "Sample",
    "Summed",
    "Totals",
    "Window",
    "added",
    "around",
    "beyond",
    "completed",
    "credited",
    "dispersion",
    "exact",
    "explicit",
    "exponential",
    "from_text",
    "position",
    "shards",
    "summed",
    "thresholds",
    "timed",
    "to_text",
    "worth",
]
