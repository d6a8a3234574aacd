"""What the page about speed says in numbers: its tables and its plots, made of the figures that a run kept."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.kept import FILE, Figure, save, saved, shown
from benchmarks.rival_rules import package

DOCS = Path(__file__).parents[1] / "docs" / "explanation"
PAGE, IMAGES = DOCS / "speed.md", DOCS / "images"
PEERS = ("eppo-server-sdk", "growthbook", "openfeature-sdk", "laboratory", "deepdiff", "starlette", "scipy", "gbstats")
COLOUR = {"ours": 0, "peer": 1, "floor": 2}


@dataclass(frozen=True, slots=True)
class Part:
    """A plot and its table: some panels, by what they are called on the page; `unit` is what a figure is a multiple of."""

    name: str
    title: str
    unit: str
    panels: Mapping[str, str]
    level: str = ""  # what 1 is


PARTS = (
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
        "How many requests five servers answer in a second of processor time behind the middlewares, as a share of those without",
        "of the requests without a middleware, in the same processor time",
        {"servers": ""},
        "no middleware",
    ),
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


def parts(about: Mapping[str, str], found: Mapping[str, Sequence[Figure]]) -> dict[str, str]:
    """By name, what stands between its two marks on the page."""
    machine = "Measured on {date}: {processor}, {cores} cores, {system}, CPython {python}; {runs} runs. Beside {peers}."
    return {"machine": machine.format(**about)} | {part.name: table(part, found) for part in PARTS}


def table(part: Part, found: Mapping[str, Sequence[Figure]]) -> str:
    several = len(part.panels) > 1
    lines = [f"| {'| ' if several else ''}| {part.unit} | least to most |", f"| {'--- | ' if several else ''}--- | --- | --- |"]
    for panel, called in part.panels.items():
        for one in found[panel]:
            spread = f"{shown(min(one.values))} to {shown(max(one.values))}"
            lines.append(f"| {f'{called} | ' if several else ''}{one.name} | {shown(one.value)} | {spread} |")
    return "\n".join(lines)


def about(runs: Sequence[int]) -> dict[str, str]:
    """The machine, without its name."""
    model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text()) if Path("/proc/cpuinfo").exists() else None
    package()  # lies beside the environment: found from here on
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": model[1].strip() if model else platform.machine(),
        "cores": str(os.cpu_count()),
        "system": platform.system(),
        "python": platform.python_version(),
        "peers": ", ".join(f"{name} {version(name)}" for name in PEERS),
        "runs": " or ".join(map(str, runs)),
    }


def write(found: Mapping[str, list[Figure]]) -> None:
    """Keep the figures of the panels that were measured beside those of the others, and make the page of all."""
    before = saved()[1] if FILE.exists() else {}
    now = {**before, **found}
    save(about(sorted({len(one.values) for figures in now.values() for one in figures})), now)
    render()


def render() -> None:
    """The page's tables and plots, of what is kept."""
    told, found = saved()
    page = PAGE.read_text(encoding="utf-8")
    for name, body in parts(told, found).items():
        made = f"<!-- {name} -->\n\n{body}\n\n<!-- end -->"
        page, number = re.subn(rf"<!-- {name} -->.*?<!-- end -->", lambda _, made=made: made, page, flags=re.DOTALL)
        assert number == 1, f"{PAGE} has no place for {name}"
    PAGE.write_text(page, encoding="utf-8")
    draw(found)


def draw(found: Mapping[str, Sequence[Figure]], folder: Path = IMAGES) -> None:
    from benchmarks.plots import Row, rows

    for part in PARTS:
        groups = {
            called: [Row(one.name, min(one.values), one.value, max(one.values), COLOUR[one.whose]) for one in found[panel]]
            for panel, called in part.panels.items()
        }
        rows(folder / f"speed-{part.name}.svg", part.title, part.unit, groups, level=(part.level, 1.0))


if __name__ == "__main__":
    render()
