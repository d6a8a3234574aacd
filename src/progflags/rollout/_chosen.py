"""The plan of a flag in a file."""

from __future__ import annotations

from progflags.errors import DefinitionError
from progflags.flags import FlagModel
from progflags.rollout._plan import Plan, PlanError

__all__ = ["plan_of"]


def plan_of(model: FlagModel) -> Plan:
    """
    The plan of a flag that has a rollout.

    Raises:
        DefinitionError: the table cannot be carried out; the problem names file, line and key.
    """
    spec = model.rollout
    assert spec is not None
    try:
        return Plan.of(spec.data, tags=model.tags, key=model.key)
    except PlanError as error:
        path = tuple(int(part) if part.isdecimal() else part for part in error.key.split(".") if part)
        raise DefinitionError([spec.problem(path, error.message)]) from None
