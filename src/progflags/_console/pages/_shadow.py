"""A dark launch: which fields differ where, with samples side by side, what it cost, and what was left out and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from progflags._console._view import Query, View, number, plain
from progflags._console.pages._shadows import of_launch
from progflags._printed import quoted
from progflags.errors import TransitionRefused

if TYPE_CHECKING:
    from progflags._connect import Flags

__all__ = ["shadow"]

_PAGE: Final = 10  # causes a page shows with their samples
_ROWS: Final = 20  # of the heat-map
_COLUMNS: Final = 8


def shadow(flags: Flags, query: Query) -> View:
    """
    The dark launches under the flag that was asked for. Samples lie in the process that saw them: `here` has this one's.

    Raises:
        TransitionRefused: no process has told of one.
        StoreError: the store is out of reach.
    """
    flag = query.get("flag", "")
    launches = [of_launch(one) for one in flags.rollouts.dark_launches() if one.flag == flag]
    causes, worst = _here(flags, flag)
    if not launches and not causes:
        raise TransitionRefused(f"no process has told of a dark launch under {quoted(flag)} yet")
    page = number(query, "page", 1, max(1, -(-len(causes) // _PAGE)))
    data = {
        "flag": flag,
        "launches": launches,
        "heat": _heat(causes),
        "causes": causes[(page - 1) * _PAGE : page * _PAGE],
        "causes_all": len(causes),
        "worst": worst,
        "page": page,
        "pages": max(1, -(-len(causes) // _PAGE)),
    }
    return View(flag, "shadow.html", data)


def _here(flags: Flags, flag: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What this process saw: the causes, the most frequent first, and the worst scores."""
    if "progflags.darklaunch" not in sys.modules:
        return [], []
    from progflags.darklaunch import experiments

    told = [one.report() for one in experiments() if one.flag == flag and one.gate.client is flags]
    causes = [plain(cause) for report in told for cause in report["causes"]]
    worst = [plain(one) for report in told for one in report.get("scores", {}).get("worst", ())]
    return sorted(causes, key=lambda cause: -int(cause["count"])), worst[:_PAGE]


def _heat(causes: list[dict[str, Any]]) -> dict[str, Any]:
    """How often each path differs at each endpoint; `level` is 0 to 4, on a log scale of the most frequent."""
    counts: dict[tuple[str, str], int] = {}
    for cause in causes:
        place = cause["path"], cause["endpoint"] or "all calls"
        counts[place] = counts.get(place, 0) + int(cause["count"])
    paths = list(dict.fromkeys(path for path, _ in counts))[:_ROWS]
    endpoints = list(dict.fromkeys(endpoint for _, endpoint in counts))[:_COLUMNS]
    most = max(counts.values(), default=1)
    rows = [{"path": path, "cells": [_cell(counts.get((path, endpoint), 0), most) for endpoint in endpoints]} for path in paths]
    return {"endpoints": endpoints, "rows": rows}


def _cell(count: int, most: int) -> dict[str, int]:
    level = 0 if not count else 1 + min(3, round(3 * count.bit_length() / max(1, most.bit_length())))
    return {"count": count, "level": level}
