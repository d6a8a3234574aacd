"""CanaryReport: a verdict as people read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from progflags._printed import printable
from progflags.canary._verdict import MetricResult, Verdict
from progflags.canary._words import Decision
from progflags.canary.judging import moved, odds, quantity
from progflags.canary.report._stages import stage_lines

if TYPE_CHECKING:
    from progflags.canary.sequential import Evidence

__all__ = ["CanaryReport", "figures", "stylesheet"]


@dataclass(frozen=True)
class CanaryReport:
    """
    What an analysis found. `decision` is what to do, `reason` why in one sentence, `results` the finding of each metric.

    Printing it gives a table; `to_dict` the same numbers as plain JSON; `to_html` one self-contained page.

        report = analyzer.analyze(baseline, canary)
        report.decision, report.results["error_rate"].effect
        print(report)                                           # a table of the findings
        report.to_html("report.html")
    """

    decision: Decision
    reason: str
    findings: tuple[MetricResult, ...]
    method: str
    alpha: float
    extra: Mapping[str, Any] = field(default_factory=dict)
    _evidence: Evidence | None = field(default=None, repr=False, compare=False)
    _path: Sequence[Evidence] = field(default=(), repr=False, compare=False)

    @classmethod
    def of(
        cls,
        verdict: Verdict,
        *,
        method: str,
        alpha: float,
        evidence: Evidence | None = None,
        path: Sequence[Evidence] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> CanaryReport:
        """The report of a verdict. `path`: the evidence after each batch, for plots over time."""
        notes = {"notes": list(verdict.notes)} if verdict.notes else {}
        return cls(verdict.decision, verdict.reason, verdict.findings, method, alpha, {**notes, **(extra or {})}, evidence, path)

    @property
    def results(self) -> dict[str, MetricResult]:
        """Findings by metric; a second gate on the same metric is found under the gate's own words."""
        found: dict[str, MetricResult] = {}
        for finding in self.findings:
            found[finding.metric if finding.metric not in found else finding.gate] = finding
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "decision": str(self.decision),
            "reason": self.reason,
            "method": self.method,
            "alpha": self.alpha,
            **self.extra,
            "results": {name: finding.to_dict() for name, finding in self.results.items()},
        }

    def to_html(self, path: str | Path | None = None) -> str:
        """The report as one self-contained page, written to `path` if given. No script, no network, under 300 kB."""
        from progflags.canary.report._page import page

        text = page(self)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def _repr_html_(self) -> str:
        """What a notebook shows: the findings, without the page around them."""
        from progflags.canary.report._page import body

        return body(self)

    def __str__(self) -> str:
        said = (*(finding.reason for finding in self.findings), *self.extra.get("notes", ()))
        parts = (
            "\n".join(filter(None, (printable(str(self.extra.get("stopped", ""))), printable(f"{self.decision}: {self.reason}")))),
            self._table(),
            "\n".join(printable(f"  {reason}") for reason in said),
            "\n".join(stage_lines(self.extra.get("stages", ()))),
            printable(str(self.extra.get("watch", ""))),
        )
        return "\n\n".join(filter(None, parts))

    def _table(self) -> str:
        """A row for each finding; empty where nothing is compared any more."""
        rows = [(printable(name, 80), *_row(finding)) for name, finding in self.results.items()]
        if not rows:
            return ""
        rows.insert(0, ("metric", "baseline", "canary", "effect", "by chance", "decision"))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def figures(report: CanaryReport) -> str:
    """The table of findings and the plots, for a page that has a style of its own: see `stylesheet`. No style and no script in it."""
    from progflags.canary.report._page import findings

    return findings(report)


def stylesheet() -> str:
    """The style of `figures`, and of a whole report."""
    from progflags.canary.report._page import STYLE

    return STYLE


def _row(finding: MetricResult) -> tuple[str, str, str, str, str]:
    if finding.evidence_max is not None and finding.threshold is not None:
        weight = f"{odds(finding.evidence_max)} ({odds(finding.threshold)} decides)"
    else:
        weight = "" if finding.p_value is None else f"p = {finding.p_value:.3g}"
    return (
        "" if finding.baseline is None else quantity(finding.kind, finding.baseline, finding.unit),
        "" if finding.canary is None else quantity(finding.kind, finding.canary, finding.unit),
        moved(finding.effect, finding.baseline),
        weight,
        str(finding.decision),
    )
