"""What the page about scale says in numbers: its tables and its plot, made of what was measured and of what was computed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.fleet_followers import TAG, Followed
from benchmarks.fleet_point import Point, Spread
from benchmarks.fleet_points import Found
from benchmarks.fleet_simulation import WAYS, Row

DOCS = Path(__file__).parents[1] / "docs" / "explanation"
PAGE, PLOT = DOCS / "scale.md", DOCS / "images" / "scale.svg"


def text(known: Found, rows: Sequence[Row], followed: Mapping[int, Followed]) -> str:
    return "\n\n".join(f"{name}\n{body}" for name, body in parts(known, rows, followed).items())


def parts(known: Found, rows: Sequence[Row], followed: Mapping[int, Followed]) -> dict[str, str]:
    """By name, what stands between its two marks on the page."""
    return {
        "measured questions": asked(known),
        "measured together": together(known),
        "computed": computed(rows, followed),
        "computed storms": storms(rows),
    }


def asked(known: Found) -> str:
    head = ["", "processes", "idle", "with a rollout", "windows put up", "windows read", "documents read", "connections"]
    body = [
        [
            _way(point),
            str(point.processes),
            f"{point.idle:.2f}",
            f"{point.busy:.2f}",
            *(f"{part / 1024:.1f}" for part in (point.put_up, point.read, point.documents)),
            str(point.connections * (2 if point.server == "Redis" else 1)),
        ]
        for point in known.points
    ]
    return f"{_load(known)}\n\n{_table(head, body)}"


def together(known: Found) -> str:
    head = ["", "processes", "from the verdict until the last serves nobody", "from a kill", "from `kill -9` of who looks, batches"]
    body = [[_way(point), str(point.processes), _ms(point.verdicts), _ms(point.kills), _batches(point.deaths)] for point in known.points]
    return _table(head, body)


def computed(rows: Sequence[Row], followed: Mapping[int, Followed]) -> str:
    head = [
        "processes",
        "",
        "connections",
        "idle",
        "rollout",
        "KiB",
        "busy",
        "rollback",
        "counts",
    ]
    body = []
    for size, follows in followed.items():
        for row in [row for row in rows if row.processes == size]:
            ended = "too late" if math.isinf(row.ended[1]) else f"{_seconds(row.ended[0])}, {_seconds(row.ended[1])}"
            asks = [f"{row.connections:,}", f"{row.idle:,.0f}", f"{row.rollout:,.0f}", f"{row.bytes / 1024:,.0f}"]
            old = "too late" if math.isinf(row.old) else f"{row.old:.0f} s"
            body.append([f"{size:,}", _short(row), *asks, _share(row), ended, old])
        served = follows.served
        cdn = [f"{follows.requests:,.0f}", f"{follows.requests:,.0f}", f"{follows.requests * TAG / 1024:,.0f}", "-"]
        when = f"{_seconds(served[len(served) // 2])}, {_seconds(served[-1])}"
        body.append([f"{size:,}", "CDN", "0", *cdn, when, "-"])
    return _table(head, body)


def storms(rows: Sequence[Row]) -> str:
    head = ["processes", "", "all start: supplied after", "busiest second", "the server is back: answered after", "busiest second"]
    body = [
        [f"{row.processes:,}", _short(row), _seconds(row.supplied), f"{row.storm:,}", _seconds(row.back), f"{row.rush:,}"]
        for row in rows
        if row.processes >= 1000
    ]
    return _table(head, body)


def _short(row: Row) -> str:
    return next(way.short for way in WAYS if way.name == row.way)


def _way(point: Point) -> str:
    hosts = "" if not point.hosts else f", {point.hosts} host{'s' * (point.hosts > 1)}"
    return f"{point.server}{hosts}"


def _load(known: Found) -> str:
    beside = "while it did much other work, so the times are too long" if known.loaded else "which did nothing else"
    return f"Measured on one machine of {known.processors} cores, {beside}.{f' {known.note}' if known.note else ''}"


def _ms(seconds: Spread) -> str:
    return f"{_seconds(seconds.median)}, {_seconds(seconds.worst)}"


def _batches(found: Spread | None) -> str:
    return f"{found.median:.1f}, {found.worst:.1f}" if found else "nobody is left"


def _seconds(seconds: float) -> str:
    if math.isinf(seconds):
        return "not in time"
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _share(row: Row) -> str:
    return "all, and not enough" if row.failed and row.processors > 0.9 else f"{row.processors * 100:.{int(row.processors < 0.1)}f} %"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows)


def write(known: Found, rows: Sequence[Row], followed: Mapping[int, Followed]) -> None:
    """The parts of the page that are made, and the plot."""
    page = PAGE.read_text()
    for name, body in parts(known, rows, followed).items():
        made = f"<!-- {name} -->\n\n{body}\n\n<!-- end -->"
        page, number = re.subn(rf"<!-- {name} -->.*?<!-- end -->", lambda _, made=made: made, page, flags=re.DOTALL)
        assert number == 1, f"{PAGE} has no place for what is {name}"
    PAGE.write_text(page)
    draw(known, rows, followed)


def draw(known: Found, rows: Sequence[Row], followed: Mapping[int, Followed], file: Path = PLOT) -> None:
    from benchmarks.plots import Line, Panel, lines

    asks, holds = [], []
    for colour, way in enumerate(WAYS):
        mine = [row for row in rows if row.way == way.name]
        name = way.name.replace("`", "")
        asks.append(Line(name, [(row.processes, row.rollout) for row in mine], colour=colour, dashed=way.server == "Redis"))
        holds.append(Line(name, [(row.processes, row.connections) for row in mine], colour=colour))
        points = [one for one in known.points if (one.server, one.hosts > 0) == (way.server, way.per_host > 0)] if way.hints else []
        if points:
            twice = 2 if way.server == "Redis" else 1
            asks.append(Line("measured", [(one.processes, one.busy * one.processes) for one in points], measured=True, colour=colour))
            holds.append(Line("measured", [(one.processes, one.connections * twice) for one in points], measured=True, colour=colour))
    asks.append(Line("a snapshot: requests to the CDN", [(size, one.requests) for size, one in followed.items()], colour=len(WAYS)))
    most = max((row for row in rows if row.way == WAYS[0].name and row.processes <= 1000), key=lambda row: row.processes)
    full = most.rollout / most.processors
    lines(
        file,
        "How many statements a second and how many connections a fleet of 1 to 100,000 processes comes to, by the way it shares live state",
        [
            Panel("Statements a second, with a rollout", "processes", asks, {"all that two cores of PostgreSQL answer": full}),
            Panel("Connections to the server", "processes", holds, {"PostgreSQL's default": 100, "Redis's default": 10_000}, "right"),
        ],
    )
