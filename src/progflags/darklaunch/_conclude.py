"""Two observations → what became of the call. Pure; the one place that knows the order of outcomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from progflags.darklaunch._comparison import Budget, Comparison, Difference
from progflags.darklaunch._diff import diff
from progflags.darklaunch._exchange import Reader, heard
from progflags.darklaunch._imprint import value_of
from progflags.darklaunch._interrupt import is_delivered
from progflags.darklaunch._observation import Observation, same_error
from progflags.darklaunch._outcome import Outcome
from progflags.darklaunch._redact import mute
from progflags.darklaunch._rules import Rule, State, compile_rules

__all__ = ["Comparer", "Conclusion"]


class Conclusion(NamedTuple):
    """The outcome, the differences behind it, and the class of the candidate's exception if that decided it."""

    outcome: Outcome
    differences: tuple[Difference, ...] = ()
    error: str | None = None
    used: frozenset[str] = frozenset()


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
    #: What of an answer is compared, worked out where comparing is done: a response's bytes become its parts.
    read: Reader | None = None
    state: State | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.state = compile_rules(self.rules)

    def conclude(self, control: Observation, candidate: Observation) -> Conclusion:
        """What the two sides amount to, the candidate having ended in time."""
        failed = None if candidate.error is None else type(candidate.error).__qualname__
        if control.error is None:
            if candidate.error is not None:
                return Conclusion(Outcome.CANDIDATE_ERROR, (), failed)
            return self._values(control.value, candidate.value)
        if candidate.error is not None and self._same_error(control.error, candidate.error):
            return Conclusion(Outcome.CONTROL_ERROR_MATCH, (), failed)
        answer = value_of(candidate.value) if candidate.error is None else candidate.error
        return Conclusion(Outcome.CONTROL_ERROR_MISMATCH, (Difference("$", "exception", control.error, answer),), failed)

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
