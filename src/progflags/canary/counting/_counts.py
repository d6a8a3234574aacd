"""Counts: what is being counted, by flag; swapped whole, so that whoever reads needs no lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from progflags._trouble import say
from progflags.canary._gate import Gate
from progflags.canary.counting._tallies import Count, summed_samples, thresholds

__all__ = ["Counts"]

_FLAGS: Final = 10_000  # flags counted at once; beyond it new ones are refused, and said so


class Counts:
    """`by_flag`: each flag's counts of the one revision that is being counted."""

    __slots__ = ("by_flag",)

    def __init__(self) -> None:
        self.by_flag: dict[str, Count] = {}

    def begin(self, flag: str, revision: int, gates: Sequence[Gate] = ()) -> None:
        """Count `flag` at `revision`, dropping older windows; the same revision again changes nothing."""
        known = self.by_flag.get(flag)
        if known is not None and known.revision == revision:
            return
        counts = {**self.by_flag}
        if known is None and len(counts) >= _FLAGS:
            # What is live comes before what somebody once recorded by hand.
            spare = next((name for name, count in counts.items() if not count.revision), None) if revision else None
            if spare is None:
                say("recorder", f"{_FLAGS} flags are counted already: {flag!r} is not")
                return
            del counts[spare]
        wanted = frozenset(name for gate in gates for name in (gate.metric, gate.sample))
        self.by_flag = {**counts, flag: Count(flag, revision, thresholds(gates), wanted, summed_samples(gates))}

    def at(self, flag: str, revision: int) -> Count | None:
        """What is counted of a flag, if it is of that revision."""
        count = self.by_flag.get(flag)
        return count if count is not None and count.revision == revision else None

    def mark(self, flag: str, revision: int, places: Mapping[str, tuple[int, ...]]) -> None:
        count = self.at(flag, revision)
        if count is not None:
            count.mark(places)

    def forget(self, flag: str) -> None:
        self.by_flag = {key: count for key, count in self.by_flag.items() if key != flag}

    def renew(self) -> None:
        """New locks and no counts: of a forked child, whose parent goes on reporting them."""
        self.by_flag = {flag: count.blank() for flag, count in self.by_flag.items()}
