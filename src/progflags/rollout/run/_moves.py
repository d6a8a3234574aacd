"""Small steps, taken: the rollout as it is after them, and the line of history that each of them writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from progflags.rollout.run._history import chained
from progflags.rollout.state import VERBS, Move, Record, advance

__all__ = ["noted", "taken"]


def taken(record: Record, moves: Sequence[Move], actor: str, at: float, began: float | None) -> tuple[Record, list[dict[str, Any]]]:
    """`at`: now, by the wall clock; `began`: by the store's time, None where it has none."""
    lines: list[dict[str, Any]] = []
    for move in moves:
        after = advance(record, move, actor=actor, at=at, began=began)
        line, record = _line(record, after, move, actor, at)
        lines.append(line)
    if moves and moves[0].act in VERBS:
        record = replace(record, last=moves[0].act)  # what a person asked for; the steps that followed are its consequence
    return record, lines


def noted(record: Record, act: str, actor: str, at: float, **facts: Any) -> tuple[dict[str, Any], Record]:
    """The line of an act that moves nothing, with `facts` of its own, and the record whose history ends with it."""
    line, number, head = chained({**_body(record, record, act, actor, at), **facts}, record.number, record.head)
    return line, replace(record, number=number, head=head)


def _line(before: Record, after: Record, move: Move, actor: str, at: float) -> tuple[dict[str, Any], Record]:
    line, number, head = chained(_body(before, after, move.act, actor, at), before.number, before.head)
    return line, replace(after, number=number, head=head)


def _body(before: Record, after: Record, act: str, actor: str, at: float) -> dict[str, Any]:
    verdict = before.verdict or {}
    body: dict[str, Any] = {
        "v": 1,
        "run": after.run,
        "from": before.state,
        "to": after.state,
        "act": act,
        "stage": after.stage if after.stage >= 0 else before.stage,
        "percent": after.share / 10_000,
        "actor": actor,
        "reason": after.reason,
        "evidence": str(verdict.get("digest", "")),
        "plan": after.plan.digest,
        "at": at,
    }
    if after.edit is not None:
        body["edit"] = after.edit.digest
        if after.run != before.run:
            body["change"] = after.edit.to_json()  # once a run: what the shares of its steps are of
    if after.plan.two_person:
        body["second"] = actor if actor != after.started_by else None  # on record: did anybody but the starter have a hand in it
    return body
