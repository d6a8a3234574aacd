"""
The shapes a compiled flag is made of: small closures over constants.

Each is called with (the targeting key's bytes, the attributes) and returns the answer: the value itself, or the
Evaluation, depending on what it was built for. The general shapes compose; the ones called `…_ends` are the commonest
compositions with their ends inlined, because a call costs 20 ns of about 100. Generated source (`exec`) would be within
8 % of these, thirty times dearer to build, and could not be stepped through.

One file, though long: a dozen closures, none of which is much without the others.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from progflags.context import unit_bytes
from progflags.flags._bucket import PPM, digest
from progflags.flags._evaluation import Evaluation, Reason
from progflags.flags._hours import Hours
from progflags.flags._model import During, Ramp, Unit
from progflags.flags.conditions import KEY, Check, Texts, follow
from progflags.flags.serving._exposures import Note

__all__ = [
    "Deferred",
    "End",
    "Fn",
    "Hashed",
    "KeyMissing",
    "attribute",
    "chosen",
    "decided",
    "deferred",
    "during",
    "fn",
    "guarded",
    "having",
    "in_hours",
    "in_order",
    "missed",
    "out",
    "picked",
    "plain",
    "ramped",
    "share",
    "slot",
    "split",
    "texts_share",
    "unit_of",
]

Attributes = Mapping[str, Any]
Fn = Callable[[bytes | None, Attributes], Any]
UnitOf = Callable[[bytes | None, Attributes], bytes]


class Hashed(NamedTuple):
    """What is hashed, None for the targeting key, and with which seed."""

    unit: UnitOf | None
    seed: int


class KeyMissing(LookupError):  # noqa: N818 - a signal inside the room
    """The unit a flag buckets by is not in the context, or can't be bucketed."""


class Deferred(Exception):  # noqa: N818 - a signal inside the room
    """A rule leaves the answer to the caller; `reason` is why that rule."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(frozen=True, slots=True)
class End:
    """An answer: count it, note the exposure if there is one to note, give it. `unit`: whom arms are chosen by, if not by the key."""

    counter: Iterator[int]
    answer: Any
    note: Note | None = None
    unit: UnitOf | None = None


Next = End | Fn


def fn(step: Next) -> Fn:
    """A step as a function."""
    if not isinstance(step, End):
        return step
    counter, answer, note = step.counter, step.answer, step.note
    if note is None:

        def end(_: bytes | None, __: Attributes) -> Any:
            next(counter)
            return answer

        return end

    if (unit := step.unit) is not None:

        def noted_by(kb: bytes | None, attributes: Attributes) -> Any:
            next(counter)
            try:
                assigned = unit(kb, attributes)
            except KeyMissing:  # a rule without a share got here, which needs nobody
                assigned = None
            note(kb, assigned)
            return answer

        return noted_by

    def noted(kb: bytes | None, _: Attributes) -> Any:
        next(counter)
        note(kb)
        return answer

    return noted


def plain(*steps: Next) -> bool:
    """Whether all of them are ends that note nothing, so that they can be inlined."""
    return all(isinstance(step, End) and step.note is None for step in steps)


MISSED: Final = object()
OUT: Final = object()


def missed(_: bytes | None, __: Attributes) -> Any:
    """A rule that is not for this context: the next one, please."""
    return MISSED


def out(_: bytes | None, __: Attributes) -> Any:
    """A rule for this context, which is outside its share: the next one, please, but a hash has had its say."""
    return OUT


def deferred(reason: Reason, noted: Fn | None = None) -> Fn:
    """The caller's default: a way out of the fast path, so that nobody else pays for it. `noted` is called first, if anybody wants it."""

    def defer(kb: bytes | None, attributes: Attributes) -> Any:
        if noted is not None:
            noted(kb, attributes)
        raise Deferred(reason)

    return defer


def decided(decide: Fn) -> Fn:
    """A prerequisite that may leave its answer to the caller: who asks for it here has none, so it is no variant."""

    def variant(kb: bytes | None, attributes: Attributes) -> Any:
        try:
            return decide(kb, attributes)
        except Deferred as left:
            return Evaluation("", None, None, left.reason)

    return variant


def in_order(steps: Sequence[Fn], last: Next, last_hashed: Next) -> Fn:
    """The first step that has an answer; else `last`, or `last_hashed` where some step's share said no."""
    rules, end, end_hashed = tuple(steps), fn(last), fn(last_hashed)

    def walk(kb: bytes | None, attributes: Attributes) -> Any:
        final = end
        for rule in rules:
            answer = rule(kb, attributes)
            if answer is MISSED:
                continue
            if answer is not OUT:
                return answer
            final = end_hashed
        return final(kb, attributes)

    return walk


