"""A rollout: where it stands, what the evidence says, how it came there, and the verbs that are possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from progflags._console._shares import timeline
from progflags._console._view import Query, View, plain
from progflags._trouble import swallow
from progflags.errors import DefinitionError, ProgflagsError, StoreError, TransitionRefused
from progflags.rollout import legal

if TYPE_CHECKING:
    from progflags._connect import Flags
    from progflags.rollout import RolloutStatus, Transition

__all__ = ["rollout"]

_STEPS = 200  # of a history that a page shows; `progflags rollout history` has all


def rollout(flags: Flags, query: Query) -> View:
    """
    The rollout of the flag that was asked for.

    Raises:
        TransitionRefused: no such flag, or it has no rollout.
        StoreError: the store is out of reach.
    """
    key = query.get("flag", "")
    status = flags.rollouts.status(key)
    steps = flags.rollouts.history(key) if status.run else ()
    data = {
        **plain({name: value for name, value in status.to_dict().items() if name != "history"}),
        "verbs": [*map(str, legal(status.state)), "unkill" if status.killed else "kill"],
        "plan": _plan(flags, key),
        "steps": [_step(step) for step in reversed(steps[-_STEPS:])],
        "older": max(0, len(steps) - _STEPS),
    }
    plots = {"share": timeline(steps[-_STEPS:], flags.clock.now())} if steps else {}
    return View(key, "rollout.html", data, {**plots, **_figures(flags, status)}, live=f"rollout {key}")


def _plan(flags: Flags, key: str) -> dict[str, Any] | None:
    """What the file's plan will be like; None where the file has none that works."""
    try:
        return dict(plain(flags.rollouts.forecast(key).to_dict()))
    except (TransitionRefused, DefinitionError):
        return None


def _step(step: Transition) -> dict[str, Any]:
    return {**plain(step.to_dict()), "person": step.actor != "controller"}


def _figures(flags: Flags, status: RolloutStatus) -> dict[str, str]:
    """What the evidence looks like, where there is some."""
    from progflags.canary.report import figures

    try:
        return {"evidence": figures(flags.rollouts.report(status.flag))}
    except TransitionRefused:  # none was gathered yet
        return {}
    except (StoreError, ProgflagsError) as error:
        swallow("console: evidence", error)
        return {}
