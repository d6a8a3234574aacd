"""Live → Live: the verbs that change a flag while it serves. Each keeps everything it is not about."""

from __future__ import annotations

from dataclasses import replace

from progflags._printed import quoted
from progflags.flags.serving._live import Killed, Live

__all__ = ["kill", "set_share", "unkill"]


def set_share(live: Live, ppm: int | None) -> Live:
    """
    Give the candidate `ppm` of the traffic (0 … 1_000_000; None: no rollout).

    Raises:
        ValueError: outside that range.
    """
    if ppm is not None and not 0 <= ppm <= 1_000_000:
        raise ValueError(f"a share is 0 … 1,000,000 millionths of the traffic, not {quoted(ppm)}")
    return replace(live, share=ppm)


def kill(live: Live, *, reason: str = "", by: str | None = None, at: float = 0.0) -> Live:
    """Everybody gets `safe`, whatever else happens. Killing a dead flag keeps who did it first."""
    return live if live.killed else replace(live, killed=Killed(reason, by, at))


def unkill(live: Live) -> Live:
    """The flag answers by its rules and its share again, exactly as before."""
    return replace(live, killed=None)
