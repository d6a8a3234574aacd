"""The report as one self-contained page: light and dark, printable, readable without colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

from progflags._printed import json_text, markup
from progflags.canary._units import unit_of
from progflags.canary._verdict import MetricResult
from progflags.canary._words import Decision, Kind
from progflags.canary.judging import between, estimate, moved, odds, quantity
from progflags.canary.report import _plots
from progflags.canary.report._asked import asked
from progflags.canary.report._stages import SIGN, spelled_out, strip
from progflags.canary.sequential import BAD, Claim

if TYPE_CHECKING:
    from progflags.canary.counting import Window
    from progflags.canary.sequential import Evidence

__all__ = ["STYLE", "body", "findings", "page"]

# Blue and orange of the Okabe-Ito palette: told apart by every kind of colour vision, and by their grey. The candidate is
# dashed as well.
STYLE = """
.pf-canary{--ink:#1b1f24;--paper:#fff;--soft:#5c6670;--rule:#d8dee4;--control:#0072b2;--candidate:#b45f00;--limit:#1b1f24;
--pass:#00664f;--hold:#7a5b00;--rollback:#a3230f;color:var(--ink);background:var(--paper);font:15px/1.5 system-ui,sans-serif;
max-width:60rem;margin:0 auto;padding:1.5rem}
@media (prefers-color-scheme:dark){.pf-canary{--ink:#e8ebee;--paper:#15191d;--soft:#9aa5b0;--rule:#343c44;--control:#56b4e9;
--candidate:#e69f00;--limit:#e8ebee;--pass:#4fd1b0;--hold:#f0c64a;--rollback:#ff8a75}}
@media print{.pf-canary{--ink:#000;--paper:#fff;--soft:#333;--rule:#999;--control:#0072b2;--candidate:#b45f00;--limit:#000}
.pf-canary{padding:0;font-size:12px}.pf-canary figure,.pf-canary tr{break-inside:avoid}.pf-canary h2{break-after:avoid}}
.pf-canary h1{font-size:1.5rem;margin:0 0 .25rem}.pf-canary h2{font-size:1.05rem;margin:1.75rem 0 .5rem}
.pf-canary .PASS{color:var(--pass)}.pf-canary .HOLD{color:var(--hold)}.pf-canary .ROLLBACK{color:var(--rollback)}
.pf-canary table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
.pf-canary th,.pf-canary td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid var(--rule);vertical-align:top}
.pf-canary th{color:var(--soft);font-weight:600}.pf-canary .soft{color:var(--soft);font-weight:400}
.pf-canary .stages td{border-left:3px solid currentColor}.pf-canary .stages .none{color:var(--soft)}
.pf-canary .stages ~ ul{padding-left:1.2rem}
.pf-canary tbody th{color:var(--ink)}.pf-canary .pair{display:grid;grid-template-columns:1fr 1fr;gap:1.25rem}
@media screen and (max-width:44rem){.pf-canary .pair{grid-template-columns:1fr}.pf-canary table{display:block;overflow-x:auto}}
.pf-canary .pair .plot text{font-size:17px}.pf-canary pre{overflow-x:auto;font-size:.8rem}
.pf-canary figure{margin:1rem 0}.pf-canary figcaption{color:var(--soft)}
.pf-canary .plot{width:100%;height:auto}.pf-canary .plot text{fill:var(--soft);font-size:12px}
.pf-canary .plot polyline,.pf-canary .plot .solid{fill:none;stroke-width:2}
.pf-canary .control{stroke:var(--control)}.pf-canary .candidate{stroke:var(--candidate);stroke-dasharray:6 3}
.pf-canary .solid{stroke-dasharray:none}.pf-canary .dot{fill:var(--candidate)}
.pf-canary .control.band{fill:var(--control);fill-opacity:.15;stroke:none}
.pf-canary .candidate.band{fill:var(--candidate);fill-opacity:.15;stroke:none}
.pf-canary .grid{stroke:var(--rule);stroke-width:1}.pf-canary .axis{stroke:var(--soft)}
.pf-canary .limit{stroke:var(--limit);stroke-dasharray:2 3;stroke-width:1.5}.pf-canary .plot .limit-text{fill:var(--limit)}
"""


class Reported(Protocol):
    """A CanaryReport, as far as its page knows it."""

    @property
    def decision(self) -> Decision: ...
    @property
    def reason(self) -> str: ...
    @property
    def alpha(self) -> float: ...
    @property
    def extra(self) -> Mapping[str, Any]: ...
    @property
    def results(self) -> Mapping[str, MetricResult]: ...
    @property
    def _evidence(self) -> Evidence | None: ...
    @property
    def _path(self) -> Sequence[Evidence]: ...
    def to_dict(self) -> dict[str, Any]: ...


def page(report: Reported) -> str:
    """A whole document."""
    title = str(report.extra.get("title", f"Canary: {report.decision}"))
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{markup(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="color-scheme" content="light dark"><style>body{margin:0}@media (prefers-color-scheme:dark){body{background:#15191d}}'
        f"</style></head><body>{body(report)}</body></html>\n"
    )


def body(report: Reported) -> str:
    """The findings and plots, with their own style."""
    parts = [
        f'<section class="pf-canary"><style>{STYLE}</style>',
        _heading(report),
        *(f'<p class="soft">{markup(str(note))}</p>' for note in report.extra.get("notes", ())),
        _table(report),
        strip(report.extra.get("stages", ())),
        _figures(report),
        _steps(report.extra.get("steps", ())),
        _numbers(report),
        "</section>",
    ]
    return "".join(parts)


def findings(report: Reported) -> str:
    """The tables and the plots, without their style."""
    return f'<section class="pf-canary">{_table(report)}{strip(report.extra.get("stages", ()))}{_figures(report)}</section>'


def _heading(report: Reported) -> str:
    """Where a rollout stands and why, the switch that overrules it, what is watched; then the verdict on the evidence."""
    extra = {name: markup(str(report.extra[name])) for name in ("title", "said", "stopped", "watch") if report.extra.get(name)}
    above = [
        f'<h1><span class="ROLLBACK">✕ {extra["stopped"]}</span></h1>' if "stopped" in extra else "",
        f"<{'h2' if 'stopped' in extra else 'h1'}>{extra['title']}</{'h2' if 'stopped' in extra else 'h1'}>" if "title" in extra else "",
        *(f"<p>{extra[name]}</p>" for name in ("said", "watch") if name in extra and extra[name] != markup(report.reason)),
    ]
    level = "h2" if any(above) else "h1"
    verdict = f'<{level}><span class="{report.decision}">{SIGN[report.decision]} {report.decision}</span></{level}>'
    return f"{''.join(above)}{verdict}<p>{markup(report.reason)}</p>"


def _table(report: Reported) -> str:
    """What is found just now; empty where nothing is compared any more."""
    if not report.results:
        return ""
    head = "".join(f"<th scope=col>{name}</th>" for name in ("Metric", "Control", "Candidate", "Effect", "By chance", "Decision"))
    rows = "".join(_row(name, finding) for name, finding in report.results.items())
    return f"<h2>Findings</h2><table tabindex=0><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(name: str, finding: MetricResult) -> str:
    sides = ("–" if value is None else quantity(finding.kind, value, finding.unit) for value in (finding.baseline, finding.canary))
    bounds, effect, own = finding.interval, moved(finding.effect, finding.baseline), ""
    if bounds is not None and _absolute(finding.gate):
        ends = " to ".join(quantity(finding.kind, end, finding.unit) for end in bounds)
        own = f'<br><span class="soft">{markup(ends)}</span>'
    elif bounds is not None:
        effect += f'<br><span class="soft">{markup(between(*bounds, finding.baseline))}</span>'
    weight = "" if finding.p_value is None else f"p = {finding.p_value:.3g}"
    if finding.evidence_max is not None and finding.threshold is not None:
        weight = f"{odds(finding.evidence_max)} ({odds(finding.threshold)} decides)"
    condition = asked(finding.metric, finding.kind, finding.gate, finding.unit)
    cells = [
        f"<th scope=row>{markup(name)}<br><span class=soft>{markup(condition)}</span></th>",
        f"<td>{markup(next(sides))}</td><td>{markup(next(sides))}{own}</td>",
        f"<td>{effect}</td><td>{weight}</td>",
        f'<td><b class="{finding.decision}">{SIGN[finding.decision]} {finding.decision}</b><br>{markup(finding.reason)}</td>',
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _absolute(gate: str) -> bool:
    """Whether a gate bounds the candidate's own value, whatever the control's."""
    return gate.rpartition(" ")[0].endswith((" max", " min"))


def _steps(steps: Sequence[Mapping[str, Any]]) -> str:
    """A rollout's history, oldest first."""
    if not steps:
        return ""
    head = "".join(f"<th scope=col>{name}</th>" for name in ("Time", "Step", "Share", "By", "Reason"))
    rows = "".join(
        f"<tr><td>{datetime.fromtimestamp(step['at'], UTC):%Y-%m-%d %H:%M:%S}Z</td>"
        f"<td>{markup(str(step['from']))} → {markup(str(step['to']))}</td><td>{step['percent']:g} %</td>"
        f"<td>{markup(str(step['actor']))}</td><td>{markup(str(step['reason']))}</td></tr>"
        for step in steps
    )
    return f"<h2>Steps</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _figures(report: Reported) -> str:
    figures = []
    told = [(name, finding) for name, finding in report.results.items() if finding.effect is not None]
    rows = [(name, finding.effect, None if _absolute(finding.gate) else finding.interval) for name, finding in told]
    if rows:
        figures.append(
            _figure(
                _plots.ranges("Effect of each metric", rows), "Candidate over control; each end is where its gate's test ceases to refute."
            )
        )
    figures += _courses(report)
    evidence = report._evidence
    if evidence is not None:
        totals = evidence.totals
        figures += [_distribution(totals, name, report.alpha) for name in _compared(evidence)[:6]]
        by_metric: dict[str, list[Claim]] = {}
        for claim in (one.measured(totals.candidate) for one in evidence.claims[:8]):
            by_metric.setdefault(claim.gate.metric, []).append(claim)
        figures += [_over_time(report._path, claims) for claims in by_metric.values()]
    return f"<h2>Plots</h2>{drawn}" if (drawn := "".join(figures)) else ""


def _courses(report: Reported) -> list[str]:
    """How the evidence against each gate of a rollout went, from its first look to its last, beside what was seen and its interval."""
    course, said = report.extra.get("course", {"gates": [], "points": []}), spelled_out(report.extra.get("stages", ()))
    figures = []
    for place, gate in enumerate(course["gates"], 1):
        seen = [(row[0], row[place]) for row in course["points"] if len(row) > place and row[place] is not None]
        if len(seen) > 1:
            plot = _plots.course(f"Evidence against {gate} over time", seen)
            figures.append(_figure(plot, f"{said.get(gate, gate)}: how far the evidence against it was on its way to a rollback."))
        rows = [(row[0], *row[place]) for row in course.get("bounds", ()) if len(row) > place and row[place] is not None]
        if len(rows) > 1:
            figures.append(_within(report, gate, rows))
    return [f'<div class="pair">{"".join(figures)}</div>'] if figures else []


def _within(report: Reported, gate: str, rows: Sequence[_plots.Ends]) -> str:
    """What was seen against one gate, within its interval; absolute gates are in the unit of what they bound, where it is known."""
    bound, limit = (gate.split(" ")[-2:] * 2)[:2]
    found = next((one for one in report.results.values() if one.gate == gate), None)
    if _absolute(gate):
        kind, unit = (Kind.MEAN, "") if found is None else (found.kind, found.unit)
        plot = _plots.bounds(f"The candidate's value for {gate}", rows, float(limit), lambda value: quantity(kind, value, unit))
        return _figure(plot, "What the candidate showed, and the bounds it lies within at whatever look; dotted is the gate.")
    asks = {"max_increase": 1.0, "max_decrease": -1.0}.get(bound)
    line = None if asks is None else asks * float(limit)
    plot = _plots.bounds(f"Effect for {gate}", rows, line, lambda value: moved(value, None))
    return _figure(plot, "Candidate over control, and the bounds the effect lies within at whatever look; dotted is the gate.")


def _compared(evidence: Evidence) -> list[str]:
    """The samples that both arms have and some gate asks for; where none does, all of them: a quantity may have two names."""
    control, candidate = (arm.samples for arm in (evidence.totals.control, evidence.totals.candidate))
    both = [name for name in sorted({*control} & {*candidate}) if control[name].n and candidate[name].n]
    asked_for = {claim.gate.sample for claim in evidence.claims}
    return [name for name in both if name in asked_for] or both


def _distribution(totals: Window, name: str, alpha: float) -> str:
    control, candidate = totals.control.samples[name], totals.candidate.samples[name]
    plot = _plots.cdf(f"Distribution of {name}", (control, candidate), alpha, unit_of(name, candidate.unit))
    return _figure(plot, f"{name}: share of requests at or below a value. Control solid, candidate dashed; bands are always valid.")


def _over_time(path: Sequence[Evidence], claims: Sequence[Claim]) -> str:
    """Both arms' values of a metric so far, after each of its batches, beside the evidence against each of its claims."""
    figures: list[str] = []
    for claim in claims:
        rows = _own(path, claim)
        if len(rows) < 2:
            continue
        metric = claim.gate.metric
        if not figures:
            seen = [estimate(evidence, claim) for evidence in rows]
            plot = _plots.arms(
                f"{metric} of both arms",
                [(one.baseline, one.canary) for one in seen],
                lambda value, kind=claim.kind, unit=claim.unit: quantity(kind, value, unit),  # type: ignore[misc] # its defaults
            )
            figures.append(_figure(plot, f"{metric} so far, over its batches. Control solid, candidate dashed."))
        logs = [evidence.tracks[f"{claim.name}/{BAD}"].now for evidence in rows]
        plot = _plots.evidence(f"Evidence against {claim.label}", logs, 1 / rows[-1].alpha_of(claim))
        figures.append(_figure(plot, f"{metric}, {asked(metric, claim.kind, claim.label, claim.unit)}: evidence against it."))
    return f'<div class="pair">{"".join(figures)}</div>' if figures else ""


def _own(path: Sequence[Evidence], claim: Claim) -> list[Evidence]:
    """The evidence after each batch that a claim met: in a report, metrics come one after the other."""
    rows: list[Evidence] = []
    batches = 0
    for evidence in path:
        track = evidence.track(claim)
        if track is not None and track.batches > batches:
            batches = track.batches
            rows.append(evidence)
    return rows


def _figure(plot: str, caption: str) -> str:
    return f"<figure>{plot}<figcaption>{markup(caption)}</figcaption></figure>"


def _numbers(report: Reported) -> str:
    """The same numbers as JSON, for whoever wants to compute on."""
    text = json_text(report.to_dict(), indent=1, allow_nan=False)
    return f"<details><summary>The numbers as JSON</summary><pre>{escape(text)}</pre></details>"
