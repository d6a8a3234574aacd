"""ByHand: what an application counts itself, taken if it can be so, else refused and counted as that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from progflags._names import Refusals, named, shown, wrong_with
from progflags.canary.counting._counts import Counts
from progflags.canary.counting._sketch import LARGEST
from progflags.canary.counting._tallies import Count
from progflags.canary.counting._totals import Moments, exact
from progflags.canary.counting._window import CANDIDATE, CONTROL

__all__ = ["ByHand", "many", "truth"]

_Arms = Callable[[str], Mapping[str, str] | None]
"""The arms a flag's variants are counted on, besides control and candidate themselves; None of a flag that is not known."""

_MOST: Final = 10**12  # equal observations at once: nine million times that fit into the counters
_JUDGED: Final = frozenset({CONTROL, CANDIDATE})


class ByHand:
    """Without `arms` every flag is taken, with arms that were met."""

    __slots__ = ("_arms", "_counts", "_refusals")

    def __init__(self, counts: Counts, arms: _Arms | None, refusals: Refusals) -> None:
        self._counts = counts
        self._arms = arms
        self._refusals = refusals

    def of(self, flag: object, arm: object) -> tuple[Count, str] | None:
        """
        What is being counted for `flag`, if it is one and has that arm, and the arm; by hand one may record before any rollout
        began, which is revision 0.

        A typo in an arm's name must not open an arm of its own, whose failures nobody judges; nor must the name of the variant
        that a rollout compares.
        """
        known = self._counts.by_flag.get(flag) if type(flag) is str else None
        if known is not None and known.revision and type(arm) is str and arm in known.arms:  # as nearly always
            return known, arm
        return self._looked_at(flag, arm)

    def _looked_at(self, flag: object, arm: object) -> tuple[Count, str] | None:
        name = named(flag)
        if name is None:
            self._refuse(f"an observation was not counted for the flag's name: {wrong_with(flag)}")
            return None
        count = self._counts.by_flag.get(name)
        known = None if self._arms is None else self._arms(name)
        if count is None and known is None and self._arms is not None:
            self._refuse(f"an observation was not counted: there is no flag {name!r}")
            return None
        if count is None:
            self._counts.begin(name, 0)
            count = self._counts.by_flag.get(name)
        if count is None:
            return None
        here = _arm(count, arm, known or {})
        if here is not None:
            return count, here
        self._refuse(f"an observation of {name} was not counted: it has no arm {shown(arm)}")
        with count.lock:
            count.arm(CONTROL).rejected += 1
        return None

    def reject(self, count: Count, arm: str, n: int = 1) -> None:
        """An observation of a flag that is counted, with a value that can't be."""
        self._refuse(f"an observation of {count.flag} was not counted: a value in it can't be", n)
        with count.lock:
            count.arm(arm).rejected += n

    def events(self, count: Count, arm: str, events: Mapping[str, float] | Iterable[str], unit: bytes | None, *, n: int) -> None:
        """What a unit did, under the lock of `count`; what nobody in particular did counts as a sum."""
        for name, value in _named(events):
            plain = named(name)
            if plain is None or not isinstance(value, (int, float)) or not abs(value) <= LARGEST:
                count.arm(arm).rejected += n
                self._refuse(f"an event was not counted: {wrong_with(name) or 'its value is no finite number'}", n)
            elif value and unit is not None:
                count.credit(arm, plain, unit, float(value))
            elif value:
                worth = exact(float(value))
                count.arm(arm).event(plain, Moments(n, worth * n, worth * worth * n), wanted=plain in count.wanted)

    def _refuse(self, why: str, n: int = 1) -> None:
        self._refusals.note("metrics", why, n)


def _arm(count: Count, arm: object, variants: Mapping[str, str]) -> str | None:
    if not isinstance(arm, str) or arm in _JUDGED:
        return arm if isinstance(arm, str) else None
    return variants.get(arm) or (arm if arm in count.arms else None)


def many(n: object) -> bool:
    """Whether that many equal observations can be."""
    return (type(n) is int or (isinstance(n, int) and not isinstance(n, bool))) and 1 <= n <= _MOST


def truth(error: object) -> bool:
    """Whether it says that something failed, or did not, or that nobody knows."""
    return error is None or error is True or error is False or (isinstance(error, int) and error in {0, 1})


def _named(events: Mapping[str, float] | Iterable[str]) -> list[tuple[Any, Any]]:
    """Events with their values; what is no collection of names is one name that can't be."""
    if isinstance(events, Mapping):
        return list(events.items())
    if isinstance(events, str):
        return [(events, 1.0)]
    try:
        names = list(events)
    except TypeError:
        return [(None, 1.0)]
    return [(name, 1.0) for name in dict.fromkeys(name if isinstance(name, str) else None for name in names)]
