"""A rollout, told line by line as it happens."""

from __future__ import annotations

import time
from typing import Any

from progflags.canary.judging import odds
from progflags.cli._say import tell_all

__all__ = ["Timeline"]

_ARM = f"{'calls':>7}{'errors':>7}{'p99':>8}"
_HEAD = f"""\
HOLD: not enough is known yet · PASS: no worse than is tolerated · ROLLBACK: worse, and hardly by chance
{"":>6}  {"":<12} {"":>6}  {"control":>22}   {"candidate":>22}
{"":>6}  {"state":<12} {"share":>6}  {_ARM}   {_ARM}   {"by chance":>12}  verdict"""
_EVERY = 1.0  # seconds between two lines while nothing changes


class Timeline:
    """One line at every change of state or share, and one a second in between: both arms, the odds, the verdict."""

    def __init__(self, title: str) -> None:
        self._began = time.monotonic()
        self._last: tuple[Any, ...] = ()
        self._printed = 0.0
        tell_all(f"── {title} {'─' * max(4, 76 - len(title))}\n{_HEAD}")

    def show(self, status: Any) -> None:
        """Print a line if there is something new to say."""
        here = (status.standing, status.percent)
        now = time.monotonic()
        if here == self._last and now - self._printed < _EVERY:
            return
        self._last, self._printed = here, now
        tell_all(self._line(status, now - self._began), flush=True)

    def end(self, status: Any) -> None:
        """Say how it ended, in the words of its last transition."""
        last = status.history[-1] if status.history else None
        tell_all(f"   → {status.standing} at {status.percent:g} %: {last.reason if last else 'nothing happened'}\n", flush=True)

    @staticmethod
    def _line(status: Any, elapsed: float) -> str:
        found = {finding["metric"]: finding for finding in status.findings}
        rate, tail = found.get("error_rate"), found.get("p99_latency")
        evidence = max((one.get("evidence_max") or 0.0 for one in found.values()), default=0.0)  # the most there was: that decides
        chance = odds(evidence) if evidence else "–"
        return (
            f"{elapsed:5.1f}s  {status.standing:<12} {status.percent:>4g} %  {_arm(status, rate, tail, 'control'):>22}   "
            f"{_arm(status, rate, tail, 'candidate'):>22}   {chance:>12}  {status.verdict or '–'}"
        )


def _arm(status: Any, rate: Any, tail: Any, arm: str) -> str:
    """Requests, error rate and p99 of one arm: `1,234 0.0% 23 ms`."""
    side = "baseline" if arm == "control" else "canary"
    errors = None if rate is None else rate[side]
    slow = None if tail is None else tail[side]
    share, time = "–" if errors is None else f"{errors:.1%}", "–" if slow is None else f"{slow * 1000:.0f} ms"
    return f"{status.samples.get(arm, 0):>6,} {share:>6} {time:>7}"
