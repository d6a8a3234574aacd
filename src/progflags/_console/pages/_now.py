"""Now: everything under way, the worst first, each with the one thing to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from progflags._console._view import Query, View
from progflags.errors import StoreError
from progflags.overview import Item, Level, Now

if TYPE_CHECKING:
    from progflags._connect import Flags
    from progflags.rollout import RolloutStatus

__all__ = ["now"]


def now(flags: Flags, query: Query) -> View:  # noqa: ARG001 - every page is asked alike
    """`troubles` are what is no rollout and not well, `rollouts` a row each, `shadows` and `supplies` what is well of the others."""
    try:
        seen = Now.of(flags)
    except StoreError as error:
        seen = Now(()).cut_off(error)
    rollouts = [_row(item, item.about) for item in seen.items if item.kind == "rollout" and item.about is not None]  # type: ignore[arg-type]
    rest = [item for item in seen.items if item.kind != "rollout"]
    data = {
        "level": seen.level.name.lower(),
        "waits": sum(item.level is not Level.FINE for item in seen.items),
        "troubles": [_said(item) for item in rest if item.level is not Level.FINE],
        "rollouts": rollouts,
        "shadows": [_said(item) for item in rest if item.kind == "shadow" and item.level is Level.FINE],
        "supplies": [_said(item) for item in rest if item.kind != "shadow" and item.level is Level.FINE],
    }
    return View("Now", "now.html", data, live="now")


def _said(item: Item) -> dict[str, Any]:
    return {**item.to_dict(), "act": item.act, "mark": item.level.mark, "about": getattr(item.about, "flag", item.flag)}


def _row(item: Item, status: RolloutStatus) -> dict[str, Any]:
    return {
        "flag": item.flag,
        "level": item.level.name.lower(),
        "mark": item.level.mark,
        "act": item.act,
        "state": str(status.state),
        "standing": status.standing,
        "percent": status.percent,
        "stage": None if status.stage is None else status.stage + 1,
        "stages": status.stages,
        "baked": status.baked if status.bake else None,
        "bake": status.bake,
        "verdict": None if status.verdict is None else str(status.verdict),
        "why": status.stopped or status.waiting or _why(status),
        "eta": status.eta,
        "since": status.since,
    }


def _why(status: RolloutStatus) -> str:
    if str(status.state) == "awaiting_approval":  # how it came to wait says nothing of what it waits for
        return "waits for somebody to approve the next step"
    return status.why if status.stage is not None else status.reason
