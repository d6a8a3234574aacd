"""
One live screen of a rollout: where it is, what both arms do, what the judge says, what happened last.

It fits 80×24. State is never told by colour alone.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from progflags._printed import printable
from progflags.cli._follow import News, fit, follow
from progflags.overview import essence

if TYPE_CHECKING:
    from progflags.rollout import RolloutStatus, Transition

__all__ = ["line", "news", "screen", "watch"]

_MARKS: Final = {"PASS": "✓", "HOLD": "…", "ROLLBACK": "✗"}
_EVENTS = 5
_METRICS = 9
_NOTES = 4


def watch(
    look: Callable[[], RolloutStatus], *, over: Callable[[RolloutStatus], bool], every: float = 1.0, as_json: bool = False
) -> RolloutStatus:
    """Follow what `look` returns until `over` says so; the last status."""
    return follow(lambda: _One(status := look(), over(status)), every=every, as_json=as_json).status


@dataclass(frozen=True, slots=True)
class _One:
    status: RolloutStatus
    over: bool

    def screen(self, *, width: int, height: int) -> str:
        return screen(self.status, width=width, height=height)

    def news(self) -> Iterable[News]:
        yield news(self.status)


def news(status: RolloutStatus) -> News:
    """A rollout's line, told again when something of it is another than the seconds that its bake has left."""
    return News(f"rollout {status.flag}", essence(status), str(status), status.to_dict())


def screen(status: RolloutStatus, *, width: int = 80, height: int = 24) -> str:
    """The whole screen as text of at most `width` × `height`."""
    head, notes, events = _head(status, width), _notes(status, width), _events(status)
    room = height - 1 - len(head) - len(notes) - len(events) - 2  # what the metrics may take: the last events stay in sight
    rows = [*head, "", *_metrics(status, max(room, 3)), *notes, "", *events]
    return "\n".join(fit(row, width) for row in rows[: height - 1])


def _head(status: RolloutStatus, width: int) -> list[str]:
    where = f"stage {status.stage + 1} of {status.stages}" if status.stage is not None else f"{status.stages} stages"
    title = f"{status.flag}   {status.standing.upper()}   {status.percent:g} %   {where}"
    bar = width - 24
    filled = 0 if not status.bake else round(bar * min(1.0, status.baked / status.bake))
    baking = status.stage is not None or status.state == "watching"
    bake = f"bake {'█' * filled}{'░' * (bar - filled)} {_span(status.bake_left)} left" if baking else ""
    control, candidate = status.samples.get("control", 0), status.samples.get("candidate", 0)
    samples = f"calls: {control:,} control, {candidate:,} candidate (each ≥ {status.min_samples:,})"
    why = f"{_MARKS.get(str(status.verdict), '')} {status.verdict}: {status.why}" if status.verdict else (status.reason or "no verdict yet")
    rows = [title, "─" * width, bake, samples, why]
    if status.waiting:
        rows.append(f"waits: {status.waiting}")
    if status.cool_down:
        rows.append(f"cools down for another {_span(status.cool_down)}")
    if status.stopped:
        rows.append(f"everybody gets the safe variant: {status.stopped}")
    return [row for row in rows if row]


def _metrics(status: RolloutStatus, room: int) -> list[str]:
    head = f"{'metric':<18} {'control':>10} {'candidate':>10}    "
    if not status.findings:
        return [head + "(no findings yet)"]
    rows = [head + "what it says"]
    worst = sorted(status.findings, key=lambda finding: ("ROLLBACK", "HOLD", "PASS").index(str(finding.get("decision", "PASS"))))
    most = min(_METRICS, room - 1)
    shown = len(worst) if len(worst) <= most else most - 1
    for finding in worst[:shown]:
        mark = _MARKS.get(str(finding.get("decision")), " ")
        name, control, candidate = str(finding.get("metric"))[:18], _number(finding, "baseline"), _number(finding, "canary")
        rows.append(f"{name:<18} {control:>10} {candidate:>10}  {mark} {finding.get('reason', '')}")
    if len(worst) > shown:
        rows.append(f"… and {len(worst) - shown} more")
    return rows


def _notes(status: RolloutStatus, width: int) -> list[str]:
    """What the checks of the data advise, in few lines: they are sentences, and the whole of them is in `rollout status`."""
    rows = [row for note in status.notes for row in textwrap.wrap(f"note: {note}", width, subsequent_indent="      ")]
    return rows if len(rows) <= _NOTES else [*rows[: _NOTES - 1], f"      … ({len(status.notes)} notes: `rollout status` has them)"]


def _events(status: RolloutStatus) -> list[str]:
    return [line(step) for step in status.history[-_EVENTS:]]


def line(step: Transition) -> str:
    """One step of a history as a line."""
    at = datetime.fromtimestamp(step.at, UTC)
    why = f": {step.reason}" if step.reason else ""
    return printable(f"{at:%Y-%m-%d %H:%M:%S}Z #{step.revision} {step.source} → {step.target} at {step.percent:g} % by {step.actor}{why}")


def _number(finding: Mapping[str, Any], key: str) -> str:
    value = finding.get(key)
    return "–" if not isinstance(value, (int, float)) else f"{value:.4g}"


def _span(seconds: float) -> str:
    whole = round(seconds)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size * 60 // size:02d}" if unit != "d" else f"{whole / size:.1f}d"
    return f"{whole}s"
