"""
One flag and its live state → closures.

The order of decisions: kill, panic and the brake; prerequisites; holdout; the group's slot; the rules in order; the
rollout's share. A share change edits one threshold, so it can neither drop somebody who was in nor change a variant.

A flag whose definition is being changed is two of these and a hash before them: which definition somebody is served by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any, Final

from progflags.events import Exposure
from progflags.flags._bucket import PPM, cuts, seed, threshold
from progflags.flags._evaluation import Evaluation, Reason
from progflags.flags._model import During, FlagModel, Rule
from progflags.flags.conditions import Compare, Every, Node, Setting, Texts, Uncompared
from progflags.flags.serving import _closures as c
from progflags.flags.serving._closures import End, Fn
from progflags.flags.serving._counters import Counters
from progflags.flags.serving._edits import Edits
from progflags.flags.serving._exposures import Exposures, Note
from progflags.flags.serving._live import Live

__all__ = ["BRAKED", "Answer", "Compiled", "Workshop"]

BRAKED: Final = ("", Reason.PINNED)
"""What overrules a flag whose definition is being changed, where the brake does: no one variant, the old definition answers."""
_DEFERRED: Final = "default()"  # what stands for a variant where an arm leaves its answer to the caller

Answer = Callable[[Evaluation], Any]


@dataclass(frozen=True, slots=True)
class Workshop:
    """
    What compiling a flag needs from its client: counters, exposures, the wall clock, the memory of values nobody compares, and that of
    definitions being changed.
    """

    counters: Counters
    exposures: Exposures
    now: Callable[[], float]
    uncompared: Uncompared = field(default_factory=Uncompared)
    edits: Edits = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "edits", Edits(self.now))

    @property
    def setting(self) -> Setting:
        """What a condition has of it."""
        return Setting(self.now, self.uncompared)


_UNCOUNTED: Final = count()  # where prerequisites' answers go, which nobody asked for as such


@dataclass(slots=True, eq=False)
class Compiled:
    """
    A flag ready to answer.

    `forced` is (variant, reason) where everybody gets the same whatever the rules say: a kill, the brake, an override.
    `others` holds the compiled prerequisites. `value` answers with the variant's value, `evaluation` with the Evaluation;
    `decide` too, but nothing is counted or noted: for prerequisites of other flags. `to`: another definition of the flag, which
    serves the share of its live state. `arm`: what every answer is noted as, while two definitions are compared. `edited`: this is
    the new one, not the file's.
    """

    flag: FlagModel
    live: Live
    workshop: Workshop
    others: Mapping[str, Compiled]
    forced: tuple[str, Reason] | None = None
    to: Compiled | None = None
    arm: str | None = None
    edited: bool = False
    _value: Fn | None = field(init=False, default=None)
    _evaluation: Fn | None = field(init=False, default=None)
    _decide: Fn | None = field(init=False, default=None)
    _evaluations: dict[tuple[str, Reason], Evaluation] | None = field(init=False, default=None)
    _alike: bool | None = field(init=False, default=None)

    @property
    def value(self) -> Fn:
        if self._value is None:
            self._value = self.build(_value)
        return self._value

    @property
    def evaluation(self) -> Fn:
        if self._evaluation is None:
            self._evaluation = self.build(_itself)
        return self._evaluation

    @property
    def decide(self) -> Fn:
        if self._decide is None:
            self._decide = _Builder(self, _itself, silent=True).flag_fn()
        return self._decide

    @property
    def alike(self) -> bool:
        """Whether everybody gets the same answer, and nobody is noted for it: then it does not matter who asks."""
        if self._alike is None:
            step = _Builder(self, _itself)._flag()
            self._alike = isinstance(step, End) and step.note is None
        return self._alike

    @property
    def defers(self) -> bool:
        """Whether a rule may leave the answer to the caller."""
        return any(rule.defers for rule in self.flag.rules) or (self.to is not None and self.to.defers)

    @property
    def overruled(self) -> bool:
        """Whether everybody gets one variant, whatever any definition says."""
        return self.forced is not None and self.forced != BRAKED

    def values(self) -> Iterator[Any]:
        """Of all variants that it may answer."""
        yield from self.flag.variants.values()
        if self.to is not None:
            yield from self.to.flag.variants.values()

    def like(self, other: Compiled) -> bool:
        """Whether both answer alike: of the same definitions, live state, force and prerequisites."""
        return (
            (self.flag is other.flag or self.flag.same(other.flag))
            and self.live == other.live
            and (self.forced, self.arm) == (other.forced, other.arm)
            and self.others.keys() == other.others.keys()
            and all(self.others[key] is other.others[key] for key in self.others)
            and (self.to is other.to or (self.to is not None and other.to is not None and self.to.like(other.to)))
        )

    def build(self, answer: Answer) -> Fn:
        """The flag as a function whose answers are `answer(evaluation)`, counted and noted."""
        return _Builder(self, answer).flag_fn()

    def outcome(self, variant: str, reason: Reason) -> Evaluation:
        """The one Evaluation for (variant, reason)."""
        if self._evaluations is None:
            self._evaluations = {}
        known = self._evaluations.get((variant, reason))
        if known is None:
            flag = self.flag
            known = Evaluation(flag.key, flag.variants[variant], variant, reason, None, self.live.revision)
            self._evaluations[variant, reason] = known
        return known


def _value(evaluation: Evaluation) -> Any:
    return evaluation.value


def _itself(evaluation: Evaluation) -> Evaluation:
    return evaluation


class _Builder:
    """Puts a flag's closures together, from the last step to the first."""

    def __init__(self, compiled: Compiled, answer: Answer, *, silent: bool = False) -> None:
        self.compiled = compiled
        self.flag = compiled.flag
        self.live = compiled.live.own
        self.answer = answer
        self.silent = silent
        self.now = compiled.workshop.now
        self.arm = compiled.arm
        self.picked_by = None if self.arm is None else self.unit

    def side(self, compiled: Compiled, *, noted: bool = True) -> c.Next:
        """One of two definitions, for whomever it was picked by this one's unit."""
        side = _Builder(compiled, self.answer, silent=self.silent)
        side.arm, side.picked_by = compiled.arm if noted else None, self.unit
        return side._defined()

    @cached_property
    def unit(self) -> c.UnitOf | None:
        return c.unit_of(self.flag.unit)

    @cached_property
    def by_share(self) -> c.Hashed:
        return c.Hashed(self.unit, seed("r", self.flag.salt))

    @cached_property
    def by_variant(self) -> c.Hashed:
        return c.Hashed(self.unit, seed("v", self.flag.salt))

    def by_rule(self, rule: Rule, purpose: str) -> c.Hashed:
        """What a rule's share (`r`) or split (`v`) is hashed by."""
        if rule.unit is None and rule.salt is None:
            return self.by_share if purpose == "r" else self.by_variant
        return c.Hashed(self.unit if rule.unit is None else c.unit_of(rule.unit), seed(purpose, rule.salt or self.flag.salt))

    def end(self, variant: str, reason: Reason, arm: str | None = None, *, arms: bool = True, by: c.Hashed | None = None) -> End:
        evaluation = self.compiled.outcome(variant, reason)
        workshop = self.compiled.workshop
        if self.silent:
            return End(_UNCOUNTED, self.answer(evaluation))
        counter = workshop.counters.of(self.flag.key, variant, str(reason))
        if self.arm is not None:  # of two definitions each answer is one's, whatever the reason
            return End(counter, self.answer(evaluation), self.note(variant, self.arm), self.picked_by)
        if arms and arm is None and reason is Reason.SPLIT and self.flag.kind == "experiment" and self.flag.rollout is None:
            arm = variant
        note = None if arm is None else self.note(variant, arm)
        return End(counter, self.answer(evaluation), note, (self.unit if by is None else by.unit) if note else None)

    def note(self, variant: str, arm: str) -> Note:
        return self.compiled.workshop.exposures.note(Exposure(self.flag.key, self.live.revision, variant, arm, self.arm is not None))

    def flag_fn(self) -> Fn:
        return c.fn(self._flag())

    def _flag(self) -> c.Next:
        compiled = self.compiled
        if compiled.overruled and compiled.forced is not None:
            self.arm = None  # who is given one answer by somebody's word is compared with nobody
            return self.end(*compiled.forced)
        return self._defined() if compiled.to is None else self._either(compiled.to)

    def _either(self, to: Compiled) -> c.Next:
        """The new definition for its share, else the old one; that too for whoever has nothing to be picked by, and counts for neither."""
        compiled, edit = self.compiled, self.compiled.live.edit
        assert edit is not None
        by = c.Hashed(self.unit, seed("d", edit.salt))
        limit = threshold(compiled.live.share or 0)
        return c.picked(by, limit, inside=self.side(to), outside=self.side(compiled), nobody=self.side(compiled, noted=False))

    def _defined(self) -> c.Next:
        """As the definition says."""
        flag = self.flag
        if flag.enabled is False:
            return self._safe()
        step = self._rules()
        if flag.slot is not None:
            low, high = threshold(flag.slot.start), threshold(flag.slot.end)
            out = self.end(flag.default, Reason.SPLIT, arms=False)
            step = self._had(c.slot(c.Hashed(self.unit, seed("g", flag.slot.salt)), low, high, inside=step, outside=out), out)
        if flag.holdout is not None and flag.holdout.share:
            limit = threshold(flag.holdout.share)
            step = self._had(c.share(c.Hashed(self.unit, seed("h", flag.holdout.name)), limit, self._safe(), step), step)
        if flag.requires:
            others = [(self.compiled.others.get(require.flag), frozenset(require.variants)) for require in flag.requires]
            known = [
                (c.decided(other.decide) if other.defers else other.decide, variants) for other, variants in others if other is not None
            ]
            # One that was rejected and never was good: nobody can say that the prerequisite holds.
            step = c.guarded(known, step, self._safe()) if len(known) == len(others) else self._safe()
        return c.during(flag.enabled, self.now, step, self._safe()) if isinstance(flag.enabled, During) else step

    def _safe(self) -> End:
        return self.end(self.flag.safe, Reason.DISABLED)

    def _had(self, step: c.Next, other: c.Next, by: c.Hashed | None = None) -> c.Next:
        """A step that buckets; `other` for whoever has no unit, where the flag says that they are skipped."""
        if not self.flag.skips:
            return step
        return c.having(self.unit if by is None else by.unit, step, other)

    # ── rules ──────────────────────────────────────────────────────────────

    def _rules(self) -> c.Next:
        """
        The rules in order, then the default or the rollout's share.

        One rule is built into a single function; several are walked in a loop, so that a flag may have a thousand of them
        and no evaluation goes deeper.
        """
        begun = self.flag.slot is not None or self.flag.holdout is not None
        rules = [rule for rule in self.flag.rules if rule.share != 0 and rule.enabled]
        if not rules:
            return self._last(hashed=begun)
        if len(rules) == 1:
            return self._rule(rules[0], self._last(hashed=begun), self._last(hashed=True), first=not begun)
        hashing = begun
        steps = []
        for rule in rules:
            steps.append(c.fn(self._rule(rule, c.missed, c.out, first=rule is rules[0] and not begun, hashing=hashing)))
            hashing = hashing or _hashes(rule)
        return c.in_order(steps, self._last(hashed=begun), self._last(hashed=True))

    def _last(self, *, hashed: bool) -> c.Next:
        flag, live = self.flag, self.live
        alone = all(rule.share == 0 or not rule.enabled for rule in flag.rules)
        otherwise = Reason.SPLIT if hashed else Reason.STATIC if alone else Reason.DEFAULT
        control, candidate = ("control", "candidate") if self._counts() else (None, None)
        variant, ppm = live.given(flag)
        if variant is None or ppm <= 0:
            return self.end(flag.default, otherwise, control)
        if ppm >= PPM:
            return self.end(variant, Reason.STATIC if alone and not hashed else Reason.SPLIT, candidate)
        inside = self.end(variant, Reason.SPLIT, candidate)
        outside = self.end(flag.default, Reason.SPLIT, control)
        return self._had(c.share(self.by_share, threshold(ppm), inside, outside), self.end(flag.default, otherwise))

    def _counts(self) -> bool:
        """
        Whether the arms are noted: a rollout is under way, and it is this file's. One that serves nobody yet counts its traffic, for
        that decides what its first stage can see.
        """
        if self.flag.candidate is None:
            return False
        return self.live.about(self.flag.candidate) if self.live.counting else self.live.metered and not self.live.share

    def _rule(self, rule: Rule, other: c.Next, out: c.Next, *, first: bool, hashing: bool = False) -> c.Next:
        """One rule: `other` for those it is not for, `out` for those outside its share. `hashing`: a rule before it hashes."""
        inside = self._served(rule, first=first and not rule.timed, hashing=hashing)
        by = self.by_rule(rule, "r")
        step: c.Next
        if not _hashes(rule):
            step = inside
        elif rule.ramp is not None:
            step = c.ramped(by, rule.ramp, self.now, inside=inside, outside=out)
        else:
            limit = threshold(rule.share or 0)
            plain = by.unit is None and not rule.timed and not self.flag.skips and c.plain(inside, out, other)
            texts = _two_texts(rule.when, self.compiled.workshop.setting) if plain else None
            if texts is not None:
                return c.texts_share(*texts, by.seed, limit, ends=(inside, out, other))  # type: ignore[arg-type]
            step = c.share(by, limit, inside, out)
        if _hashes(rule) or rule.split:
            step = self._had(step, other, by)
        if rule.when is not None:
            step = c.chosen(rule.when.compile(self.compiled.workshop.setting), step, other)
        if rule.windows:
            step = c.in_hours(rule.windows, self.now, step, other)
        bounded = rule.since is not None or rule.until is not None
        return c.during(During(rule.since, rule.until), self.now, step, other) if bounded else step

    def _served(self, rule: Rule, *, first: bool, hashing: bool) -> c.Next:
        if rule.split:
            edges = cuts([weight for _, weight in rule.split])
            by = self.by_rule(rule, "v")
            return c.split(by, edges, [self.end(name, Reason.SPLIT, by=by) for name, _ in rule.split])
        if _hashes(rule):
            reason = Reason.SPLIT
        elif rule.when is not None:
            reason = Reason.TARGETING_MATCH
        elif first:
            reason = Reason.STATIC
        else:
            reason = Reason.SPLIT if hashing else Reason.TARGETING_MATCH
        if rule.defers:
            noted = None if self.arm is None or self.silent else c.fn(End(count(), None, self.note(_DEFERRED, self.arm), self.picked_by))
            return c.deferred(Reason.DEFAULT, noted)
        return self.end(rule.serve or self.flag.default, reason, by=self.by_rule(rule, "r"))


def _hashes(rule: Rule) -> bool:
    """Whether a rule's share is decided by a hash: neither everybody nor nobody."""
    return rule.ramp is not None or rule.share not in (None, PPM)


def _two_texts(when: Node | None, setting: Setting) -> tuple[tuple[str, Texts], tuple[str, Texts]] | None:
    """A condition of two comparisons that only texts can pass, else None."""
    if not isinstance(when, Every) or len(when.parts) != 2:
        return None
    first, second = (part.texts(setting) if isinstance(part, Compare) else None for part in when.parts)
    return None if first is None or second is None else (first, second)