def unit_of(unit: Unit) -> UnitOf | None:
    """How to find the bytes of `unit`; None: they are the targeting key's."""
    if not unit.groups:
        return None
    groups = unit.groups

    def part(group: tuple[str, ...], kb: bytes | None, attributes: Attributes) -> bytes:
        for name in group:
            found = kb if name == KEY else unit_bytes(attributes.get(name))
            if found is None and "." in name:  # `attribute`, written out: a call would cost every flag that has a unit
                found = unit_bytes(follow(attributes, name.split(".")))
            if found is not None:
                return found
        raise KeyMissing(" or ".join(group))

    if len(groups) == 1:
        only = groups[0]
        return lambda kb, attributes: part(only, kb, attributes)
    return lambda kb, attributes: b"\x1e".join([part(group, kb, attributes) for group in groups])


def attribute(attributes: Attributes, name: str) -> Any:
    """An attribute by its name or, where there is none and the name has dots, by its path: `user.key`."""
    found = attributes.get(name)
    return follow(attributes, name.split(".")) if found is None and "." in name else found


def share(by: Hashed, limit: int, inside: Next, outside: Next) -> Fn:
    """`inside` for hashes below `limit`."""
    unit, seed = by
    if unit is not None:
        yes, no = fn(inside), fn(outside)
        return lambda kb, attributes: (yes if digest(unit(kb, attributes), seed) < limit else no)(kb, attributes)
    if plain(inside, outside):
        return _share_ends(seed, limit, inside, outside)  # type: ignore[arg-type]
    if isinstance(inside, End) and isinstance(outside, End) and inside.note and outside.note and not (inside.unit or outside.unit):
        return _share_noted(seed, limit, (inside, inside.note), (outside, outside.note))
    then, other = fn(inside), fn(outside)
    # An absent key makes `digest` raise TypeError, which the caller answers; a test for it would cost everybody else.
    return lambda kb, attributes: (then if digest(kb, seed) < limit else other)(kb, attributes)  # type: ignore[arg-type]


def _share_ends(seed: int, limit: int, inside: End, outside: End) -> Fn:
    hashed: Any = digest
    count_in, answer_in, count_out, answer_out = inside.counter, inside.answer, outside.counter, outside.answer

    def ends(kb: bytes | None, _: Attributes) -> Any:
        if hashed(kb, seed) < limit:
            next(count_in)
            return answer_in
        next(count_out)
        return answer_out

    return ends


def _share_noted(seed: int, limit: int, inside: tuple[End, Note], outside: tuple[End, Note]) -> Fn:
    """Likewise where both are arms that somebody counts: a rollout under way."""
    hashed: Any = digest
    (end_in, note_in), (end_out, note_out) = inside, outside
    count_in, answer_in, count_out, answer_out = end_in.counter, end_in.answer, end_out.counter, end_out.answer

    def ends(kb: bytes | None, _: Attributes) -> Any:
        if hashed(kb, seed) < limit:
            next(count_in)
            note_in(kb)
            return answer_in
        next(count_out)
        note_out(kb)
        return answer_out

    return ends


def picked(by: Hashed, limit: int, *, inside: Next, outside: Next, nobody: Next) -> Fn:
    """As `share`, of two definitions: whoever has no unit to be picked by gets `nobody`."""
    unit, seed = by
    yes, no, none = fn(inside), fn(outside), fn(nobody)
    hashed: Any = digest

    def pick(kb: bytes | None, attributes: Attributes) -> Any:
        try:
            found = kb if unit is None else unit(kb, attributes)
        except KeyMissing:
            found = None
        if found is None:
            return none(kb, attributes)
        return (yes if hashed(found, seed) < limit else no)(kb, attributes)

    return pick


def chosen(check: Check, then: Next, other: Next) -> Fn:
    """`then` for contexts that match."""
    yes, no = fn(then), fn(other)
    if no is missed:  # one of many rules, most of which do not match: not a call more than it takes to see that
        return lambda kb, attributes: yes(kb, attributes) if check(kb, attributes) else MISSED
    return lambda kb, attributes: yes(kb, attributes) if check(kb, attributes) else no(kb, attributes)


def texts_share(first: tuple[str, Texts], second: tuple[str, Texts], seed: int, limit: int, *, ends: tuple[End, End, End]) -> Fn:
    """
    The commonest rule, with everything inlined: two comparisons of texts, then a share of those who pass.

    `ends`: inside the share, outside it, and for those who do not pass. An attribute that a rule names is nearly always
    there, so a missing one is an exception (150 ns) rather than a test that everybody pays (20 ns each).
    """
    hashed: Any = digest
    (name, known), (also, known_too) = first, second
    yes, learn, yes_too, learn_too = known.yes, known.learn, known_too.yes, known_too.learn
    despite, despite_too = known.despite, known_too.despite
    inside, outside, other = ends
    count_in, answer_in, count_out, answer_out = inside.counter, inside.answer, outside.counter, outside.answer
    count_other, answer_other = other.counter, other.answer

    def share_of_texts(kb: bytes | None, attributes: Attributes) -> Any:
        try:
            passed = (attributes[name] in yes or learn(attributes[name])) and (attributes[also] in yes_too or learn_too(attributes[also]))
        except Exception as error:
            there = name in attributes and also in attributes  # a missing one is what this nearly always is
            passed = there and despite(error, attributes[name]) and despite_too(error, attributes[also])
        if passed:
            if hashed(kb, seed) < limit:
                next(count_in)
                return answer_in
            next(count_out)
            return answer_out
        next(count_other)
        return answer_other

    return share_of_texts


