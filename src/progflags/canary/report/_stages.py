"""Every stage of a rollout at one look: each gate against each stage, what came out and on how much, and why in one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from progflags._printed import markup, printable
from progflags.canary.judging import moved, odds
from progflags.canary.report._asked import asked

__all__ = ["SIGN", "spelled_out", "stage_lines", "strip"]

_TELLING: Final = 2.0  # what may as well be chance needs no number

Stage = Mapping[str, Any]  # what a rollout tells of one: its percent, samples, decision, reason, findings

#: Decisions carry a sign besides their colour.
SIGN = {"PASS": "✓", "HOLD": "…", "ROLLBACK": "✕"}


def strip(stages: Sequence[Stage]) -> str:
    """A table with a row for each gate and a column for each stage; empty where there was no stage."""
    if not stages:
        return ""
    head = "".join(f"<th scope=col>{markup(_title(stage))}<br><span class=soft>{markup(_calls(stage))}</span></th>" for stage in stages)
    rows = "".join(_row(gate, [_finding(stage, gate) for stage in stages]) for gate in _gates(stages))
    why = "".join(f"<li>{_mark(stage)}</li>" for stage in stages)
    return (
        f"<h2>Stages</h2><table class=stages tabindex=0><thead><tr><th scope=col>Gate</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"<ul>{why}</ul>"
    )


def stage_lines(stages: Sequence[Stage]) -> Iterator[str]:
    """The same in lines of text, without the single gates."""
    for stage in stages:
        decision = f"{SIGN[stage['decision']]} {stage['decision']}: {stage['reason']}" if stage["decision"] else "nothing was judged"
        yield printable(f"  {_title(stage)}, {_calls(stage)}: {decision}")


def _title(stage: Stage) -> str:
    return f"at {stage['percent']:g} %"


def _calls(stage: Stage) -> str:
    return f"{stage['samples'].get('candidate', 0):,} calls of the candidate"


def _mark(stage: Stage) -> str:
    if not stage["decision"]:
        return f"{markup(_title(stage))}: nothing was judged"
    sign = f'<b class="{markup(stage["decision"])}">{SIGN[stage["decision"]]} {markup(stage["decision"])}</b>'
    return f"{markup(_title(stage))}: {sign} {markup(stage['reason'])}"


def _gates(stages: Sequence[Stage]) -> list[str]:
    """In the order in which they were met."""
    return list(dict.fromkeys(_named(finding) for stage in stages for finding in stage["findings"]))


def _named(finding: Mapping[str, Any]) -> str:
    return str(finding.get("gate") or finding["metric"])


def _finding(stage: Stage, gate: str) -> Mapping[str, Any] | None:
    return next((finding for finding in stage["findings"] if _named(finding) == gate), None)


def spelled_out(stages: Sequence[Stage]) -> dict[str, str]:
    """By gate its condition in words, with its metric: "error_rate at most +25 %"."""
    found = (finding for stage in stages for finding in stage["findings"] if finding.get("gate"))
    return {str(one["gate"]): f"{one['metric']} {asked(one['metric'], one['kind'], one['gate'], one.get('unit', ''))}" for one in found}


def _row(gate: str, found: Sequence[Mapping[str, Any] | None]) -> str:
    first = next(finding for finding in found if finding is not None)
    metric, kind = str(first["metric"]), str(first["kind"])
    said = asked(metric, kind, gate, str(first.get("unit", ""))) if first.get("gate") else kind
    head = f"<th scope=row>{markup(metric)}<br><span class=soft>{markup(said)}</span></th>"
    return f"<tr>{head}{''.join(map(_cell, found))}</tr>"


def _cell(finding: Mapping[str, Any] | None) -> str:
    if finding is None:
        return '<td class="none">not judged</td>'
    decision, said = str(finding["decision"]), [moved(finding.get("effect"), finding.get("baseline"))]
    if (finding.get("evidence_max") or 0.0) >= _TELLING:
        said.append(f"{odds(finding['evidence_max'])} by chance")
    rest = markup("; ".join(filter(None, said)))
    return (
        f'<td class="{markup(decision)}" title="{markup(str(finding["reason"]))}"><b>{SIGN[decision]} {markup(decision)}</b><br>{rest}</td>'
    )
