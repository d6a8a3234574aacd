"""
Is the mismatch rate below what I can accept? Answered so that looking after every call costs nothing in honesty.

Two bets run against the boundary rate p0. One wins money when mismatches are rarer than p0, the other when they are more
frequent; neither can win in the long run if p0 is the truth, so the chance that one ever multiplies its stake by 1/α is at
most α (Ville). A verdict is a bet that has done so *now*. Checking "upper confidence bound < 0.1 %" after every call instead
says SAFE in 32 % of histories at a true rate of 0.1 %; this says it in at most 5 %, for about a quarter more samples.

Source: Ville (1939); Robbins (1970), mixtures of likelihood ratios; Ramdas et al. (2023), "Game-theoretic statistics and
safe anytime-valid inference". Checked by simulation in tests/darklaunch/record/test_verdict.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from progflags.darklaunch.compare import Mean

__all__ = ["DarkLaunchVerdict", "Safety", "judge", "judge_score"]
from progflags._printed import printable, quoted


class Safety(StrEnum):
    """
    What can be said of a rate and a bound.

        from progflags.darklaunch import Safety

        if price.dark_launch.verdict(max_mismatch=0.01).state is Safety.UNSAFE:
            flags.kill("pricing-v2", reason="answers differ", by="the nightly check")
    """

    SAFE = "SAFE"  #: the rate is below the bound
    UNSAFE = "UNSAFE"  #: it is above
    UNDECIDED = "UNDECIDED"  #: nobody can know yet


@dataclass(frozen=True, slots=True)
class DarkLaunchVerdict:
    """
    What can be said about the mismatch rate after `n` compared calls.

    `rate` is mismatches / n (None while n is 0); `interval` covers the true rate at every moment of the run at once, with
    the confidence asked for; `needed`: how many further calls would make it SAFE if all of them matched (0 when it is).
    `caveats`: what a reader should know before acting on it. Where a `score` was asked about: the mean score, and where the
    true one lies (None, None otherwise); `rate` and `interval` are then of calls that failed, for answers are scored.

        verdict = price.dark_launch.verdict(max_mismatch=0.01)
        print(verdict)
        if verdict.state != "SAFE":
            print(verdict.rate, verdict.needed, verdict.caveats)
    """

    state: Safety
    rate: float | None
    interval: tuple[float, float]
    n: int
    needed: int
    caveats: tuple[str, ...] = ()
    score: float | None = None
    score_interval: tuple[float, float] | None = None

    def __str__(self) -> str:
        if self.score_interval is not None:
            return self._scored()
        rate = "no rate yet" if self.rate is None else f"{self.rate:.4%}"
        text = f"{self.state}: {rate} of {self.n} compared calls differ (between {self.interval[0]:.4%} and {self.interval[1]:.4%})"
        return printable(
            text
            + (f"; {self.needed} more matching calls needed" if self.state is not Safety.SAFE else "")
            + "".join(f"; {caveat}" for caveat in self.caveats)
        )

    def _scored(self) -> str:
        assert self.score_interval is not None
        score = "no score yet" if self.score is None else f"the mean score is {self.score:.4g}"
        low, high = self.score_interval
        failed = "" if not self.rate else f"; {self.rate:.4%} of {self.n} calls failed"
        few = f"; {self.needed} more calls without a failure needed" if self.needed and self.state is Safety.UNDECIDED else ""
        text = f"{self.state}: {score} (between {low:.4g} and {high:.4g}){failed}{few}"
        return printable(text + "".join(f"; {caveat}" for caveat in self.caveats))

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values; an end that is not known yet is null."""
        ends = self.score_interval
        return {
            **{name: getattr(self, name) for name in ("rate", "n", "needed", "score")},
            "state": str(self.state),
            "interval": list(self.interval),
            "caveats": list(self.caveats),
            "score_interval": None if ends is None else [end if math.isfinite(end) else None for end in ends],
        }


# Alternatives as multiples of p0, equally likely beforehand. Lower ones make a spotless candidate SAFE soon, those near 1
# let one with a few mismatches get there at all; this grid needs 3.7 k spotless calls at p0 = 0.1 %, α = 5 % (one look
# would need 3.0 k).
_BELOW: Final = (0.001, 0.05, 0.15, 0.3, 0.45, 0.6)
_ABOVE: Final = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0)
_MOST: Final = 1 << 40


