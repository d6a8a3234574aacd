"""What is meant to happen: stages, gates, profiles, the calendar, and the share that fits the traffic."""

from progflags.rollout.plan._fit import Prospect, climb, expected, fitting, prospect
from progflags.rollout.plan._memory import Memory, remembers
from progflags.rollout.plan._plan import BrakeRule, Plan, PlanError, Stage
from progflags.rollout.plan._profiles import BROKEN, PROFILES, Entries, risk
from progflags.rollout.plan._traffic import Traffic

__all__ = [
    "BROKEN",
    "PROFILES",
    "BrakeRule",
    "Entries",
    "Memory",
    "Plan",
    "PlanError",
    "Prospect",
    "Stage",
    "Traffic",
    "climb",
    "expected",
    "fitting",
    "prospect",
    "remembers",
    "risk",
]
