"""What an analyzer is handed: arrays, rates, tables and files, each a sample."""

from progflags.canary.samples._dealt import dealt
from progflags.canary.samples._rate import Rate
from progflags.canary.samples._series import Series, dropped_of, of_side, outcomes, series_for

__all__ = [
    "Rate",
    "Series",
    "dealt",
    "dropped_of",
    "of_side",
    "outcomes",
    "series_for",
]
