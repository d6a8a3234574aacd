"""Who met which arm: noted on the request's Scope, and told once per unit and counting window."""

from __future__ import annotations

from collections.abc import Callable

from xxhash import xxh3_128_digest

from progflags._process import look
from progflags.context import innermost, scope
from progflags.events import Bus, Exposed, Exposure

__all__ = ["Exposures", "Met", "Note"]

Note = Callable[..., None]  # of whose request it is, and whom the arm was chosen by, where that is somebody else

_LONGEST = 64  # bytes of a unit; a longer one is remembered by its hash
_REMEMBERED = 50_000  # units per generation, two generations per flag: about 10 MB for the busiest flag


class Met:
    """The units a flag's arms have met since its revision began: bounded, forgetting the oldest half when full."""

    __slots__ = ("_old", "revision", "young")

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.young: set[bytes] = set()
        self._old: set[bytes] = set()

    def first(self, unit: bytes) -> bool:
        """Whether this is the first meeting (as far as the memory reaches)."""
        if len(unit) > _LONGEST:
            unit = xxh3_128_digest(unit)
        if unit in self.young or unit in self._old:
            return False
        if len(self.young) >= _REMEMBERED:
            self._old, self.young = self.young, set()
        self.young.add(unit)
        return True


class Exposures:
    """Makes the notes that compiled flags call. A flag's memory lives as long as its revision, whatever is reloaded."""

    __slots__ = ("_bus", "_met")

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._met: dict[str, Met] = {}

    def note(self, exposure: Exposure) -> Note:
        """The function to call when this arm has been served, with the key's bytes, and the unit's where arms are chosen by another."""
        met = self._met.get(exposure.flag)
        if met is None or met.revision != exposure.revision:
            met = self._met[exposure.flag] = Met(exposure.revision)
        key, tell = exposure.flag, self._bus.tell

        def noted(unit: bytes | None, assigned: bytes | None = None) -> None:
            inner = innermost()
            here = scope() if inner.over else inner
            if here is not None:
                if here.silent:
                    return
                here.exposures.setdefault(key, exposure)
                if here._context is None and here._met is None:
                    here._met = unit
                if assigned is not None:
                    here.assign(key, assigned)
            if unit is not None and unit not in met.young and met.first(unit):
                look()  # a program without requests notices here that it was forked; once per unit
                tell(Exposed(exposure, unit, assigned))

        return noted
