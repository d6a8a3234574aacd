"""One room decides: plans, the state machine, the controller, the brake."""

from progflags.rollout._chosen import plan_of
from progflags.rollout._decide import Move, Sight, advance, decide
from progflags.rollout._decorator import progressive
from progflags.rollout._forecast import Forecast, forecast
from progflags.rollout._lint import Advice, lint, lint_snapshot
from progflags.rollout._metric_file import MetricFile
from progflags.rollout._outbox import Hook, Outbox, Sink, Webhook, signature
from progflags.rollout._plan import BrakeRule, Plan, PlanError, Stage
from progflags.rollout._profiles import PROFILES
from progflags.rollout._record import Record
from progflags.rollout._rollouts import Rollouts
from progflags.rollout._state import TRANSITIONS, Act, State, diagram, legal
from progflags.rollout._status import RolloutStatus, Transition

__all__ = [
    "PROFILES",
    "TRANSITIONS",
    "Act",
    "Advice",
    "BrakeRule",
    "Forecast",
    "Hook",
    "MetricFile",
    "Move",
    "Outbox",
    "Plan",
    "PlanError",
    "Record",
    "RolloutStatus",
    "Rollouts",
    "Sight",
    "Sink",
    "Stage",
    "State",
    "Transition",
    "Webhook",
    "advance",
    "decide",
    "diagram",
    "forecast",
    "legal",
    "lint",
    "lint_snapshot",
    "plan_of",
    "progressive",
    "signature",
]
