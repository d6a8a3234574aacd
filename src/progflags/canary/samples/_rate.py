"""A rate: events among trials, or per exposure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from progflags._printed import quoted
from progflags.canary.counting import LARGEST

__all__ = ["Rate"]


def _plain(value: Any) -> float | None:
    """A number of any kind as one that can be added to any other; None: it is none."""
    if isinstance(value, (bool, str, bytes)) or value is None:
        return None
    try:
        return value if type(value) is int else float(value)
    except (TypeError, ValueError, OverflowError):
        return None


@dataclass(frozen=True, slots=True)
class Rate:
    """
    `events` in `trials` (a share), or in an `exposure` of any unit (counts per hour, per gigabyte).

        pf.Rate(12, 10_000).value                               # 0.0012
        pf.Rate(3, exposure=24.0).value                         # 0.125

    Raises:
        ValueError: a number is missing, negative, infinite or not a number, or there are more events than trials.
    """

    events: float
    trials: float | None = None
    exposure: float | None = None

    def __post_init__(self) -> None:
        if (self.trials is None) == (self.exposure is None):
            raise ValueError("a Rate has trials or an exposure, and not both: Rate(12, 10_000) or Rate(3, exposure=24.0)")
        for name in ("events", "trials", "exposure"):
            value = getattr(self, name)
            if value is None and name != "events":
                continue
            plain = _plain(value)
            if plain is None or not 0 <= plain <= LARGEST:
                raise ValueError(f"{name} of a Rate is a finite number from 0 to {LARGEST:g}, not {quoted(value)}")
            object.__setattr__(self, name, plain)
        if self.trials is not None and self.events > self.trials:
            raise ValueError(f"{self.events:g} events in {self.trials:g} trials are impossible: for counts per time give exposure=")

    @property
    def base(self) -> float:
        """Trials or exposure: what the events are counted in."""
        return self.exposure if self.trials is None else self.trials  # type: ignore[return-value] # one of them is there

    @property
    def value(self) -> float:
        """Events per trial or per unit of exposure; NaN where there was none."""
        return self.events / self.base if self.base else math.nan
