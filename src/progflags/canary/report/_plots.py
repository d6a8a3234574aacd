"""Plots as inline SVG: no script, no network, readable in grey. Blue is the control, orange (and dashed) the candidate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import accumulate

from progflags._printed import markup
from progflags.canary._units import spelled
from progflags.canary.counting import EDGES, Sample
from progflags.canary.sequential import quantile_bounds

__all__ = ["arms", "bounds", "cdf", "course", "evidence", "ranges"]

Points = Sequence[tuple[float, float]]
Ends = tuple[float, float | None, float | None, float | None]  # wall time, lower end, what was seen, upper end

_W, _H, _LEFT, _BOTTOM, _TOP, _RIGHT = 640, 260, 76, 34, 14, 12
_FAR = 4.0  # times what is seen and asked: how far an end of an interval may widen an axis
_MOST = 400  # points of one line: more than the pixels it has


def _frame(title: str, inner: str, ticks: str, height: int = _H) -> str:
    return (
        f'<svg viewBox="0 0 {_W} {height}" role="img" aria-label="{markup(title)}" class="plot">'
        f"<title>{markup(title)}</title>{ticks}{inner}</svg>"
    )


class _Axes:
    """From data to pixels."""

    def __init__(self, xs: tuple[float, float], ys: tuple[float, float]) -> None:
        self.x0, self.x1 = xs
        self.y0, self.y1 = ys

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x0) / ((self.x1 - self.x0) or 1)
        up = (y - self.y0) / ((self.y1 - self.y0) or 1)
        return _LEFT + across * (_W - _LEFT - _RIGHT), _H - _BOTTOM - min(max(up, 0.0), 1.0) * (_H - _BOTTOM - _TOP)

    def line(self, points: Points, kind: str) -> str:
        step = max(1, len(points) // _MOST)
        thinned = [*points[::step], points[-1]] if points else []
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*point) for point in thinned))
        return f'<polyline class="{kind}" points="{path}"/>'

    def area(self, low: Points, high: Points, kind: str) -> str:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*point) for point in [*low, *reversed(high)]))
        return f'<polygon class="{kind} band" points="{path}"/>'

    def ticks(self, xs: Iterable[tuple[float, str]], ys: Iterable[tuple[float, str]]) -> str:
        out = []
        for x, text in xs:
            px, py = self.at(x, self.y0)
            anchor = "end" if px > _W - 60 else "start" if px < _LEFT + 1 else "middle"  # a label never leaves the picture
            out.append(f'<line class="grid" x1="{px:.1f}" x2="{px:.1f}" y1="{_TOP}" y2="{py:.1f}"/>')
            out.append(f'<text x="{px:.1f}" y="{py + 20:.1f}" text-anchor="{anchor}">{markup(text)}</text>')
        for y, text in ys:
            px, py = self.at(self.x0, y)
            out.append(f'<line class="grid" x1="{px:.1f}" x2="{_W - _RIGHT}" y1="{py:.1f}" y2="{py:.1f}"/>')
            out.append(f'<text x="{px - 6:.1f}" y="{py + 4:.1f}" text-anchor="end">{markup(text)}</text>')
        return "".join(out)


def evidence(title: str, logs: Sequence[float], threshold: float) -> str:
    """Evidence against a gate over the batches, on a log scale, with the line where it decides."""
    tens = [log / math.log(10) for log in logs] or [0.0]
    bar = math.log10(threshold)
    # Where it crosses the line is what matters: how far beyond it went, or how little it ever was, may leave the picture.
    axes = _Axes((0, max(len(tens) - 1, 1)), (max(-2.2, min(-0.5, *tens)), min(max(bar * 1.25, *tens), bar + 2)))
    marks = range(math.ceil(axes.y0), math.floor(axes.y1) + 1, 1 if axes.y1 - axes.y0 < 5 else 2)
    ticks = axes.ticks([(0, "batch 1"), (axes.x1, f"{len(tens)}")], [(y, f"{10.0**y:g}") for y in marks])
    x0, y0 = axes.at(axes.x0, bar)
    x1, _ = axes.at(axes.x1, bar)
    limit = f'<line class="limit" x1="{x0:.1f}" x2="{x1:.1f}" y1="{y0:.1f}" y2="{y0:.1f}"/>'
    label = f'<text class="limit-text" x="{x1:.1f}" y="{y0 - 5:.1f}" text-anchor="end">1 in {threshold:.3g} decides</text>'
    return _frame(title, axes.line(list(enumerate(tens)), "candidate solid") + limit + label, ticks)


def course(title: str, points: Points) -> str:
    """How far the evidence against a gate was on its way, over time: at 0 it is as likely by chance as not, at 1 it decides."""
    axes = _Axes((points[0][0], points[-1][0]), (-0.5, 1.3))
    ticks = axes.ticks([(axes.x0, _clock(axes.x0)), (axes.x1, _clock(axes.x1))], [(0.0, "none"), (0.5, "half"), (1.0, "decides")])
    (x0, y0), (x1, _) = axes.at(axes.x0, 1.0), axes.at(axes.x1, 1.0)
    limit = f'<line class="limit" x1="{x0:.1f}" x2="{x1:.1f}" y1="{y0:.1f}" y2="{y0:.1f}"/>'
    return _frame(title, axes.line(points, "candidate solid") + limit, ticks)


def bounds(title: str, rows: Sequence[Ends], limit: float | None, spell: Callable[[float], str]) -> str:
    """What was seen over time within its always-valid interval, and the line that the gate draws; `spell` writes a value."""
    seen = [value for _, _, value, _ in rows if value is not None] or [0.0]
    marks = [*seen, *([] if limit is None else [limit])]
    late = rows[len(rows) // 2 :]  # an interval begins at anything at all: it is where it comes to that is to be seen
    ends = [
        end for _, low, _, high in late for end in (low, high) if end is not None and abs(end) <= _FAR * max(map(abs, marks), default=1.0)
    ]
    low, high = min([*marks, *ends]), max([*marks, *ends])
    spare = 0.08 * (high - low) or 0.1 * abs(high) or 0.1
    axes = _Axes((rows[0][0], rows[-1][0]), (low - spare, high + spare))
    lower = [(at, axes.y0 if end is None else end) for at, end, _, _ in rows]
    upper = [(at, axes.y1 if end is None else end) for at, _, _, end in rows]
    inner = axes.area(lower, upper, "candidate") + axes.line(
        [(at, value) for at, _, value, _ in rows if value is not None], "candidate solid"
    )
    if limit is not None:
        (x0, y0), (x1, _) = axes.at(axes.x0, limit), axes.at(axes.x1, limit)
        inner += f'<line class="limit" x1="{x0:.1f}" x2="{x1:.1f}" y1="{y0:.1f}" y2="{y0:.1f}"/>'
    ticks = axes.ticks([(axes.x0, _clock(axes.x0)), (axes.x1, _clock(axes.x1))], [(y, spell(y)) for y in (low, (low + high) / 2, high)])
    return _frame(title, inner, ticks)


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%m-%d %H:%M:%S}Z"


def arms(title: str, rows: Sequence[tuple[float | None, float | None]], spell: Callable[[float], str]) -> str:
    """Both arms' values over the batches; `spell` writes a value with its unit."""
    sides = [[(i, row[side]) for i, row in enumerate(rows)] for side in (0, 1)]
    known = [[(float(i), value) for i, value in side if value is not None and math.isfinite(value)] for side in sides]
    values = [value for side in known for _, value in side] or [0.0]
    low, high = min(values), max(values)
    spare = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    axes = _Axes((0, max(len(rows) - 1, 1)), (max(0.0, low - spare) if low >= 0 else low - spare, high + spare))
    marks = [axes.y0 + part * (axes.y1 - axes.y0) for part in (0.0, 0.5, 1.0)]
    ticks = axes.ticks([(0, "batch 1"), (axes.x1, f"{len(rows)}")], [(y, spell(y)) for y in marks])
    return _frame(title, "".join(axes.line(side, kind) for side, kind in zip(known, ("control", "candidate"), strict=True) if side), ticks)


