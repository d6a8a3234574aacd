"""Dark launches: each with its verdict, over all processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from progflags._console._view import Query, View, plain

if TYPE_CHECKING:
    from progflags._connect import Flags
    from progflags.darklaunch import Latency, ShadowSummary

__all__ = ["of_launch", "shadows"]


def shadows(flags: Flags, query: Query) -> View:  # noqa: ARG001
    """
    Every dark launch.

    Raises:
        StoreError: the store is out of reach.
    """
    every = [of_launch(one) for one in flags.rollouts.dark_launches()]
    worst = sorted(every, key=lambda one: ("UNSAFE", "UNDECIDED", "SAFE").index(one["verdict"]))
    return View("Dark launches", "shadows.html", {"launches": worst}, live="dark-launches")


def of_launch(one: ShadowSummary) -> dict[str, Any]:
    """What is known of one, over all processes that told of it."""
    verdict = one.verdict()
    counts = {name: dict(getattr(one, name).most_common()) for name in ("outcomes", "shed", "failures", "mismatches", "not_isolated")}
    found: dict[str, Any] = {
        "flag": one.flag,
        "function": one.function,
        "candidate": one.candidate,
        "processes": one.processes,
        "verdict": str(verdict.state),
        "rate": verdict.rate,
        "interval": list(verdict.interval),
        "compared": verdict.n,
        "needed": verdict.needed,
        **counts,
        "latency": {"control": _latency(one.control.read()), "candidate": _latency(one.shadow.read())},
        "score": {"n": one.scores, "mean": one.mean if one.scores else None},
    }
    return dict(plain(found))


def _latency(read: Latency) -> dict[str, Any]:
    return {"n": read.n, "p50": read.p50, "p95": read.p95, "p99": read.p99}