def judge(bad: int, n: int, *, max_mismatch: float = 0.001, confidence: float = 0.95, caveats: tuple[str, ...] = ()) -> DarkLaunchVerdict:
    """
    The verdict on `bad` mismatches in `n` compared calls. Pure: a function of the counts alone.

    Raises:
        ValueError: `max_mismatch` or `confidence` is not between 0 and 1, both excluded.
    """
    if not (0 < max_mismatch < 1 and 0 < confidence < 1):
        raise ValueError(f"max_mismatch and confidence lie between 0 and 1, not {quoted(max_mismatch)} and {quoted(confidence)}")
    bar = -math.log(1 - confidence)
    if _wealth(bad, n, max_mismatch, _BELOW) >= bar:
        state, needed = Safety.SAFE, 0
    else:
        state = Safety.UNSAFE if _wealth(bad, n, max_mismatch, _ABOVE) >= bar else Safety.UNDECIDED
        needed = _needed(bad, n, max_mismatch, bar)
    return DarkLaunchVerdict(state, bad / n if n else None, _interval(bad, n, bar), n, needed, caveats)


def judge_score(verdict: DarkLaunchVerdict, scores: Mean, *, min_score: float, margin: float, confidence: float) -> DarkLaunchVerdict:
    """
    The verdict on scores, added to `verdict`, the one on calls that failed: SAFE when both are.

    SAFE: the true mean is at least `min_score` − `margin`, at this confidence; UNSAFE: it is below. Either at every moment.

    Raises:
        ValueError: `min_score` is no finite number, or `margin` is negative.
    """
    if not math.isfinite(min_score) or not (math.isfinite(margin) and margin >= 0):
        raise ValueError(f"min_score is a number and margin zero or more, not {quoted(min_score)} and {quoted(margin)}")
    low, high = scores.interval(confidence)
    bar = min_score - margin
    scored = Safety.SAFE if scores.n and low >= bar else Safety.UNSAFE if scores.n and high < bar else Safety.UNDECIDED
    worst = max(scored, verdict.state, key=[Safety.SAFE, Safety.UNDECIDED, Safety.UNSAFE].index)
    return replace(verdict, state=worst, score=scores.mean if scores.n else None, score_interval=(low, high))


def _wealth(bad: int, n: int, p0: float, multiples: tuple[float, ...]) -> float:
    """The logarithm of the stake now: the likelihood ratio against p0, averaged over the alternatives."""
    rates = [min(multiple * p0, (1 + p0) / 2) for multiple in multiples]
    terms = [bad * math.log(q / p0) + (n - bad) * (math.log1p(-q) - math.log1p(-p0)) for q in rates]
    most = max(terms)
    return most + math.log(sum(math.exp(term - most) for term in terms) / len(terms))


def _needed(bad: int, n: int, p0: float, bar: float) -> int:
    low, high = 0, 1
    while _wealth(bad, n + high, p0, _BELOW) < bar:
        low, high = high, high * 2
        if high > _MOST:
            return _MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _wealth(bad, n + middle, p0, _BELOW) >= bar else (middle, high)
    return high


def _interval(bad: int, n: int, bar: float) -> tuple[float, float]:
    """
    Every rate a Beta(½, ½) mixture has not refuted: a confidence sequence, valid at all times at once.

    Source: Robbins (1970); the mixture's wealth is B(½+bad, ½+n−bad) / B(½, ½) against p^bad (1−p)^(n−bad).
    """
    if n == 0:
        return 0.0, 1.0
    mixture = math.lgamma(0.5 + bad) + math.lgamma(0.5 + n - bad) - math.lgamma(n + 1.0) - math.log(math.pi)

    def refuted(p: float) -> bool:
        return mixture - (bad * math.log(p) if bad else 0.0) - ((n - bad) * math.log1p(-p) if n > bad else 0.0) >= bar

    middle = min(max(bad / n, 1e-12), 1 - 1e-12)
    low = 0.0 if bad == 0 else _edge(refuted, 1e-12, middle)
    high = 1.0 if bad == n else _edge(refuted, 1 - 1e-12, middle)
    return low, high


def _edge(refuted: Callable[[float], bool], outside: float, inside: float) -> float:
    if not refuted(outside):
        return round(outside)
    for _ in range(60):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if refuted(middle) else (outside, middle)
    return outside
