"""Why an answer is what it is: Explanation, from walking the flag as its closures do, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from progflags._printed import cut, several
from progflags.context import Context
from progflags.flags._asker import Asker
from progflags.flags._bucket import PPM
from progflags.flags._evaluation import ErrorCode, Evaluation, Reason
from progflags.flags._explanation import Explanation, Step
from progflags.flags._imprint import imprint
from progflags.flags._model import During, Rule, Unit
from progflags.flags._problems import meant
from progflags.flags.conditions import Node, misdeclared, shown_value
from progflags.flags.serving import BRAKED, Compiled, Deferred, Edit, KeyMissing, Killed, Ruleset

__all__ = ["explain"]

_NAMED: Final = 3  # things named beside a step's own reason


def explain(ruleset: Ruleset, key: str, who: Context, code: ErrorCode | None) -> Explanation:
    """Every step of one decision. Counts and notes nothing."""
    compiled = ruleset.compiled.get(key)
    if compiled is None:
        code = code or ErrorCode.FLAG_NOT_FOUND
        hint = meant(key, ruleset.compiled)
        why = {
            ErrorCode.PROVIDER_NOT_READY: "nothing has been loaded yet",
            ErrorCode.PARSE_ERROR: "its definition was rejected, and there is no earlier one",
        }.get(code, f"there is no such flag: {hint}" if hint else "there is no such flag")
        return Explanation(Evaluation(key, None, None, Reason.ERROR, code), (Step("flag", False, why),))
    walk = _Walk(compiled, who, ruleset.panic)
    walk.declared({} if ruleset.snapshot is None else ruleset.snapshot.attributes)
    try:
        walk.definition()
        answer = _answer(compiled, who)
        walk.flag()
    except (KeyMissing, TypeError) as error:
        if isinstance(error, KeyMissing):
            text = f"{error} is missing{walk.who.instead()}"
        else:
            others = bool(walk.who.named())  # its own unit is there, so it is another flag's
            whose = "what a flag it requires buckets by" if others else walk.flag_model.unit
            text = f"{whose} is missing, or can't be bucketed{'' if others else walk.who.instead()}"
        walk.step("unit", False, text)
        answer = Evaluation(key, None, None, Reason.ERROR, ErrorCode.TARGETING_KEY_MISSING)
    except Exception as error:
        walk.step("context", False, f"an attribute can't be used: {type(error).__name__}{walk.who.suspects()}")
        answer = Evaluation(key, None, None, Reason.ERROR, ErrorCode.INVALID_CONTEXT)
    return Explanation(answer, tuple(walk.steps), walk.who.named())


def _answer(compiled: Compiled, who: Context) -> Evaluation:
    try:
        answer: Evaluation = compiled.decide(who._kb, who._attributes)
    except Deferred as left:
        return Evaluation(compiled.flag.key, None, None, left.reason, None, compiled.live.revision)
    return answer


class _Walk:
    """Goes through a flag's decisions in their order and writes down each; ends where one decides."""

    def __init__(self, compiled: Compiled, who: Context, panic: Killed | None) -> None:
        self.compiled = compiled
        self.panic = panic
        self.flag_model = compiled.flag
        self.who = Asker(compiled.flag, who)
        self.steps: list[Step] = []

    def step(self, what: str, matched: bool, why: str, at: int | None = None, limit: int | None = None) -> bool:
        self.steps.append(Step(cut(what), matched, cut(why), at, limit))
        return matched

    def declared(self, attributes: Mapping[str, str]) -> None:
        """What the context has that `[context]` declares otherwise."""
        for name, declared in attributes.items():
            cause = misdeclared(declared, self.who.attributes.get(name))
            if cause:
                self.step("context", False, f"{name} is declared {declared}, and is {shown_value(self.who.attributes[name])}: {cause}")

    def definition(self) -> None:
        """Which of two definitions the rest is about, where there are two."""
        live = self.compiled.live
        if live.edit is not None and live.share and not self.compiled.overruled:
            self._change(live.edit, live.share)

    def flag(self) -> None:
        compiled, forced = self.compiled, self.compiled.forced
        if forced is not None and compiled.overruled:
            pinned = forced[1] is Reason.PINNED
            killed, panic = (None, None) if pinned else (self.compiled.live.killed, self.panic)
            said = [
                f"{what} by {one.by or 'somebody'}: {one.reason or 'no reason given'}"
                for what, one in (("killed", killed), ("panic", panic))
                if one
            ]
            self.step("pinned" if pinned else "disabled", True, "; ".join(said) or f"serves {forced[0]}")
            return
        flag = self.flag_model
        if self._enabled() and self._requires() and not self._held_out() and self._in_slot() and not self._rules():
            self._rollout(flag.default)

    def _change(self, edit: Edit, share: int) -> None:
        compiled, what, new = self.compiled, "change", f"the new definition ({edit.name}) is served"
        if compiled.forced == BRAKED:
            self.step(what, False, "the brake holds here, so the old definition is served to everybody")
        elif compiled.to is not None:
            self._picked(compiled.to, edit, share, new)
        elif compiled.edited:
            self.step(what, True, f"{_percent(share)}, so {new} to everybody; the file does not have it yet", None, share)
        else:
            mark, edits = imprint(compiled.flag), compiled.workshop.edits
            other = "the file has it" if mark == edit.new else "the file has another definition than the change was made of"
            self.step(what, False, f"{edits.why.get(compiled.flag.key, other)}: so the file's is served", None, share)

    def _picked(self, to: Compiled, edit: Edit, share: int, new: str) -> None:
        try:
            at = self.who.hashed("d", edit.salt)
        except KeyMissing as missing:
            self.step("change", False, f"{missing} is missing, so the old definition is served")
            return
        inside = at < share
        old = f"the old definition is served; the new one ({edit.name}) at {_entry(at)}"
        why = f"bucket {_percent(at)} is {'below' if inside else 'not below'} {_percent(share)}, so {new if inside else old}"
        self.step("change", inside, why, at, share)
        if inside:
            self.compiled, self.flag_model, self.who = to, to.flag, Asker(to.flag, self.who.context)

    def _enabled(self) -> bool:
        flag = self.flag_model
        if flag.enabled is False:
            return not self.step("enabled", True, f"it is switched off in its file, so {flag.safe} is served")
        if isinstance(flag.enabled, During) and not flag.enabled.covers(self.compiled.workshop.now()):
            begins, ends = (None if at is None else _date(at) for at in (flag.enabled.since, flag.enabled.until))
            when = " ".join(said for said in (begins and f"from {begins}", ends and f"until {ends}") if said)
            return not self.step("enabled", True, f"it is on {when}, so {flag.safe} is served")
        return True

    def _requires(self) -> bool:
        for require in self.flag_model.requires:
            other = self.compiled.others.get(require.flag)
            found = None if other is None else _answer(other, self.who.context).variant
            what = f"requires {require.flag} = {several(require.variants, between=' or ')}"
            if found not in require.variants:
                is_what = found or ("rejected" if other is None else "left to the caller")
                return self.step(what, False, f"it is {is_what}, so {self.flag_model.safe} is served")
            self.step(what, True, f"it is {found}")
        return True

    def _held_out(self) -> bool:
        holdout = self.flag_model.holdout
        if holdout is None or not holdout.share:
            return False
        if self.who.lacks():
            return self.step(f"holdout {holdout.name}", False, self._without())
        at = self.who.hashed("h", holdout.name)
        inside = at < holdout.share
        why = f"bucket {_percent(at)} is {'below' if inside else 'not below'} {_percent(holdout.share)}"
        return self.step(f"holdout {holdout.name}", inside, why, at, holdout.share)

    def _in_slot(self) -> bool:
        slot = self.flag_model.slot
        if slot is None:
            return True
        if self.who.lacks():
            return self.step(f"group {slot.group}", False, self._without())
        at = self.who.hashed("g", slot.salt)
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
        if not rule.enabled:
            return self.step(what, False, "it is switched off in its file")
        if rule.windows and not any(hours.open(now) for hours in rule.windows):
            return self.step(what, False, f"it is not {several(rule.windows, between=' or ')}")
        if rule.share == 0:  # such a rule is not even asked whom it is for
            return self.step(what, False, "its share is 0 %", None, 0)
        matched, why = (True, "everybody") if rule.when is None else self._when(rule.when)
        if not matched:
            return self.step(what, False, why)
        limit = rule.ramp.share(now) if rule.ramp is not None else rule.share
        if (rule.split or rule.ramp is not None or limit not in (None, PPM)) and self.who.lacks(rule.unit):
            return self.step(what, False, f"{why}, but {self._without(rule.unit)}")
        if limit is None or limit >= PPM:
            return self.step(what, True, f"{why}, so {self._served(rule)} is served")
        if limit == 0:
            return self.step(what, False, f"{why}, but its share is 0 %", None, 0)
        at = self.who.hashed("r", rule.salt or self.flag_model.salt, rule.unit)
        if at < limit:
            return self.step(
                what, True, f"{why}; bucket {_percent(at)} is below {_percent(limit)}, so {self._served(rule)} is served", at, limit
            )
        return self.step(what, False, f"{why}, but bucket {_percent(at)} is not below {_percent(limit)}; enters at {_entry(at)}", at, limit)

    def _without(self, unit: Unit | None = None) -> str:
        return f"{unit or self.flag_model.unit} is missing, and who has none is skipped{self.who.instead()}"

    def _when(self, when: Node) -> tuple[bool, str]:
        """Whether a condition is so, and why (not); what it could not compare is named even where another part decided."""
        kb, attributes = self.who.kb, self.who.attributes
        matched, why = when.why(kb, attributes, self.compiled.workshop.setting)
        strange = dict.fromkeys(told for leaf in when.leaves() if (told := leaf.uncompared(kb, attributes)) and told not in why)
        return matched, "; ".join([why, *list(strange)[:_NAMED]])

    def _served(self, rule: Rule) -> str:
        if not rule.split:
            return "the caller's default" if rule.defers else str(rule.serve)
        at = self.who.hashed("v", rule.salt or self.flag_model.salt, rule.unit)
        total, reached = sum(weight for _, weight in rule.split), 0.0
        shares = []
        for name, weight in rule.split:
            shares.append(f"{name} {_percent(round(PPM * weight / total))}")
            reached += weight
        return f"the split ({', '.join(shares)}; variant bucket {_percent(at)})"

    def _rollout(self, default: str) -> None:
        flag, live = self.flag_model, self.compiled.live.own
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
        if self.who.lacks():
            self.step("rollout", False, f"{self._without()}, so {default} is served")
            return
        at = self.who.hashed("r", flag.salt)
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
