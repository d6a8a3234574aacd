"""
Traffic of users, drawn by groups: an hour in minutes, both arms, many replicates at once.

Requests arrive as a Poisson process, so what a group of users does in a minute is Poisson with the sum of its users' rates; users are
drawn once per replicate and stay what they are for the hour. Arrays are (replicate, minute, group).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.stats import norm

from progflags.canary.counting._groups import GROUPS

MINUTES = 60


@dataclass(frozen=True)
class Crowd:
    """
    Who asks. `users` 0: endlessly many, all alike.

    `activity` and `own`: standard deviations of the logs of how often a user asks and of how often it fails. `bad` of the users fail
    `failing` of their calls, the rest `others`; `burst` events come together; `crawler` is the part of the traffic that is one user's,
    whose calls fail `crawls` times as often. `speed`: standard deviations of log latency between a user's requests and between users;
    events are then what exceeds the p99. `stuck`: one user sends half a request a second for ten minutes and all of them fail (True:
    in whatever arm it is; "candidate": always there).
    """

    users: int = 0
    activity: float = 1.0
    own: float = 0.0
    bad: float = 0.0
    failing: float = 0.5
    others: float = 0.005
    burst: int = 1
    crawler: float = 0.0
    crawls: float = 5.0
    speed: tuple[float, float] | None = None
    stuck: object = False


@dataclass(frozen=True)
class Traffic:
    """
    A service of `rps` requests a second of which `rate` are events, the candidate's part of them `share`. The candidate's rate is
    `factor` times what it should be, from minute `onset` on; `more`: a further part of its users fails half of their calls;
    `slower`: part of its requests and their factor. `tide`: both arms swing; `shock`: each arm's rate jumps every minute by a factor of
    that log standard deviation; `ramp`: 0.1 of the traffic in the first half and 1.9 in the second.
    """

    rate: float = 0.005
    rps: float = 20
    share: float = 0.5
    factor: float = 1.0
    onset: int = 0
    more: float = 0.0
    slower: tuple[float, float] | None = None
    always: bool = False
    tide: bool = False
    shock: float = 0.0
    ramp: bool = False
    crowd: Crowd = field(default_factory=Crowd)


def draw(rng, traffic: Traffic, reps: int):
    """(x_c, n_c, x_b, n_b), each (replicate, minute, group), of what came in each minute."""
    rates = _crowd(rng, traffic, reps) if traffic.crowd.users else _alike(traffic, reps)
    when = np.ones(MINUTES)
    if traffic.tide:
        when = np.exp(0.5 * np.sin(np.linspace(0, 2 * np.pi, MINUTES)))
    if traffic.ramp:
        when = np.where(np.arange(MINUTES) < MINUTES // 2, 0.1, 1.9)
    found = []
    for arm in ("c", "b"):
        good, bad = (part[:, None, :] * 60 for part in rates[arm])
        late = when if arm == "b" or not traffic.onset else np.where(np.arange(MINUTES) < traffic.onset, when / traffic.factor, when)
        volume = when if traffic.ramp else np.ones(MINUTES)
        jump = np.exp(rng.normal(0, traffic.shock, (reps, MINUTES))) if traffic.shock else np.ones((1, MINUTES))
        x = traffic.crowd.burst * rng.poisson(bad * (late * jump)[..., None] / traffic.crowd.burst)
        n = x + rng.poisson(np.broadcast_to(good * volume[None, :, None], x.shape))
        found += [x, n]
    x_c, n_c, x_b, n_b = found
    if traffic.crowd.stuck:
        _stuck(rng, traffic, (x_c, n_c), (x_b, n_b))
    return x_c, n_c, x_b, n_b


def _alike(traffic, reps):
    found = {}
    for arm, part, rate in (("c", traffic.share, traffic.rate * traffic.factor), ("b", 1 - traffic.share, traffic.rate)):
        each = np.full((reps, GROUPS), traffic.rps * part / GROUPS)
        found[arm] = (each * (1 - rate), each * rate)
    return found


def _crowd(rng, traffic, reps):
    crowd, users = traffic.crowd, traffic.crowd.users
    asks = np.exp(rng.normal(0, crowd.activity, (reps, users))) if crowd.activity else np.ones((reps, users))
    asks *= traffic.rps * (1 - crowd.crawler) / asks.sum(axis=1, keepdims=True)
    if crowd.crawler:
        asks = np.concatenate([asks, np.full((reps, 1), traffic.rps * crowd.crawler)], axis=1)
    p = _failing(rng, traffic, asks.shape)
    mine, group = rng.random(asks.shape) < traffic.share, rng.integers(0, GROUPS, asks.shape)
    place = group + GROUPS * np.arange(reps)[:, None]
    found = {}
    for arm, here, chance in (("c", mine, _worse(rng, traffic, p)), ("b", ~mine, p)):
        good, bad = (
            np.bincount(place.ravel(), (asks * here * part).ravel(), reps * GROUPS).reshape(reps, GROUPS) for part in (1 - chance, chance)
        )
        found[arm] = (good, bad)
    return found


def _failing(rng, traffic, shape):
    """How often each user's calls are events."""
    crowd = traffic.crowd
    if crowd.speed:
        within, between = crowd.speed
        bar = norm.ppf(0.99) * np.hypot(within, between)
        return norm.sf((bar - rng.normal(0, between, shape)) / within)
    if crowd.bad:
        return np.where(rng.random(shape) < crowd.bad, crowd.failing, crowd.others)
    p = np.full(shape, traffic.rate)
    if crowd.own:
        p = p * np.exp(rng.normal(0, crowd.own, shape) - crowd.own**2 / 2)
    if crowd.crawler:
        p[:, -1] *= crowd.crawls
    return np.minimum(p, 1.0)


def _worse(rng, traffic, p):
    if traffic.always:
        return np.full(p.shape, 1.0)
    if traffic.more:
        return np.where(rng.random(p.shape) < traffic.more, np.maximum(p, 0.5), p)
    if traffic.slower:
        part, factor = traffic.slower
        within, _ = traffic.crowd.speed
        slow = norm.sf(norm.isf(np.clip(p, 1e-12, 1 - 1e-12)) - np.log(factor) / within)
        return (1 - part) * p + part * slow
    return np.minimum(p * traffic.factor, 1.0)


def _stuck(rng, traffic, candidate, control):
    """One user that fails for ten minutes, half a request a second."""
    for row in range(len(control[0])):
        mine = traffic.crowd.stuck == "candidate" or rng.random() < traffic.share
        x, n = candidate if mine else control
        group, start = rng.integers(GROUPS), rng.integers(0, MINUTES - 10)
        calls = rng.poisson(30, 10)
        x[row, start : start + 10, group] += calls
        n[row, start : start + 10, group] += calls
