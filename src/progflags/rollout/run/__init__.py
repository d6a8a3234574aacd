"""The loop: look, judge, decide, brake, commit, tell."""

from progflags.rollout.run._archive import Archived, archive, archived
from progflags.rollout.run._brake import Brake
from progflags.rollout.run._controller import Controller
from progflags.rollout.run._heard import Bars
from progflags.rollout.run._history import ARCHIVED
from progflags.rollout.run._intent import Intent
from progflags.rollout.run._kept import Kept
from progflags.rollout.run._ledger import LANDED, Ledger
from progflags.rollout.run._looks import Looks
from progflags.rollout.run._meter import Meter
from progflags.rollout.run._outbox import LIMIT, Outbox
from progflags.rollout.run._page import FLAG, ROLLOUT, Page, possible, records, subject
from progflags.rollout.run._places import INCIDENT
from progflags.rollout.run._processes import Process, Processes, apart, living
from progflags.rollout.run._saved import Saved
from progflags.rollout.run._shadows import Shadows
from progflags.rollout.run._sinks import Batch, Gathering, Hook, Line, Sink, Webhook, signature
from progflags.rollout.run._summaries import Summaries
from progflags.rollout.run._switches import Switches, act

__all__ = [
    "ARCHIVED",
    "FLAG",
    "INCIDENT",
    "LANDED",
    "LIMIT",
    "ROLLOUT",
    "Archived",
    "Bars",
    "Batch",
    "Brake",
    "Controller",
    "Gathering",
    "Hook",
    "Intent",
    "Kept",
    "Ledger",
    "Line",
    "Looks",
    "Meter",
    "Outbox",
    "Page",
    "Process",
    "Processes",
    "Saved",
    "Shadows",
    "Sink",
    "Summaries",
    "Switches",
    "Webhook",
    "act",
    "apart",
    "archive",
    "archived",
    "living",
    "possible",
    "records",
    "signature",
    "subject",
]
