"""Record ⇄ document. What another version wrote, or somebody by hand, is refused when read, never guessed at."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import inf, isfinite
from typing import Any, Final

from progflags._json import canonical, loads
from progflags.canary import Evidence, Window
from progflags.errors import StoreError
from progflags.flags import Edit
from progflags.rollout.plan import Memory, Plan, Traffic
from progflags.rollout.state._course import Course
from progflags.rollout.state._drift import Drift
from progflags.rollout.state._record import Record
from progflags.rollout.state._result import StageResult
from progflags.rollout.state._state import Act, State

__all__ = ["VERSION", "bare", "dump", "load"]

VERSION: Final = 1
CHANGING: Final = 2
"""Of a rollout of another definition. A progflags that knows of none says that it can't read it, and leaves it to those that can."""
_GATHERED: Final[Mapping[str, Any]] = {
    "baked": 0.0,
    "waited": 0.0,
    "samples": {},
    "verdict": None,
    "evidence": None,
    "drift": None,
    "window": None,
    "recent": [],
    "memory": None,
    "looker": "",
}


def dump(record: Record) -> dict[str, Any]:
    """The body of the document `rollout/<flag>`."""
    edited = {} if record.edit is None else {"edit": record.edit.to_json()}
    return {
        "v": CHANGING if edited else VERSION,
        **edited,
        "flag": record.flag,
        "plan": _written(record.plan),
        "state": record.state,
        "stage": record.stage,
        "run": record.run,
        "baked": record.baked,
        "waited": record.waited,
        "waived": record.waived,
        "samples": dict(record.samples),
        "approved": list(record.approved),
        "resumes": record.resumes,
        "strikes": record.strikes,
        "reach": record.reach,
        "since": record.since,
        "began": record.began,
        "last": record.last,
        "moved_by": record.moved_by,
        "started_by": record.started_by,
        "reason": record.reason,
        "number": record.number,
        "head": record.head,
        "verdict": None if record.verdict is None else dict(record.verdict),
        "evidence": None if record.evidence is None else record.evidence.to_json(),
        "drift": None if record.drift is None else record.drift.to_json(),
        "window": None if record.window is None else record.window.to_json(),
        "traffic": None if record.traffic is None else record.traffic.to_json(),
        "recent": [list(slot) for slot in record.recent],
        "memory": None if record.memory is None else record.memory.to_json(),
        "course": record.course.to_dict(),
        "results": [result.to_json() for result in record.results],
        "met": record.met,
        "looker": record.looker,
        "expects": [seconds if isfinite(seconds) else None for seconds in record.expects],
    }


def bare(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body without what was gathered: where the rollout stands, and its plan. It changes with a step, not with every batch."""
    return {**body, **{key: nothing for key, nothing in _GATHERED.items() if key in body}}


def load(body: Mapping[str, Any]) -> Record:
    """
    The record in a document's body.

    Raises:
        StoreError: it is of a newer version, or not a rollout's; it is left as it is.
    """
    if body.get("v") not in (VERSION, CHANGING):
        raise StoreError(f"a rollout of version {body.get('v')!r} is in the store; this progflags reads version {VERSION}: update it")
    try:
        record = _load(body)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise StoreError(
            f"the rollout of {body.get('flag')!r} in the store is damaged ({type(error).__name__}: {error}); it is left alone"
        ) from error
    if not -1 <= record.stage <= record.plan.end:
        raise StoreError(f"the rollout of {record.flag!r} in the store is at stage {record.stage} of {record.plan.end}; it is left alone")
    return record


def _load(body: Mapping[str, Any]) -> Record:
    evidence, window, verdict, drift = body["evidence"], body["window"], body["verdict"], body["drift"]
    return Record(
        flag=str(body["flag"]),
        plan=_thaw(canonical(body["plan"])),
        state=State(body["state"]),
        stage=int(body["stage"]),
        run=int(body["run"]),
        baked=float(body["baked"]),
        waited=float(body["waited"]),
        waived=bool(body["waived"]),
        samples={str(arm): int(count) for arm, count in body["samples"].items()},
        approved=tuple(int(stage) for stage in body["approved"]),
        resumes=None if body["resumes"] is None else State(body["resumes"]),
        strikes=int(body["strikes"]),
        reach=int(body["reach"]),
        since=float(body["since"]),
        began=None if (began := body.get("began")) is None else float(began),
        last=None if body["last"] is None else Act(body["last"]),
        moved_by=str(body["moved_by"]),
        started_by=str(body["started_by"]),
        reason=str(body["reason"]),
        number=int(body["number"]),
        head=str(body["head"]),
        verdict=None if verdict is None else dict(verdict),
        evidence=None if evidence is None else Evidence.from_json(evidence),
        window=None if window is None else Window.from_json(window),
        drift=None if drift is None else Drift.from_json(drift),
        traffic=None if (traffic := body.get("traffic")) is None else Traffic.from_json(traffic),
        recent=tuple((float(seconds), int(calls)) for seconds, calls in body.get("recent", ())),
        memory=None if (memory := body.get("memory")) is None else Memory.from_json(memory),
        edit=Edit.of(body["edit"]) if body["v"] == CHANGING else None,
        course=Course() if (course := body.get("course")) is None else Course.from_json(course),
        results=tuple(map(StageResult.from_json, body.get("results", ()))),
        met=int(body.get("met", 0)),
        looker=str(body.get("looker", "")),
        expects=tuple(inf if seconds is None else float(seconds) for seconds in body.get("expects", ())),
    )


@lru_cache(maxsize=128)
def _written(plan: Plan) -> dict[str, Any]:
    """A plan's text is the same at every commit of its run."""
    return plan.to_dict()


@lru_cache(maxsize=128)
def _thaw(text: str) -> Plan:
    """Plans are frozen and looked at on every tick: one object per distinct text."""
    return Plan.thaw(loads(text))
