"""
One live screen of a rollout: where it is, what both arms do, what the judge says, what happened last.

With rich and a terminal it is redrawn in place and fits 80×24; without either it is one plain line per change, so that a
log or a pipe reads well too. State is never told by colour alone.
"""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from progflags._printed import printable
from progflags.cli._say import tell, tell_json

if TYPE_CHECKING:
    from progflags.rollout import RolloutStatus, Transition

__all__ = ["line", "screen", "watch"]

_MARKS: Final = {"PASS": "✓", "HOLD": "…", "ROLLBACK": "✗"}
_EVENTS = 5
_METRICS = 9
_NOTES = 4


def watch(
    look: Callable[[], RolloutStatus], *, over: Callable[[RolloutStatus], bool], every: float = 1.0, as_json: bool = False
) -> RolloutStatus:
    """Follow what `look` returns until `over` says so; the last status."""
    if sys.stdout.isatty() and not as_json:
        try:
            import rich.live  # noqa: F401 - only the package itself: what `look` raises is another matter
        except ModuleNotFoundError:  # lines do
            return _lines(look, over, every, as_json=as_json)
        return _live(look, over, every)
    return _lines(look, over, every, as_json=as_json)


def _live(look: Callable[[], RolloutStatus], over: Callable[[RolloutStatus], bool], every: float) -> RolloutStatus:
    from rich.live import Live
    from rich.text import Text

    status = look()
    with Live(Text(screen(status)), auto_refresh=False, transient=False) as live:
        while True:
            size = live.console.size
            live.update(Text(screen(status, width=size.width, height=size.height), no_wrap=True, overflow="crop"), refresh=True)
            if over(status):
                return status
            time.sleep(every)
            status = look()


def _lines(look: Callable[[], RolloutStatus], over: Callable[[RolloutStatus], bool], every: float, *, as_json: bool) -> RolloutStatus:
    said = ""
    while True:
        status = look()
        key = f"{status.standing} {status.stage} {status.percent} {status.verdict} {status.why if status.verdict == 'ROLLBACK' else ''}"
        key += f" {status.stopped} {status.pending} {status.waiting}"
        if key != said:
            if as_json:
                tell_json(status.to_dict(), default=str, flush=True)
            else:
                tell(f"{datetime.now(UTC):%H:%M:%S} {status}", flush=True)
            said = key
        if over(status):
            return status
        time.sleep(every)


def screen(status: RolloutStatus, *, width: int = 80, height: int = 24) -> str:
    """The whole screen as text of at most `width` × `height`."""
    head, notes, events = _head(status, width), _notes(status, width), _events(status)
    room = height - 1 - len(head) - len(notes) - len(events) - 2  # what the metrics may take: the last events stay in sight
    rows = [*head, "", *_metrics(status, max(room, 3)), *notes, "", *events]
    return "\n".join(_fit(row, width) for row in rows[: height - 1])


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


def _fit(row: str, width: int) -> str:
    clean = "".join(c if c.isprintable() else " " for c in row)
    return clean if len(clean) <= width else clean[: width - 1] + "…"
