"""What the page about speed shows: its parts, each a table and mostly a plot, of the figures that a run kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.kept import Figure, shown

COLOUR = {"ours": 0, "peer": 1, "floor": 2}
#: What of ours does what other libraries do in the same handler: five flags.
FIVE = ("five flags, no middleware", "five flags", "five, one of them rolled out")
#: bench_request's frameworks, and what each is served with.
FRAMEWORKS = {
    "fastapi": "FastAPI",
    "starlette": "Starlette",
    "asgi": "plain ASGI",
    "django": "Django, WSGI",
    "django-asgi": "Django, ASGI",
    "flask": "Flask",
    "wsgi": "plain WSGI",
}
GROWN = {
    "flags asked": "flags asked in a request",
    "rules": "rules of the flag asked",
    "members": "members of the list asked",
    "rollouts": "rollouts under way",
    "listeners": "listeners to requests",
    "threads": "threads that serve",
}
SAID = {
    "frameworks": "in process",
    "applications": "behind a server",
    "launch": "a dark launch",
    "diff": "comparing",
    "evaluation": "an evaluation",
}
Found = Mapping[str, Sequence[Figure]]


@dataclass(frozen=True, slots=True)
class Part:
    """
    A plot and its table: some panels, by what they are called on the page; `unit` is what a figure is a multiple of.

    `compared`: the rows of ours that do what the peers' do, all of them where none is named; `more`: the larger the better.
    """

    name: str
    title: str
    unit: str
    panels: Mapping[str, str]
    level: str = ""  # what 1 is
    plotted: bool = True
    drawn: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()
    more: bool = False

    def table(self, found: Found) -> str:
        several = len(self.panels) > 1
        lines = [f"| {'| ' if several else ''}| {self.unit} | least to most |", f"| {'--- | ' if several else ''}--- | --- | --- |"]
        for panel, called in self.panels.items():
            for one in found[panel]:
                spread = f"{shown(min(one.values))} to {shown(max(one.values))}"
                lines.append(f"| {f'{called} | ' if several else ''}{one.name} | {shown(one.value)} | {spread} |")
        return "\n".join(lines)

    def plot(self, found: Found, file: Path) -> None:
        from benchmarks.plots import Row, rows

        groups = {
            self.panels[panel]: [Row(one.name, min(one.values), one.value, max(one.values), COLOUR[one.whose]) for one in figures]
            for panel, figures in self.seen(found).items()
        }
        rows(file, self.title, self.unit, groups, level=(self.level, 1.0))

    def seen(self, found: Found) -> dict[str, Sequence[Figure]]:
        """By panel, the figures that the plot has."""
        return {panel: found[panel] for panel in self.drawn or self.panels}

    def behind(self, found: Found) -> Iterator[tuple[str, Figure, Figure]]:
        """Where a peer is ahead: what is done, our figure, and the best peer's."""
        for panel, called in self.panels.items():
            theirs = [one for one in found[panel] if one.whose == "peer"]
            if not theirs:
                continue
            best = (max if self.more else min)(theirs, key=lambda one: one.value)
            for one in found[panel]:
                if one.whose != "ours" or (self.compared and one.name not in self.compared):
                    continue
                if one.value < best.value if self.more else one.value > best.value:
                    yield ", ".join(filter(None, (SAID.get(self.name, self.name), called))), one, best


@dataclass(frozen=True, slots=True)
class Matrix(Part):
    """A table with a column for each panel; the plot has those that are `drawn`, and of them what is `compared`."""

    def table(self, found: Found) -> str:
        names = list(dict.fromkeys(one.name for panel in self.panels for one in found[panel]))
        cells = {panel: {one.name: shown(one.value) for one in found[panel]} for panel in self.panels}
        lines = [f"| {self.unit} | {' | '.join(self.panels.values())} |", f"| --- |{' --- |' * len(self.panels)}"]
        lines += [f"| {name} | {' | '.join(cells[panel].get(name, '') for panel in self.panels)} |" for name in names]
        return "\n".join(lines)

    def seen(self, found: Found) -> dict[str, Sequence[Figure]]:
        return {panel: [one for one in found[panel] if one.whose == "peer" or one.name in self.compared] for panel in self.drawn}


