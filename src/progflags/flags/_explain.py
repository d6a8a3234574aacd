"""Why an answer is what it is: Explanation, from walking the flag as its closures do, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from progflags.context import Context
from progflags.flags._bucket import PPM, bucket
from progflags.flags._closures import KeyMissing, unit_of
from progflags.flags._compile import Compiled
from progflags.flags._evaluation import ErrorCode, Evaluation, Reason
from progflags.flags._model import Rule
from progflags.flags._ruleset import Ruleset

__all__ = ["Explanation", "Step", "explain"]


@dataclass(frozen=True, slots=True)
class Step:
    """
    One step of a decision: `what` was asked, whether it `matched`, `why`.

    `bucket` and `threshold` (ppm) where a hash decided: in when bucket < threshold.
    """

    what: str
    matched: bool
    why: str
    bucket: int | None = None
    threshold: int | None = None

    def __str__(self) -> str:
        return f"{'+' if self.matched else '-'} {self.what}: {self.why}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer, and every step to it, those that did not match included. `print` it."""

    evaluation: Evaluation
    steps: tuple[Step, ...] = ()
    unit: str = ""

    def __str__(self) -> str:
        answer = self.evaluation
        error = f" ({answer.error_code})" if answer.error_code else ""
        served = "the caller's default" if answer.variant is None else f"{answer.variant} = {answer.value!r}"
        head = f"{answer.key} → {served}  [{answer.reason}{error}]"
        return "\n".join([head, *([f"  unit: {self.unit}"] if self.unit else []), *(f"  {step}" for step in self.steps)])

    def to_dict(self) -> dict[str, Any]:
        """The answer's fields, `unit` and `steps`, as plain JSON values."""
        names = ("what", "matched", "why", "bucket", "threshold")
        steps = [{name: getattr(step, name) for name in names} for step in self.steps]
        return {**self.evaluation.to_dict(), "unit": self.unit, "steps": steps}


def explain(ruleset: Ruleset, key: str, who: Context, code: ErrorCode | None) -> Explanation:
    """Every step of one decision. Counts and notes nothing."""
    compiled = ruleset.compiled.get(key)
    if compiled is None:
        code = code or ErrorCode.FLAG_NOT_FOUND
        why = {
            ErrorCode.PROVIDER_NOT_READY: "nothing has been loaded yet",
            ErrorCode.PARSE_ERROR: "its definition was rejected, and there is no earlier one",
        }.get(code, "there is no such flag")
        return Explanation(Evaluation(key, None, None, Reason.ERROR, code), (Step("flag", False, why),))
    walk = _Walk(compiled, who)
    try:
        answer: Evaluation = compiled.decide(who._kb, who._attributes)
        walk.flag()
    except (KeyMissing, TypeError) as error:
        if isinstance(error, KeyMissing):
            text = f"{error} is missing"
        else:
            whose = "what a flag it requires buckets by" if walk.named() else compiled.flag.unit
            text = f"{whose} is missing, or can't be bucketed"
        walk.step("unit", False, text)
        answer = Evaluation(key, None, None, Reason.ERROR, ErrorCode.TARGETING_KEY_MISSING)
    except Exception as error:
        walk.step("context", False, f"an attribute can't be used: {type(error).__name__}")
        answer = Evaluation(key, None, None, Reason.ERROR, ErrorCode.INVALID_CONTEXT)
    return Explanation(answer, tuple(walk.steps), walk.named())


