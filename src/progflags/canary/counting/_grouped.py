"""An arm's columns in the making: observations counted by group of users, many at once."""

from __future__ import annotations

import os
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress, repeat
from operator import gt
from typing import Final
from zlib import crc32

from progflags.canary.counting._columns import beyond, credited, summed, timed, worth
from progflags.canary.counting._groups import ANONYMOUS, GROUPS, Column, group_of
from progflags.canary.counting._sketch import EDGES, UNIT
from progflags.canary.counting._totals import ERRORS, TRIALS

__all__ = ["Crowd", "Grouped", "Watched"]

_HERE: Final = os.urandom(8)  # with the process's number: no two workers have a slice of time in common
_SLOT: Final = 10  # seconds: requests whose unit is not known are one cluster for so long
_MANY: Final = 256  # observations from which sixty-four searches are quicker than one look at each

# The group is the low six bits of a hash: every fourth byte of many hashes side by side, without the upper two bits.
_LOW: Final = slice(0 if sys.byteorder == "little" else 3, None, 4)
_GROUP: Final = bytes(byte & (GROUPS - 1) for byte in range(256))


class Watched:
    """What is counted by group besides trials and errors: a sample's values beyond `places` of EDGES, and sums of `means`."""

    __slots__ = ("means", "places")

    def __init__(self, places: Mapping[str, tuple[int, ...]], means: frozenset[str]) -> None:
        self.places = places
        self.means = means


class Crowd:
    """Whose many observations are: the group of each, and how many of them each group has, which is counted once."""

    __slots__ = ("_counts", "groups")

    def __init__(self, groups: bytes) -> None:
        self.groups = groups
        self._counts: Sequence[tuple[int, int]] = ()

    @property
    def counts(self) -> Sequence[tuple[int, int]]:
        """(group, how many)."""
        if not self._counts:
            few = len(self.groups) < _MANY
            self._counts = tuple(Counter(self.groups).items() if few else enumerate(map(self.groups.count, range(GROUPS))))
        return self._counts

    def only(self, kept: Iterable[bool]) -> Crowd:
        """Of some of the observations alone."""
        return Crowd(bytes(compress(self.groups, kept)))


class Grouped:
    """One arm's columns. Not thread-safe: its owner holds the lock."""

    __slots__ = ("_slot", "cells", "salt")

    def __init__(self) -> None:
        self.salt = b"%s %d " % (_HERE, os.getpid())
        self._slot = (-1, b"")  # the last one, by number
        self.cells: dict[str, list[int]] = {}

    def column(self, name: str) -> list[int]:
        cells = self.cells.get(name)
        if cells is None:
            cells = self.cells[name] = [0] * GROUPS
        return cells

    def requests(self, failed: bool | None, units: Sequence[bytes | None], ends: Sequence[float]) -> Crowd:
        """Count requests, and return whose they are."""
        try:
            hashes = array("I", map(crc32, units))  # type: ignore[arg-type] # a unit that is not known is no bytes, and raises
        except TypeError:
            hashes = array("I", map(crc32, self._known(failed, units, ends)))
        crowd = Crowd(hashes.tobytes()[_LOW].translate(_GROUP))
        if failed is not None:
            self._count(crowd, TRIALS)
            if failed:
                self._count(crowd, ERRORS)
        return crowd

    def _known(self, failed: bool | None, units: Sequence[bytes | None], ends: Sequence[float]) -> Iterable[bytes]:
        """A slice of time of this worker in place of each unit that is not known."""
        unknown = units.count(None)
        if failed is not None:
            self.anonymous(unknown)
        if unknown == len(units) and ends[0] // _SLOT == ends[-1] // _SLOT:
            return repeat(self.slot(ends[0]), unknown)
        return [self.slot(end) if unit is None else unit for unit, end in zip(units, ends, strict=True)]

    def anonymous(self, n: int) -> None:
        self.cells.setdefault(ANONYMOUS, [0])[0] += n

    def slot(self, now: float) -> bytes:
        number = int(now // _SLOT)
        if number != self._slot[0]:
            self._slot = (number, b"%s%d" % (self.salt, number))
        return self._slot[1]

    def _count(self, crowd: Crowd, name: str) -> None:
        cells = self.column(name)
        for group, n in crowd.counts:
            cells[group] += n

    def values(self, sample: str, values: Sequence[float], exact: Sequence[int], crowd: Crowd, watched: Watched) -> None:
        """Count a sample's values, as they are and in UNIT, as far as anybody asks."""
        if sample in watched.means:
            n, total = summed(sample)
            self._count(crowd, n)
            cells = self.column(total)
            for group, value in zip(crowd.groups, exact, strict=True):
                cells[group] += value
        if places := watched.places.get(sample):
            self._count(crowd, timed(sample))
            for place in places:  # ascending: what is beyond one is looked for among what was beyond the last
                above = list(map(gt, values, repeat(EDGES[place])))
                values, crowd = list(compress(values, above)), crowd.only(above)
                if not values:
                    break
                self._count(crowd, beyond(sample, place))

    def many(self, failed: bool | None, unit: bytes | None, n: int, now: float) -> int:
        """Count `n` equal requests, and return their group."""
        group = group_of(unit if unit is not None else self.slot(now))
        if failed is not None:
            if unit is None:
                self.anonymous(n)
            self.column(TRIALS)[group] += n
            if failed:
                self.column(ERRORS)[group] += n
        return group

    def value(self, sample: str, value: float, group: int, n: int, watched: Watched) -> None:
        """Count `n` equal values of a sample."""
        if places := watched.places.get(sample):
            self.column(timed(sample))[group] += n
            for place in places:
                if value > EDGES[place]:
                    self.column(beyond(sample, place))[group] += n
        if sample in watched.means:
            count, total = summed(sample)
            self.column(count)[group] += n
            self.column(total)[group] += n * int(value * UNIT)

    def event(self, name: str, group: int, n: int, value: int) -> None:
        """Count that a unit had an event: `n` is 1 for its first, `value` what it is worth in UNIT."""
        if n:
            self.column(credited(name))[group] += n
        if value:
            self.column(worth(name))[group] += value

    def columns(self) -> dict[str, Column]:
        return {name: tuple(cells) for name, cells in self.cells.items()}