@dataclass(frozen=True, slots=True)
class Curves(Part):
    """A panel for each thing that there can be more of; a figure's name ends in how many there were."""

    def plot(self, found: Found, file: Path) -> None:
        from benchmarks.plots import Line, Panel, lines

        panels = []
        for panel, called in self.panels.items():
            points: dict[str, list[tuple[float, float]]] = {}
            for one in found[panel]:
                name, number = along(one)
                points.setdefault(name, []).append((number, one.value))
            panels.append(Panel(called, "", [Line(name, at, colour=n) for n, (name, at) in enumerate(points.items())]))
        lines(file, self.title, panels, across=3)


def along(one: Figure) -> tuple[str, float]:
    """The line that a figure is on, and how far along."""
    name, _, number = one.name.rpartition(", ")
    return name, float(number.replace(",", ""))


PARTS: tuple[Part, ...] = (
    Part(
        "evaluation",
        "What an evaluation takes, as a multiple of a Python function with one hash and one comparison, of progflags and of three SDKs",
        "times a Python function with one hash and one comparison",
        {
            "evaluation a": "on for everybody",
            "evaluation b": "half of all users",
            "evaluation c": "two conditions, then a quarter",
            "evaluation d": "four variants by weight",
        },
        "that function",
    ),
    Part(
        "request",
        "What an ASGI middleware adds to a request, as a multiple of an application that answers with a constant",
        "times an ASGI application that answers with a constant",
        {"request": ""},
        "that application",
    ),
    Part(
        "servers",
        "How many requests three servers answer in a second of processor time behind the middlewares, as a share of those without",
        "of the requests without a middleware, in the same processor time",
        {"servers": ""},
        "no middleware",
        more=True,
    ),
    Matrix(
        "frameworks",
        "What a request takes with five flags asked in it, as a multiple of the application bare, of progflags and of other libraries",
        "times the application bare",
        {f"request {kind}": name for kind, name in FRAMEWORKS.items()},
        "the application bare",
        drawn=("request fastapi", "request django", "request flask", "request asgi"),
        compared=FIVE,
    ),
    Matrix(
        "applications",
        "How many requests a server answers in the same processor time with five flags asked in each, as a share of the application bare",
        "of the requests of the application bare, in the same processor time",
        {f"served {kind}": name for kind, name in FRAMEWORKS.items()},
        "the application bare",
        drawn=("served fastapi", "served django"),
        compared=FIVE,
        more=True,
    ),
    Curves(
        "growth",
        "What a request takes the more there is of flags, rules, members, rollouts, listeners and threads, as a multiple of a bare one",
        "times the application bare",
        {f"growth: {name}": of for name, of in GROWN.items()},
        "the application bare",
    ),
    Part("memory", "", "KiB, by tracemalloc", {"memory": ""}, plotted=False),
    Part("beside", "", "milliseconds of processor time", {"beside": ""}, plotted=False),
    Part("ticks", "", "times the p99 without", {"beside ticks": ""}, plotted=False),
    Part(
        "launch",
        "What a dark launch takes of its caller's time, as a multiple of a decorator that does nothing",
        "times a decorator that does nothing",
        {"dark launch": ""},
        "a decorator that does nothing",
    ),
    Part(
        "diff",
        "What comparing two results takes, as a multiple of == on the same documents, of progflags and of deepdiff",
        "times == on the same two documents",
        {"diff of 5 kB": "documents of 5 kB", "diff of 207 kB": "documents of 207 kB"},
        "==",
    ),
    Part(
        "recording",
        "What recording an observation takes, as a multiple of adding one to a number in a dict",
        "times adding one to a number in a dict",
        {"recording": ""},
        "adding one in a dict",
    ),
    Part(
        "verdict",
        "What other ways to judge five metrics take, as a multiple of a decision of progflags",
        "times a decision on five metrics",
        {"verdict": ""},
        "a decision on five metrics",
    ),
)
