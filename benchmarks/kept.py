"""
Figures that a run keeps for the page about speed: `python -m benchmarks --html` asks for them, other runs forget them.

Each is a multiple of a floor, or a share of the same without us, of one run; a figure's spread is that of whole runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

FILE = Path(__file__).with_name("speed.json")
Whose = Literal["ours", "peer", "floor"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the page: what was measured in each run, in the order of the runs."""

    name: str
    whose: Whose
    values: tuple[float, ...]

    @property
    def value(self) -> float:
        return median(self.values)


def shown(value: float) -> str:
    """A ratio to three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


_now: dict[tuple[str, str, Whose], list[float]] = {}


def keep(panel: str, name: str, value: float, whose: Whose = "ours") -> None:
    """One run's figure, in its place on the page."""
    _now.setdefault((panel, name, whose), []).append(value)


def kept() -> dict[str, list[Figure]]:
    """By panel, what the runs of this process kept."""
    found: dict[str, list[Figure]] = {}
    for (panel, name, whose), values in _now.items():
        found.setdefault(panel, []).append(Figure(name, whose, tuple(values)))
    return found


def save(about: Mapping[str, str], found: Mapping[str, list[Figure]]) -> None:
    panels = {
        panel: [{"name": one.name, "whose": one.whose, "values": [float(f"{value:.4g}") for value in one.values]} for one in figures]
        for panel, figures in found.items()
    }
    FILE.write_text(json.dumps({"about": dict(about), "panels": panels}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def saved() -> tuple[dict[str, str], dict[str, list[Figure]]]:
    """What the machine was, and the figures."""
    body: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    panels = {
        panel: [Figure(one["name"], one["whose"], tuple(one["values"])) for one in figures] for panel, figures in body["panels"].items()
    }
    return body["about"], panels
