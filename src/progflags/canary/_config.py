"""How a canary is to be judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from progflags._printed import quoted
from progflags.canary._gate import Gate

__all__ = ["METHODS", "CanaryConfig"]

METHODS: Final = ("sequential", "fixed", "kayenta")


@dataclass(frozen=True, slots=True, init=False)
class CanaryConfig:
    """
    Gates and how to hold data against them.

    `method`: "sequential" may be looked at as often as one likes; "fixed" is one look with the tests of the literature
    (Mann-Whitney, Fisher, Welch); "kayenta" gives the labels and scores of Spinnaker's judge. `alpha` is the probability
    of rolling back a healthy candidate, divided over the critical gates by weight. `min_samples` are asked of each side
    before a gate may pass. `alternative` "two-sided" takes an improvement beyond the bound for a finding too. `look` True
    treats the data's end as the one planned end: most of alpha then goes to an exact look there.

        gates = [pf.Gate("error_rate", max_increase=0.25), {"metric": "p99_latency", "max": 0.5}]
        config = pf.CanaryConfig(gates=gates, method="fixed", alpha=0.01, min_samples=500)
        report = pf.CanaryAnalyzer(config).analyze(baseline, canary)

    Raises:
        ValueError: no gates, or an option that isn't one.
    """

    gates: tuple[Gate, ...]
    method: str
    alpha: float
    min_samples: int
    alternative: str
    look: bool

    def __init__(
        self,
        gates: Iterable[Gate | Mapping[str, Any]],
        method: str = "sequential",
        alpha: float = 0.05,
        min_samples: int = 100,
        alternative: str = "worse",
        *,
        look: bool = False,
    ) -> None:
        whole = tuple(gate if isinstance(gate, Gate) else Gate.of(gate) for gate in gates)
        if not whole:
            raise ValueError("a canary needs a gate: pf.Gate('error_rate', max_increase=0.10), for example")
        if method not in METHODS:
            raise ValueError(f"method is one of {', '.join(map(repr, METHODS))}, not {quoted(method)}")
        if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 < alpha < 1:
            raise ValueError(f"alpha is a probability between 0 and 1, not {quoted(alpha)}")
        if isinstance(min_samples, bool) or not isinstance(min_samples, int) or min_samples < 0:
            raise ValueError(f"min_samples is a whole number of 0 or more, not {quoted(min_samples)}")
        if alternative not in {"worse", "two-sided"}:
            raise ValueError(f"alternative is 'worse' or 'two-sided', not {quoted(alternative)}")
        for name, value in (
            ("gates", whole),
            ("method", method),
            ("alpha", float(alpha)),
            ("min_samples", min_samples),
            ("alternative", alternative),
            ("look", bool(look)),
        ):
            object.__setattr__(self, name, value)
