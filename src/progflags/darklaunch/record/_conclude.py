"""Two observations → what became of the call. Pure; the one place that knows the order of outcomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from progflags.darklaunch._interrupt import is_delivered
from progflags.darklaunch.compare import (
    LARGEST,
    Budget,
    Comparison,
    Difference,
    Reader,
    Rule,
    Scored,
    State,
    compile_rules,
    diff,
    heard,
    value_of,
)
from progflags.darklaunch.record._failure import Failure
from progflags.darklaunch.record._observation import Observation, same_error
from progflags.darklaunch.record._outcome import Outcome
from progflags.darklaunch.record._redact import mute

__all__ = ["Comparer", "Conclusion"]


class Conclusion(NamedTuple):
    """The outcome, the differences behind it, and what the candidate raised: the class if that decided it, and the failure."""

    outcome: Outcome
    differences: tuple[Difference, ...] = ()
    error: str | None = None
    used: frozenset[str] = frozenset()
    scored: Scored | None = None
    failure: Failure | None = None


@dataclass(slots=True)
class Comparer:
    """How one experiment compares: its rules, or its own `compare(control, candidate) -> bool`."""

    rules: tuple[Rule, ...] = ()
    compare: Callable[[Any, Any], bool] | None = None
    compare_errors: Callable[[BaseException, BaseException], bool] | None = None
    ignore_if: Callable[[Any, Any], bool] | None = None
    strict: bool = True
    budget: Budget = field(default_factory=Budget)
    flag: str = ""
    score: Callable[[Any, Any], float] | None = None
    #: What of an answer is compared, worked out where comparing is done: a response's bytes become its parts.
    read: Reader | None = None
    state: State | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.state = compile_rules(self.rules)

    @property
    def asks(self) -> bool:
        """Whether a function of the user's gets to see the values, and might edit them."""
        functions = self.compare is not None or self.ignore_if is not None or self.score is not None
        return functions or any(rule.kind == "normalize" for rule in self.rules)

    def conclude(self, control: Observation, candidate: Observation, *, scoring: bool = True) -> Conclusion:
        """What the two sides amount to, the candidate having ended in time. `scoring`: and how close they are, if that is asked."""
        failed = None if candidate.error is None else type(candidate.error).__qualname__
        failure = None if candidate.error is None else Failure.of(candidate.error, candidate.where)
        if control.error is None:
            if candidate.error is not None:
                return Conclusion(Outcome.CANDIDATE_ERROR, (), failed, failure=failure)
            conclusion = self._values(control.value, candidate.value)
            if self.score is None or not scoring:
                return conclusion
            return conclusion._replace(scored=self._scored(self.score, control.value, candidate.value))
        if candidate.error is not None and self._same_error(control.error, candidate.error):
            return Conclusion(Outcome.CONTROL_ERROR_MATCH, (), failed)
        answer = value_of(candidate.value) if candidate.error is None else candidate.error
        return Conclusion(Outcome.CONTROL_ERROR_MISMATCH, (Difference("$", "exception", control.error, answer),), failed, failure=failure)

    def _scored(self, score: Callable[[Any, Any], float], control: Any, candidate: Any) -> Scored | None:
        """None where the function fails or gives no number: counted and logged, like any other function of the user's."""
        if self.read is not None:
            control, candidate = self.read(heard(control)), self.read(heard(candidate))
        control, candidate = value_of(control), value_of(candidate)
        number = self._ask("score", lambda a, b: float(score(a, b)), control, candidate, otherwise=None)
        return Scored(number, control, candidate) if number is not None and abs(number) <= LARGEST else None

    def _same_error(self, control: BaseException, candidate: BaseException) -> bool:
        return bool(self._ask("compare_errors", self.compare_errors or same_error, control, candidate, otherwise=False))

    def _values(self, control: Any, candidate: Any) -> Conclusion:
        if self.read is not None:
            control, candidate = heard(control), heard(candidate)
            if self.compare is None and self.read.alike(control, candidate):
                return Conclusion(Outcome.MATCH)
            control, candidate = self.read(control), self.read(candidate)
        if self.compare is not None:
            control, candidate = value_of(control), value_of(candidate)
            answer = self._ask("compare", self.compare, control, candidate, otherwise=None)
            if answer is True:
                return Conclusion(Outcome.MATCH)
            comparison = Comparison((Difference("$", "value", control, candidate),)) if answer is False else Comparison(truncated=True)
        else:
            comparison = diff(control, candidate, self.state, budget=self.budget, strict=self.strict)
            if comparison.same:
                whole = self.state is not None and "ignore" in self.state.rules
                return Conclusion(Outcome.IGNORED if whole and control is not candidate else Outcome.MATCH, used=comparison.used)
        if self.ignore_if is not None and self._ask("ignore_if", self.ignore_if, value_of(control), value_of(candidate), otherwise=False):
            return Conclusion(Outcome.IGNORED, used=comparison.used)
        if comparison.differences:
            return Conclusion(Outcome.MISMATCH, comparison.differences, None, comparison.used)
        return Conclusion(Outcome.COMPARE_ERROR, (), comparison.uncomparable[0][1] if comparison.uncomparable else "truncated")

    def _ask(self, what: str, function: Callable[[Any, Any], Any], a: Any, b: Any, *, otherwise: Any) -> Any:
        """A user's function, or None's equivalent when it fails."""
        try:
            return function(a, b)
        except BaseException as error:
            if is_delivered(error):
                raise
            mute(f"dark launch {self.flag} {what}", error)
            return otherwise