class _Walk:
    """Goes through a flag's decisions in their order and writes down each; ends where one decides."""

    def __init__(self, compiled: Compiled, who: Context) -> None:
        self.compiled = compiled
        self.flag_model = compiled.flag
        self.kb = who._kb
        self.attributes = who._attributes
        self.steps: list[Step] = []

    def step(self, what: str, matched: bool, why: str, at: int | None = None, limit: int | None = None) -> bool:
        self.steps.append(Step(what, matched, why, at, limit))
        return matched

    def unit(self) -> bytes:
        find = unit_of(self.flag_model.unit)
        if find is not None:
            return find(self.kb, self.attributes)
        if self.kb is None:
            raise KeyMissing("the targeting key")
        return self.kb

    def named(self) -> str:
        """The unit for people: which attribute was used, and its text."""
        try:
            text = self.unit().decode().replace("\x1e", " + ")
        except Exception:  # no key; or an attribute that can't be used, which the walk has said already
            return ""
        return f"{text} ({self.flag_model.unit})"

    def hashed(self, purpose: str, salt: str) -> int:
        return bucket(purpose, salt, self.unit())

    def flag(self) -> None:
        flag, forced = self.flag_model, self.compiled.forced
        if forced is not None:
            killed = self.compiled.live.killed
            why = f"killed by {killed.by or 'somebody'}: {killed.reason or 'no reason given'}" if killed else f"serves {forced[0]}"
            self.step("pinned" if forced[1] is Reason.PINNED else "disabled", True, why)
        elif self._requires() and not self._held_out() and self._in_slot() and not self._rules():
            self._rollout(flag.default)

    def _requires(self) -> bool:
        for require in self.flag_model.requires:
            other = self.compiled.others.get(require.flag)
            found = None if other is None else other.decide(self.kb, self.attributes).variant
            what = f"requires {require.flag} = {' or '.join(require.variants)}"
            if found not in require.variants:
                return self.step(what, False, f"it is {found or 'rejected'}, so {self.flag_model.safe} is served")
            self.step(what, True, f"it is {found}")
        return True

    def _held_out(self) -> bool:
        holdout = self.flag_model.holdout
        if holdout is None or not holdout.share:
            return False
        at = self.hashed("h", holdout.name)
        inside = at < holdout.share
        why = f"bucket {_percent(at)} is {'below' if inside else 'not below'} {_percent(holdout.share)}"
        return self.step(f"holdout {holdout.name}", inside, why, at, holdout.share)

    def _in_slot(self) -> bool:
        slot = self.flag_model.slot
        if slot is None:
            return True
        at = self.hashed("g", slot.salt)
        inside = slot.start <= at < slot.end
        why = f"bucket {_percent(at)} is {'in' if inside else 'outside'} {_percent(slot.start)} … {_percent(slot.end)}"
        return self.step(f"group {slot.group}", inside, why, at, slot.end)

    def _rules(self) -> bool:
        return any(self._rule(rule) for rule in self.flag_model.rules)

    def _rule(self, rule: Rule) -> bool:
        what = f"rule {rule.name!r}"
        now = self.compiled.workshop.now()
        if rule.since is not None and now < rule.since:
            return self.step(what, False, f"begins {_date(rule.since)}")
        if rule.until is not None and now >= rule.until:
            return self.step(what, False, f"ended {_date(rule.until)}")
        if rule.share == 0:  # such a rule is not even asked whom it is for
            return self.step(what, False, "its share is 0 %", None, 0)
        matched, why = (True, "everybody") if rule.when is None else rule.when.why(self.kb, self.attributes)
        if not matched:
            return self.step(what, False, why)
        limit = rule.ramp.share(now) if rule.ramp is not None else rule.share
        if limit is None or limit >= PPM:
            return self.step(what, True, f"{why}, so {self._served(rule)} is served")
        if limit == 0:
            return self.step(what, False, f"{why}, but its share is 0 %", None, 0)
        at = self.hashed("r", self.flag_model.salt)
        if at < limit:
            return self.step(
                what, True, f"{why}; bucket {_percent(at)} is below {_percent(limit)}, so {self._served(rule)} is served", at, limit
            )
        return self.step(what, False, f"{why}, but bucket {_percent(at)} is not below {_percent(limit)}; enters at {_entry(at)}", at, limit)

    def _served(self, rule: Rule) -> str:
        if not rule.split:
            return str(rule.serve)
        at = self.hashed("v", self.flag_model.salt)
        total, reached = sum(weight for _, weight in rule.split), 0.0
        shares = []
        for name, weight in rule.split:
            shares.append(f"{name} {_percent(round(PPM * weight / total))}")
            reached += weight
        return f"the split ({', '.join(shares)}; variant bucket {_percent(at)})"

    def _rollout(self, default: str) -> None:
        flag, live = self.flag_model, self.compiled.live
        variant, ppm = live.given(flag)
        if variant is None:
            self.step("default", True, f"no rule decided, so {default} is served")
            return
        # The file names another variant than the one that has the share: whose it is, and that the new one waits.
        of = "" if variant == flag.candidate else f" of {variant}, which was rolled out before"
        waits = "" if live.about(flag.candidate) or not live.share else f"; {flag.candidate} waits for a start of its own"
        if ppm in (0, PPM):
            why = f"its share{of} is {_percent(ppm)}, so {variant if ppm else default} is served{waits}"
            self.step("rollout", ppm == PPM, why, None, ppm)
            return
        at = self.hashed("r", flag.salt)
        inside = at < ppm
        tail = f"so {variant} is served" if inside else f"so {default} is served; enters at {_entry(at)}"
        why = f"bucket {_percent(at)} is {'below' if inside else 'not below'} {_percent(ppm)}{of}, {tail}{waits}"
        self.step("rollout", inside, why, at, ppm)


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:g} %"


def _entry(at: int) -> str:
    """The smallest share, in percent, that has this bucket in."""
    return f"{(at + 1) / 10_000:.4f} %"


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
