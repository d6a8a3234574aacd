"""Rules that reach nobody, or fewer than they say: one before them has served those whom they are for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from progflags.flags import FlagModel, Rule
from progflags.flags.conditions import implies

__all__ = ["Advice", "reach"]

Path = tuple[str | int, ...]
_ALL: Final = 1_000_000
_ROLLOUT: Final = Rule("the rollout")  # which buckets by the flag's own unit and salt
_LOOKED_AT: Final = 200  # earlier rules that a rule is held against


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to reconsider: the rule's name, the place, and why."""

    rule: str
    path: Path
    message: str


def reach(flag: FlagModel, place: Path) -> Iterator[Advice]:
    """
    What there is to say about a flag's rules in their order, and about its rollout, which comes after them.

    All shares of a flag are taken from the same end of the same buckets, so that raising one moves nobody out. Two rules of
    10 % for the same people are therefore 10 % in all, and the second one reaches nobody.
    """
    for at, rule in enumerate(flag.rules):
        if not rule.enabled:
            continue
        path = (*place, "rules", at) if rule.name != "everybody" else place
        earlier = [other for other in flag.rules[:at][-_LOOKED_AT:] if _before(other, rule)]
        yield from _of_rule(rule, earlier, path)
    if flag.rollout is not None:
        yield from _of_rollout(flag, place)


def _of_rule(rule: Rule, earlier: Sequence[Rule], path: Path) -> Iterator[Advice]:
    most = _most(rule)
    if most == 0:
        yield Advice("nobody", path, f"rule {rule.name!r} serves nobody: its percent is 0")
        return
    if not earlier:
        return
    first = max(earlier, key=lambda other: _reaches(other, rule))
    taken = _reaches(first, rule)
    if taken >= _ALL:
        why = "serves everybody" if first.when is None else "has the same condition" if first.when == rule.when else "serves all of them"
        yield Advice("unreachable", path, f"rule {rule.name!r} is never reached: {first.name!r} before it {why}")
    elif taken >= most:
        message = f"rule {rule.name!r} reaches nobody: the same {_percent(most)} were served by {first.name!r} before it; {_REMEDY}"
        yield Advice("swallowed", path, message)
    elif taken > 0 and most < _ALL and (first.serve, first.split) != (rule.serve, rule.split):
        left = f"{_percent(most - taken)} and not {_percent(most)}"
        message = f"rule {rule.name!r} reaches {left}: the others were served by {first.name!r} before it; {_REMEDY}"
        yield Advice("swallowed", path, message)


_REMEDY: Final = "shares of one flag are taken from the same units: write one rule with the sum as percent, and a split"


def _of_rollout(flag: FlagModel, place: Path) -> Iterator[Advice]:
    earlier = [rule for rule in flag.rules if rule.when is None and not rule.timed and rule.enabled and _reaches(rule, _ROLLOUT) > 0]
    if not earlier:
        return
    first = max(earlier, key=_least)
    taken = _least(first)
    path = (*place, "rollout")
    if taken >= _ALL:
        yield Advice("unreachable", path, f"the rollout reaches nobody: rule {first.name!r} serves everybody")
        return
    message = f"rule {first.name!r} before it serves the first {_percent(taken)} of everybody"
    lost = [share for share in _stages(flag) if share <= taken / 10_000]
    then = f"its stages of {', '.join(f'{share:g}' for share in lost)} % reach nobody" if lost else "its shares reach so many less"
    yield Advice("swallowed", path, f"{message}: {then}; give the rule a flag of its own")


def _stages(flag: FlagModel) -> list[float]:
    stages: Any = flag.rollout.data.get("stages", ()) if flag.rollout is not None else ()
    percents = [stage.get("percent") for stage in stages]
    return [percent for percent in percents if isinstance(percent, (int, float))]


def _before(first: Rule, rule: Rule) -> bool:
    """Whether everybody whom `rule` is for is asked by `first` before, whenever `rule` is in force."""
    if not first.enabled or (first.windows and first.windows != rule.windows):
        return False
    if first.since is not None and (rule.since is None or rule.since < first.since):
        return False
    if first.until is not None and (rule.until is None or rule.until > first.until):
        return False
    return implies(rule.when, first.when)


def _reaches(first: Rule, rule: Rule) -> int:
    """How much of what `rule` buckets (ppm) `first` has before it: all or nothing, where they bucket by different things."""
    least = _least(first)
    return least if least == _ALL or (first.unit, first.salt) == (rule.unit, rule.salt) else 0


def _least(rule: Rule) -> int:
    """The smallest share (ppm) it ever has."""
    return min(rule.ramp.start, rule.ramp.end) if rule.ramp is not None else _ALL if rule.share is None else rule.share


def _most(rule: Rule) -> int:
    return max(rule.ramp.start, rule.ramp.end) if rule.ramp is not None else _ALL if rule.share is None else rule.share


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:g} %"
