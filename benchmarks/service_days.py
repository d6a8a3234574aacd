"""Made-up curves of three services by hour, relative to their mean: an office's, a shop's of evenings, an interface's that never sleeps."""

from __future__ import annotations

import math

_OFFICE = [0.1] * 6 + [0.4, 1.0, 2.0, 2.4, 2.3, 2.0, 1.7, 2.1, 2.3, 2.2, 1.8, 1.2] + [0.7, 0.5, 0.3, 0.2, 0.1, 0.1]
_SHOP = [0.4, 0.2, 0.1, 0.1, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.1, 1.2, 1.3, 1.2, 1.1, 1.1, 1.2, 1.4, 1.8, 2.2, 2.4, 2.1, 1.4, 0.8]
_INTERFACE = [1.0 + 0.2 * math.sin(hour / 24 * 2 * math.pi) for hour in range(24)]

#: Traffic by hour, the weekend's factor on it, and how far the error rate and the latency go with it.
CURVES = {"office": (_OFFICE, 0.2, 0.15), "shop": (_SHOP, 1.5, 0.1), "interface": (_INTERFACE, 0.5, 0.05)}


def at(name: str, now: float) -> tuple[float, float, float]:
    """At wall time `now`, as factors: of the traffic, of the error rate, of latencies."""
    curve, weekend, sways = CURVES[name]
    day, hour = int(now // 86_400) % 7, int(now % 86_400 // 3600)
    load = curve[hour] * (weekend if day >= 5 else 1.0)
    return load, 1 + sways * (load - 1), 1 + sways * (load - 1) / 2
