"""One e-process as it runs: its bets' wealth, the restarts that catch a late onset, and the most it ever had."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from operator import sub
from typing import Any, Final

from progflags.canary.sequential._sequential import Logs, fresh, log_mean

__all__ = ["FIRST", "Track"]

# The first copy keeps 0.9 of the stake: a tenth of a nat later for a regression that was there from the start, in exchange for
# one that begins at minute 30 being met by bets that have not yet lost half an hour. The k-th restart gets
# 0.1 / (k (k+1)), which sums to 0.1 over any number of restarts, so the mixture stays an e-process for ever.
FIRST: Final = 0.9
_KEPT: Final = 2  # restarts that go on betting; the stake of an older one stays as the cash it has become


@dataclass(frozen=True, slots=True)
class Track:
    """
    A mixture e-process: `logs` are the log-wealths of the bets since the start, `best` the log of the most it ever had.

    `copies` are (stake, log-wealths at the restart): a copy's wealth is what its bets made since. Without restarts the
    evidence is the plain mixture (`restarts` is -1): whether there will be any is settled before the first batch, or the
    wealth would jump when the first one starts. Immutable; JSON both ways keeps every bit.

    Source: sums of delayed e-processes, Shin, Ramdas & Rinaldo (2024); Ville's inequality as in `_sequential`.
    """

    logs: Logs
    best: float = 0.0
    now: float = 0.0
    batches: int = 0
    restarts: int = -1
    copies: tuple[tuple[float, Logs], ...] = ()
    cash: float = 0.0

    @classmethod
    def start(cls, points: int, *, restarts: bool = False) -> Track:
        return cls(fresh(points), restarts=0 if restarts else -1)

    def add(self, logs: Logs) -> Track:
        """The track after one batch's bets."""
        if logs is self.logs:
            return self
        now = self._wealth(logs)
        return Track(logs, max(self.best, now), now, self.batches + 1, self.restarts, self.copies, self.cash)

    def into(self, points: int) -> Track:
        """The same wealth in the hands of another test, spread evenly over its bets; without restarts, for their stakes are in it."""
        return replace(self, logs=(self.now,) * points, restarts=-1, copies=(), cash=0.0)

    def say(self, now: float) -> Track:
        """The track of a test that computes its evidence from totals: note where it stands."""
        return Track(self.logs, max(self.best, now), now, self.batches + 1, self.restarts, self.copies, self.cash)

    def mutter(self, now: float) -> Track:
        """Likewise of one that nobody may act on: the most it ever had stays."""
        return Track(self.logs, self.best, now, self.batches + 1, self.restarts, self.copies, self.cash)

    def restart(self) -> Track:
        """Send one more copy on its way, from wealth 1: for what may begin only now."""
        if self.restarts < 0 or not self.batches or not self.logs:
            return self
        number = self.restarts + 1
        stake = (1 - FIRST) / (number * (number + 1))
        copies, cash = (*self.copies, (stake, self.logs)), self.cash
        while len(copies) > _KEPT:
            (old, since), *rest = copies
            cash, copies = cash + old * math.exp(min(_gain(self.logs, since), 700.0)), tuple(rest)
        return replace(self, restarts=number, copies=copies, cash=cash)

    def _wealth(self, logs: Logs) -> float:
        if self.restarts < 0:
            return log_mean(logs)
        waiting = (1 - FIRST) / (self.restarts + 1)  # the stakes of restarts yet to come
        parts = [math.log(FIRST) + log_mean(logs), math.log(waiting + self.cash)]
        parts += [math.log(stake) + _gain(logs, since) for stake, since in self.copies]
        peak = max(parts)
        return peak + math.log(sum(math.exp(part - peak) for part in parts))

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = {"l": _pack(self.logs), "m": [self.best, self.now, self.batches]}
        if self.restarts >= 0:
            body["r"] = [self.restarts, self.cash, *([stake, _pack(logs)] for stake, logs in self.copies)]
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Track:
        best, now, batches = body["m"]
        restarts, cash, *copies = body.get("r", (-1, 0.0))
        return cls(
            _unpack(body["l"]),
            float(best),
            float(now),
            int(batches),
            int(restarts),
            tuple((float(stake), _unpack(logs)) for stake, logs in copies),
            float(cash),
        )


def _gain(logs: Logs, since: Logs) -> float:
    return log_mean(tuple(map(sub, logs, since)))


def _pack(logs: Logs) -> str:
    return base64.b64encode(struct.pack(f"<{len(logs)}d", *logs)).decode()


def _unpack(text: str) -> Logs:
    raw = base64.b64decode(text)
    return struct.unpack(f"<{len(raw) // 8}d", raw)
