"""The plan of a flag in a file."""

from __future__ import annotations

from collections.abc import Mapping

from progflags.errors import DefinitionError
from progflags.flags import FlagModel
from progflags.rollout._plan import Plan, PlanError

__all__ = ["plan_of"]


def plan_of(model: FlagModel, profiles: Mapping[str, str] | None = None) -> Plan:
    """
    The plan of a flag that has a rollout. `profiles` is the file's table of that name: pattern → profile.

    Raises:
        DefinitionError: the table cannot be carried out; the problem names file, line and key.
    """
    spec = model.rollout
    assert spec is not None
    try:
        return Plan.of(spec.data, tags=model.tags, key=model.key, file=spec.file, rules=profiles or {})
    except PlanError as error:
        path = tuple(int(part) if part.isdecimal() else part for part in error.key.split(".") if part)
        raise DefinitionError([spec.problem(path, error.message)]) from None
