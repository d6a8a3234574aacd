"""Explanation: an answer, and every step to it, for people to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from progflags._printed import printable, quoted
from progflags.flags._evaluation import Evaluation

__all__ = ["Explanation", "Step"]


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
        return printable(f"{'+' if self.matched else '-'} {printable(self.what, 400)}: {self.why}")


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    The answer, and every step to it, those that did not match included. `print` it.

    `notes` say of a past moment what of it is as of then, and what is as of now.

        why = flags.explain("new-search", "user-42")
        print(why)                                      # every step, the bucket and its threshold
        why.evaluation.value, why.unit                  # True, "user-42 (the targeting key)"
    """

    evaluation: Evaluation
    steps: tuple[Step, ...] = ()
    unit: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        answer = self.evaluation
        error = f" ({answer.error_code})" if answer.error_code else ""
        served = "the caller's default" if answer.variant is None else f"{answer.variant} = {quoted(answer.value)}"
        head = printable(f"{printable(answer.key, 240)} → {served}  [{answer.reason}{error}]")
        unit = [f"  unit: {printable(self.unit, 400)}"] if self.unit else []
        return "\n".join([head, *unit, *(f"  {step}" for step in self.steps), *(f"  ({printable(note, 400)})" for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """The answer's fields, `unit`, `steps` and `notes`, as plain JSON values."""
        names = ("what", "matched", "why", "bucket", "threshold")
        steps = [{name: getattr(step, name) for name in names} for step in self.steps]
        return {**self.evaluation.to_dict(), "unit": self.unit, "steps": steps, "notes": list(self.notes)}
