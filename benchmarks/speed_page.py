"""What the page about speed says in numbers: its tables and its plots, made of the figures that a run kept."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.kept import FILE, Figure, save, saved, shown
from benchmarks.rival_rules import package
from benchmarks.speed_parts import PARTS

DOCS = Path(__file__).parents[1] / "docs" / "explanation"
PAGE, IMAGES = DOCS / "speed.md", DOCS / "images"
PEERS = (
    *("eppo-server-sdk", "growthbook", "launchdarkly-server-sdk", "openfeature-sdk", "openfeature-provider-flagd", "django-waffle"),
    *("laboratory", "deepdiff", "scipy", "gbstats", "starlette", "fastapi", "django", "flask"),
)


def parts(about: Mapping[str, str], found: Mapping[str, Sequence[Figure]]) -> dict[str, str]:
    """By name, what stands between its two marks on the page."""
    machine = "Measured on {date}: {processor}, {cores} cores, {system}, CPython {python}; {runs} runs. Beside {peers}."
    return {"machine": machine.format(**about), "behind": behind(found)} | {part.name: part.table(found) for part in PARTS}


def behind(found: Mapping[str, Sequence[Figure]]) -> str:
    """Every row in which a peer is ahead."""
    lines = ["| | progflags | quicker | |", "| --- | --- | --- | --- |"]
    for part in PARTS:
        for what, ours, theirs in part.behind(found):
            lines.append(f"| {what}: {ours.name} | {shown(ours.value)} | {theirs.name} | {shown(theirs.value)} |")
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
    for part in PARTS:
        if part.plotted:
            part.plot(found, folder / f"speed-{part.name}.svg")


if __name__ == "__main__":
    render()
