"""
Plots of what was measured or computed, for the documentation: SVG with text as text, the same bytes for the same numbers.

They keep white paper at night, as the diagrams do. matplotlib is in the dependency group `bench`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from benchmarks.kept import shown

#: dark enough on white, and apart from each other also for who sees no red or green (Okabe and Ito's, without the yellow)
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#5c4b8a", "#56b4e9")
INK, FAINT = "#333a44", "#c9ced6"

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "progflags",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8ebef",
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "lines.linewidth": 1.8,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line: `points` are (x, y). `measured`: as filled dots, and nothing between them; `dashed`: another may lie below it."""

    name: str
    points: Sequence[tuple[float, float]]
    measured: bool = False
    dashed: bool = False
    colour: int = 0


@dataclass(frozen=True, slots=True)
class Panel:
    """`levels`: horizontal lines, by what is written on them, at their left or right end."""

    title: str
    x: str
    lines: Sequence[Line]
    levels: Mapping[str, float] = field(default_factory=dict)
    written: Literal["left", "right"] = "left"


def lines(file: Path, title: str, panels: Sequence[Panel], *, across: int = 0) -> None:
    """
    Line charts side by side, both axes logarithmic. `title` is what is read to who does not see it. Lines of one name share a legend.

    `across`: so many in a row, each with a legend of its own.
    """
    with mpl.rc_context(STYLE):
        own, across = across > 0, across or len(panels)
        down = -(-len(panels) // across)
        figure = Figure(figsize=(4.6 * across, 4.4 if down == 1 else 3.2 * down + 1), layout="constrained")
        for at, panel in enumerate(panels, 1):
            axes = figure.add_subplot(down, across, at, yscale="log", title=panel.title, xlabel=panel.x)
            none = any(x == 0 for line in panel.lines for x, _ in line.points)
            axes.set_xscale("symlog", linthresh=1) if none else axes.set_xscale("log")
            for line in panel.lines:
                axes.plot(
                    *zip(*line.points, strict=True), marker="o", color=COLOURS[line.colour % len(COLOURS)], label=line.name, **_kind(line)
                )
            at_end = {"left": (0.02, "left"), "right": (0.98, "right")}[panel.written]
            for name, level in panel.levels.items():
                axes.axhline(level, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
                where: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "xytext": (0, 3), "textcoords": "offset points"}
                axes.annotate(name, (at_end[0], level), ha=at_end[1], fontsize=8.5, **where)
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(FuncFormatter(_number))
        if own:
            _apart_each(figure)
        else:
            _together(figure, [line for panel in panels for line in panel.lines if line.measured])
        _write(file, title, figure)


def _together(figure: Figure, measured: Sequence[Line]) -> None:
    """One legend for all panels, below them."""
    named = {text: handle for axes in figure.axes for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    for line in measured:
        named[line.name] = Line2D([], [], color=INK, marker="o", linestyle="none", markersize=5)  # of whichever colour
    figure.legend(named.values(), named, loc="outside lower center", ncols=2, frameon=False, fontsize=9)


def _apart_each(figure: Figure) -> None:
    """A legend in each panel, with room above the lines for it."""
    most = max(axes.get_ylim()[1] for axes in figure.axes)
    for axes in figure.axes:
        axes.set_ylim(1, most * 4)
        axes.legend(loc="upper left", frameon=False, fontsize=8.5)


def _kind(line: Line) -> dict[str, Any]:
    if line.measured:
        return {"linestyle": "none", "markersize": 5}
    return {"linestyle": (0, (3, 2)) if line.dashed else "-", "markersize": 3, "markerfacecolor": "white"}


@dataclass(frozen=True, slots=True)
class Row:
    """A point, with a thin line from its least to its most; in a colour of its own by whose it is."""

    name: str
    least: float
    value: float
    most: float
    colour: int = 0


def rows(file: Path, title: str, unit: str, groups: Mapping[str, Sequence[Row]], *, level: tuple[str, float] | None = None) -> None:
    """A row for each name, the first on top, its value written beside it; groups under their names. `level`: a line and what it is."""
    found = [row for group in groups.values() for row in group]
    far = max(row.most for row in found) > 30 * min(row.least for row in found)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 0.9 + 0.27 * (len(found) + len(groups))), layout="constrained")
        axes = figure.add_subplot(xlabel=unit, xscale="log" if far else "linear")
        place, ticks = len(found) + len(groups), {}
        for name, group in groups.items():
            if name:
                axes.annotate(name, (0, place), va="center", fontsize=9.5, **_apart(("axes fraction", "data")))
            for row in group:
                place -= 1
                ticks[place] = row.name
                axes.plot([row.least, row.most], [place, place], color=COLOURS[row.colour], linewidth=1)
                axes.plot([row.value], [place], "o", color=COLOURS[row.colour], markersize=6)
                axes.annotate(shown(row.value), (row.most, place), va="center", fontsize=8.5, annotation_clip=False, **_apart("data"))
            place -= 1
        if level is not None:
            axes.axvline(level[1], color=INK, linewidth=0.8, linestyle=(0, (4, 3)), label=level[0])
            axes.legend(loc="lower right", frameon=False, fontsize=8.5)
        axes.set_yticks(list(ticks), list(ticks.values()))
        if not far:
            axes.set_xlim(left=0)
        axes.margins(x=0.12)
        axes.set_ylim(-0.6, len(found) + len(groups) + 0.6)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_formatter(FuncFormatter(_number))
        _write(file, title, figure)


def _apart(of: str | tuple[str, str]) -> dict[str, Any]:
    return {"xycoords": of, "xytext": (7, 0), "textcoords": "offset points"}


def _number(value: float, _: int | None = None) -> str:
    return f"{value:,.0f}" if value >= 1 or value == 0 else f"{value:g}"


def _write(file: Path, title: str, figure: Figure) -> None:
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = text.getvalue()
    svg = re.sub(r"<svg ", '<svg role="img" ', svg, count=1)
    svg = re.sub(r"(<svg [^>]*>)", rf"\1\n <title>{escape(title)}</title>", svg, count=1)
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")
