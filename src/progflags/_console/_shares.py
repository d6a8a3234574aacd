"""A rollout's climb as a picture: the share as a step line on a log axis, a colour and a word for each state, marks for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from progflags._printed import markup

if TYPE_CHECKING:
    from progflags.rollout import Transition

__all__ = ["timeline"]

_W, _H, _LEFT, _RIGHT, _TOP, _BOTTOM = 960, 220, 52, 14, 12, 44
_LEAST: Final = 0.1  # percent: the lowest line of the axis; nobody at all is below it
_BAND: Final = 34  # pixels a state needs to have its name written in it


def timeline(steps: Sequence[Transition], now: float) -> str:
    """An SVG of `steps`, of which there is at least one, up to `now`. It has classes and no styles, so that any page may show it."""
    first, last = steps[0].at, steps[-1].at
    over = str(steps[-1].target) in ("completed", "rolled_back", "aborted", "superseded")
    end = max(last + max((last - first) * 0.06, 1.0), first + 1.0)
    axis = _Axis(first, end if over else max(end, now))
    title = f"Share over time, from {steps[0].percent:g} % to {steps[-1].percent:g} % in {len(steps)} steps; the table below has each"
    parts = (*_bands(steps, axis), *_grid(axis), _line(steps, axis), *_marks(steps, axis))
    return f'<svg viewBox="0 0 {_W} {_H}" role="img" aria-label="{markup(title)}" class="shares">{"".join(parts)}</svg>'


class _Axis:
    """From time and share to pixels."""

    def __init__(self, first: float, end: float) -> None:
        self.first, self.end = first, end

    def x(self, at: float) -> float:
        across = (at - self.first) / (self.end - self.first)
        return _LEFT + min(max(across, 0.0), 1.0) * (_W - _LEFT - _RIGHT)

    def y(self, percent: float) -> float:
        bottom = _H - _BOTTOM
        if percent <= 0:
            return bottom
        up = (math.log10(max(percent, _LEAST)) - math.log10(_LEAST)) / 3
        return bottom - (0.08 + 0.92 * up) * (bottom - _TOP)


def _bands(steps: Sequence[Transition], axis: _Axis) -> Iterator[str]:
    """What state it was in, as a background; named where there is room."""
    spans = [(str(one.target), one.at, after.at) for one, after in pairwise(steps)] + [(str(steps[-1].target), steps[-1].at, axis.end)]
    for state, begin, end in spans:
        x0, x1 = axis.x(begin), axis.x(end)
        if x1 - x0 < 0.3:
            continue
        name = state.replace("_", " ")
        yield f'<rect class="st-{markup(state)}" x="{x0:.1f}" y="{_TOP}" width="{x1 - x0:.1f}" height="{_H - _BOTTOM - _TOP}">'
        yield f"<title>{markup(name)}</title></rect>"
        if x1 - x0 > max(_BAND, 6.4 * len(name)):
            yield f'<text class="state" x="{(x0 + x1) / 2:.1f}" y="{_H - 28}" text-anchor="middle">{markup(name)}</text>'


def _grid(axis: _Axis) -> Iterator[str]:
    for percent in (0, 1, 10, 50, 100):
        y = axis.y(percent)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_W - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>'
    ends = ((axis.first, _LEFT, "start"), (axis.end, _W - _RIGHT, "end"))
    for at, x, anchor in ends:
        yield f'<text x="{x}" y="{_H - 8}" text-anchor="{anchor}">{_clock(at)}</text>'


def _clock(at: float) -> str:
    try:
        return f"{datetime.fromtimestamp(at, UTC):%m-%d %H:%M:%S}Z"
    except (OverflowError, ValueError, OSError):
        return "?"


def _line(steps: Sequence[Transition], axis: _Axis) -> str:
    points: list[tuple[float, float]] = []
    before = 0.0
    for step in steps:
        points += [(axis.x(step.at), axis.y(before)), (axis.x(step.at), axis.y(step.percent))]
        before = step.percent
    points.append((axis.x(axis.end), axis.y(before)))
    return f'<polyline class="share" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def _marks(steps: Sequence[Transition], axis: _Axis) -> Iterator[str]:
    """A triangle where a person acted, a tick where a verdict was behind the step."""
    for step in steps:
        x, y = axis.x(step.at), axis.y(step.percent)
        said = f"{step.source} → {step.target} by {step.actor}{': ' if step.reason else ''}{step.reason}"
        if step.actor != "controller":
            yield f'<path class="person" d="M{x:.1f} {y - 6:.1f}l5 -9h-10z"><title>{markup(said, 240)}</title></path>'
        elif step.evidence:
            yield f'<circle class="verdict" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{markup(said, 240)}</title></circle>'
