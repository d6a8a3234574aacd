"""What decides: plans, the state machine, the controller, the brake."""

from progflags.rollout._chosen import plan_of
from progflags.rollout._decorator import progressive
from progflags.rollout._forecast import Forecast, forecast
from progflags.rollout._lint import Advice, lint, lint_snapshot, unstartable
from progflags.rollout._metric_file import MetricFile
from progflags.rollout._past import lives_at
from progflags.rollout._proposal import Proposal
from progflags.rollout._rollouts import Rollouts
from progflags.rollout._served import served
from progflags.rollout._status import RolloutStatus, Transition
from progflags.rollout._timeline import changes
from progflags.rollout._which import Dealt, Which, deal
from progflags.rollout.plan import PROFILES, BrakeRule, Plan, PlanError, Stage
from progflags.rollout.run import (
    ARCHIVED,
    INCIDENT,
    LANDED,
    Archived,
    Batch,
    Gathering,
    Hook,
    Line,
    Outbox,
    Process,
    Sink,
    Webhook,
    apart,
    living,
    signature,
)
from progflags.rollout.state import TRANSITIONS, VERBS, Act, Move, Record, Sight, State, advance, decide, legal, steps

__all__ = [
    "ARCHIVED",
    "INCIDENT",
    "LANDED",
    "PROFILES",
    "TRANSITIONS",
    "VERBS",
    "Act",
    "Advice",
    "Archived",
    "Batch",
    "BrakeRule",
    "Dealt",
    "Forecast",
    "Gathering",
    "Hook",
    "Line",
    "MetricFile",
    "Move",
    "Outbox",
    "Plan",
    "PlanError",
    "Process",
    "Proposal",
    "Record",
    "RolloutStatus",
    "Rollouts",
    "Sight",
    "Sink",
    "Stage",
    "State",
    "Transition",
    "Webhook",
    "Which",
    "advance",
    "apart",
    "changes",
    "deal",
    "decide",
    "forecast",
    "legal",
    "lint",
    "lint_snapshot",
    "lives_at",
    "living",
    "plan_of",
    "progressive",
    "served",
    "signature",
    "steps",
    "unstartable",
]