def cdf(title: str, arms: tuple[Sample, Sample], alpha: float, unit: str) -> str:
    """Both arms' distribution functions on a log scale of values in `unit`, each with an always-valid band of its quantiles."""
    both = arms[0].merge(arms[1])
    first, last = max(both.base - 1, 0), min(both.base + len(both.counts), len(EDGES)) - 1
    axes = _Axes((math.log(EDGES[first]), math.log(EDGES[last])), (0.0, 1.0))
    inner = ""
    for sample, kind in zip(arms, ("control", "candidate"), strict=True):
        if not sample.n:
            continue
        low, high = [], []
        for q in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99):
            lower, upper = quantile_bounds(sample, q, (alpha / 2, alpha / 2))
            low.append((math.log(min(max(lower, EDGES[first]), EDGES[last])), q))
            high.append((math.log(min(max(upper, EDGES[first]), EDGES[last])), q))
        inner += axes.area(low, high, kind)
        running = accumulate(sample.counts)
        steps = [(math.log(EDGES[min(sample.base + i, len(EDGES) - 1)]), count / sample.n) for i, count in enumerate(running)]
        inner += axes.line([(axes.x0, 0.0), *steps, (axes.x1, 1.0)], kind)
    decades = range(math.ceil(math.log10(EDGES[first]) - 0.3), math.floor(math.log10(EDGES[last]) + 0.3) + 1)
    xs = [(math.log(10.0**d), spelled(10.0**d, unit)) for d in decades if axes.x0 <= math.log(10.0**d) <= axes.x1]
    xs = xs or [(axes.x0, spelled(EDGES[first], unit)), (axes.x1, spelled(EDGES[last], unit))]
    return _frame(title, inner, axes.ticks(xs, [(0.0, "0 %"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %")]))


def ranges(title: str, rows: Sequence[tuple[str, float | None, tuple[float, float] | None]]) -> str:
    """The effect of each metric with its interval, on a common axis: what is right of 0 is more than the control."""
    known = [v for _, effect, bounds in rows for v in (effect, *(bounds or ())) if v is not None and math.isfinite(v)]
    low_end, high_end = max(min([-0.1, *known]), -1.0), min(max([0.1, *known]), 3.0)
    height = 40 + 30 * len(rows)
    left, right = 180.0, _W - 36.0

    def at(value: float) -> float:
        return float(left + (min(max(value, low_end), high_end) - low_end) / (high_end - low_end) * (right - left))

    zero = at(0.0)
    out = [f'<line class="axis" x1="{zero:.1f}" x2="{zero:.1f}" y1="10" y2="{height - 22}"/>']
    ends = [v for v in (low_end, high_end) if abs(at(v) - zero) > 40]
    out += [f'<text x="{at(v):.0f}" y="{height - 6}" text-anchor="middle">{100 * v:+.0f} %</text>' for v in ends]
    out.append(f'<text x="{zero:.0f}" y="{height - 6}" text-anchor="middle">0</text>')
    for i, (name, effect, bounds) in enumerate(rows):
        y = 24 + 30 * i
        out.append(f'<text x="4" y="{y + 4}">{markup(name)}</text>')
        if bounds is not None:
            low, high = (at(v) for v in bounds)
            out.append(f'<line class="candidate solid" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>')
        if effect is not None:
            out.append(f'<circle class="dot" cx="{at(effect):.1f}" cy="{y}" r="5"/>')
    return _frame(title, "".join(out), "", height)
