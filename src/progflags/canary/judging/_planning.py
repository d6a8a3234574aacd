"""Before anything starts: what a stage will be able to see at its traffic, and what a proof will cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from progflags._printed import quoted
from progflags.canary._gate import ANY, Gate
from progflags.canary._words import Kind
from progflags.canary.sequential import LEVEL, RATIO, Claim, claims, fresh, level, log_mean, ratio

__all__ = ["Prospect", "prospects", "requests_to_detect", "requests_to_prove", "smallest_detectable"]

_POWER: Final = 0.8416212335729143  # standard normal quantile of 80 %
_LARGEST: Final = 50.0
_MOST: Final = 1e12  # requests: beyond it the answer is "never"


def requests_to_detect(rate: float, factor: float, *, share: float = 0.5, tolerated: float = 0.0, alpha: float = 0.05) -> float:
    """
    Requests on the candidate until a rate of `rate` times `factor` is caught with 80 % power, looked at all the time.

    `share` of the traffic is the candidate's; an increase up to `tolerated` is no alarm. Infinity: never. `factor` below 1
    asks for a decrease (`tolerated` is then the decrease that is no alarm).

    By the judge's own ratio test, on the counts an unlucky fifth of such candidates would show.

    Raises:
        ValueError: a rate or share that is not between 0 and 1, or a factor within what is tolerated.
    """
    up = factor > 1
    null = 1 + tolerated if up else 1 - tolerated
    if not 0 < rate < 1 or not 0 < share < 1 or not 0 < alpha < 1:
        raise ValueError(f"rate {quoted(rate)}, share {quoted(share)} and alpha {quoted(alpha)} lie between 0 and 1")
    if (factor <= null) if up else (factor >= null or factor <= 0):
        raise ValueError(f"a factor of {quoted(factor)} lies within what is tolerated ({quoted(null)})")
    bad, others = min(1.0, rate * factor), (1 - share) / share

    def caught(n: float) -> bool:
        spread = _POWER * math.sqrt(n * bad * (1 - bad))
        x = n * bad - spread if up else n * bad + spread
        return x > 0 and log_mean(ratio(fresh(RATIO), null, up, x, n, rate * n * others, n * others)) >= -math.log(alpha)

    return _first(caught)


def smallest_detectable(requests: float, rate: float, *, share: float = 0.5, tolerated: float = 0.0, alpha: float = 0.05) -> float | None:
    """
    The smallest factor on `rate` that `requests` on the candidate catch with 80 % power; None: not even ×50.

        factor = smallest_detectable(20_000, 0.01)
        print(f"errors of {0.01 * factor:.2%} would be seen")
    """
    low, high = 1 + tolerated, min(_LARGEST, 1 / rate)
    if high <= low or requests_to_detect(rate, high, share=share, tolerated=tolerated, alpha=alpha) > requests:
        return None
    for _ in range(20):
        middle = math.sqrt(low * high)
        enough = requests_to_detect(rate, middle, share=share, tolerated=tolerated, alpha=alpha) <= requests
        low, high = (low, middle) if enough else (middle, high)
    return high


def requests_to_prove(limit: float, rate: float = 0.0, *, alpha: float = 0.05) -> float:
    """
    Requests on the candidate until "the rate is below `limit`" is proven, when it truly is `rate`; infinity if it isn't below.

    0.1 % without an error takes 4,519; at half of the limit it takes several times that.

        round(requests_to_prove(0.001))                         # 4519
        requests_to_prove(0.001, 0.002)                         # inf: it isn't below
    """
    if not 0 < limit < 1 or rate >= limit:
        return math.inf
    return _first(lambda n: log_mean(level(fresh(LEVEL), limit, False, rate * n, n)) >= -math.log(alpha))


def _first(enough: Callable[[float], bool]) -> float:
    """The smallest whole number that is enough; infinity beyond all traffic."""
    high = 1.0
    while not enough(high):
        high *= 2
        if high > _MOST:
            return math.inf
    low = high / 2
    while high - low > max(0.5, 1e-6 * high):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return math.ceil(high - 1e-9)


@dataclass(frozen=True, slots=True)
class Prospect:
    """
    What one bound of one gate will be able to say in a stage of `requests` on the candidate.

    `detects`: the smallest factor it would catch (None: not even ×50, or not known beforehand). `needs`: requests until what
    its policy asks for can be said. `decidable`: whether the stage has them. `text` says it in one sentence.
    """

    gate: str
    detects: float | None
    needs: float
    decidable: bool
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        needs = self.needs if math.isfinite(self.needs) else None
        return {"gate": self.gate, "detects": self.detects, "needs": needs, "decidable": self.decidable, "text": self.text}


def prospects(gates: tuple[Gate, ...], requests: float, *, share: float, rate: float = 0.01, alpha: float = 0.05) -> tuple[Prospect, ...]:
    """
    The prospects of a stage's gates. `requests`: on the candidate within the bake; `rate`: what the control's rates are like.

    For quantiles the "events" are the requests beyond the quantile, and a factor on them is not a factor on the latency.
    """
    known = {Kind.RATE, Kind.COUNT, Kind.QUANTILE}
    every = [(claim, len(claims(gate))) for gate in gates if gate.metric != ANY for claim in claims(gate) if claim.kind in known]
    weight = sum(gate.weight for gate in gates if gate.critical) or 1.0
    found = []
    for claim, shared in every:
        part = alpha * (claim.gate.weight / weight if claim.gate.critical else 1.0) / shared
        found.append(_relative(claim, requests, share, rate, part) if claim.relative else _absolute(claim, requests, rate, part))
    return tuple(found)


def _relative(claim: Claim, requests: float, share: float, rate: float, alpha: float) -> Prospect:
    tail = 1 - (claim.gate.quantile or 0.5)
    base, tolerated = (tail, 0.0) if claim.kind == Kind.QUANTILE else (rate, claim.limit)
    asked = claim.gate.detect(up=claim.up)
    factor = max(1 + asked, 1 + tolerated + 1e-3) if claim.up else min(1 - asked, 1 - tolerated - 1e-3)
    what = "requests beyond the quantile" if claim.kind == Kind.QUANTILE else claim.gate.metric
    needs = requests_to_detect(base, factor, share=share, tolerated=tolerated, alpha=alpha) if base * factor < 1 else math.inf
    seen = smallest_detectable(requests, base, share=share, tolerated=tolerated, alpha=alpha) if claim.up else None
    able = needs <= requests
    can = f"can see {what} ×{seen:.2g}" if seen else f"can see no {what} below ×{_LARGEST:g}" if claim.up else f"watches {what}"
    text = f"{claim.gate.metric} {claim.bound}: {can}" + ("" if able else f"; to see ×{factor:.3g} takes {_count(needs)} requests")
    return Prospect(claim.name, seen, needs, able, text)


def _absolute(claim: Claim, requests: float, rate: float, alpha: float) -> Prospect:
    limit = 1 - (claim.gate.quantile or 0.5) if claim.kind == Kind.QUANTILE else claim.limit
    if not claim.up or not 0 < limit < 1:
        return Prospect(claim.name, None, 0.0, True, f"{claim.gate.metric} {claim.bound}: watched")
    asked = 1 + claim.gate.detect(up=True)

    def caught(n: float) -> bool:
        bad = min(1.0, limit * asked)
        x = n * bad - _POWER * math.sqrt(n * bad * (1 - bad))
        return x > 0 and log_mean(level(fresh(LEVEL), limit, True, x, n)) >= -math.log(alpha)

    proof = requests_to_prove(limit, min(rate, limit / 2), alpha=alpha)
    needs = proof if claim.gate.policy == "proven" else _first(caught)
    able = needs <= requests
    what = f"{claim.gate.metric} {claim.bound} {claim.limit:g}"
    text = f"{what}: ×{asked:.3g} of it is seen after {_count(_first(caught))} requests, compliance proven after {_count(proof)}"
    return Prospect(claim.name, None, needs, able, text + ("" if able else f"; this stage has {_count(requests)}"))


def _count(n: float) -> str:
    return "endlessly many" if math.isinf(n) else f"{n:,.0f}"