def split(by: Hashed, cuts: Sequence[int], ends: Sequence[End]) -> Fn:
    """The end whose range the hash falls into. The last cut is 2**64, so there always is one."""
    unit, seed = by
    if unit is None and len(ends) <= 4 and plain(*ends):
        return _split_ends(seed, cuts, ends)
    steps = tuple(fn(end) for end in ends)
    hashed: Any = digest
    if unit is None:
        return lambda kb, attributes: steps[bisect_right(cuts, hashed(kb, seed))](kb, attributes)
    return lambda kb, attributes: steps[bisect_right(cuts, hashed(unit(kb, attributes), seed))](kb, attributes)


def _split_ends(seed: int, cuts: Sequence[int], ends: Sequence[End]) -> Fn:
    """Up to four variants as a chain of comparisons: 10 ns each, where bisect takes 40."""
    hashed: Any = digest
    # Filling up with the last end leaves ranges that no hash reaches, as the last cut is above them all.
    filled = [*ends, *([ends[-1]] * (4 - len(ends)))]
    first, second, third = [*cuts, *([cuts[-1]] * (4 - len(cuts)))][:3]
    (count_a, a), (count_b, b), (count_c, c), (count_d, d) = ((end.counter, end.answer) for end in filled)

    def chain(kb: bytes | None, _: Attributes) -> Any:
        h = hashed(kb, seed)
        if h < second:
            if h < first:
                next(count_a)
                return a
            next(count_b)
            return b
        if h < third:
            next(count_c)
            return c
        next(count_d)
        return d

    return chain


def slot(by: Hashed, low: int, high: int, *, inside: Next, outside: Next) -> Fn:
    """`inside` for hashes from `low` to below `high`."""
    unit, seed = by
    yes, no = fn(inside), fn(outside)
    hashed: Any = digest
    if unit is None:
        return lambda kb, attributes: (yes if low <= hashed(kb, seed) < high else no)(kb, attributes)
    return lambda kb, attributes: (yes if low <= hashed(unit(kb, attributes), seed) < high else no)(kb, attributes)


def ramped(by: Hashed, ramp: Ramp, now: Callable[[], float], *, inside: Next, outside: Next) -> Fn:
    """`inside` for the share that the ramp has reached by now."""
    unit, seed = by
    yes, no = fn(inside), fn(outside)
    hashed: Any = digest

    def grown(kb: bytes | None, attributes: Attributes) -> Any:
        limit = ramp.share(now())
        if limit in (0, PPM):  # nobody or everybody, with a key or without, as a written share of 0 or 100 %
            return (yes if limit else no)(kb, attributes)
        bucket = (hashed(kb if unit is None else unit(kb, attributes), seed) * PPM) >> 64
        return (yes if bucket < limit else no)(kb, attributes)

    return grown


def during(span: During, now: Callable[[], float], then: Next, other: Next) -> Fn:
    """`then` within the span."""
    yes, no = fn(then), fn(other)
    start, end = -float("inf") if span.since is None else span.since, float("inf") if span.until is None else span.until

    def timed(kb: bytes | None, attributes: Attributes) -> Any:
        return yes(kb, attributes) if start <= now() < end else no(kb, attributes)

    return timed


def in_hours(windows: Sequence[Hours], now: Callable[[], float], then: Next, other: Next) -> Fn:
    """`then` in one of these hours of the week."""
    yes, no = fn(then), fn(other)

    def timed(kb: bytes | None, attributes: Attributes) -> Any:
        at = now()
        return (yes if any(hours.open(at) for hours in windows) else no)(kb, attributes)

    return timed


def having(unit: UnitOf | None, then: Next, other: Next) -> Fn:
    """`then` for whoever has the unit that it buckets by."""
    yes, no = fn(then), fn(other)

    def has(kb: bytes | None, attributes: Attributes) -> Any:
        try:
            there = (kb if unit is None else unit(kb, attributes)) is not None
        except KeyMissing:
            there = False
        return (yes if there else no)(kb, attributes)

    return has


def guarded(required: Sequence[tuple[Fn, frozenset[str]]], then: Next, safe: Next) -> Fn:
    """`then` where each of the other flags' Evaluations is one of its variants."""
    yes, no = fn(then), fn(safe)
    if len(required) == 1:
        ((decide, wanted),) = required
        return lambda kb, attributes: (yes if decide(kb, attributes).variant in wanted else no)(kb, attributes)
    others = tuple(required)

    def every(kb: bytes | None, attributes: Attributes) -> Any:
        for decide, wanted in others:
            if decide(kb, attributes).variant not in wanted:
                return no(kb, attributes)
        return yes(kb, attributes)

    return every
