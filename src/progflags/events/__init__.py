"""
What happened, and who is told.

Facts are frozen and in the past tense. The Bus hands each to the listeners of its type; a listener has no vote and cannot
hurt: what it raises is counted, logged once and forgotten. This is why the recorder, telemetry and dark launches need not
know each other.

What a request is told of (`Exposed`, `Served`, `Called`, `Tracked`, `Compared`) is heard at once and in the request's thread.
Everything else happens where kills and rollbacks arrive, so there an application's listeners are called beside, in order.
"""

from progflags.events._bus import Bus
from progflags.events._facts import (
    Braked,
    Called,
    Change,
    ChangeKind,
    Compared,
    Exposed,
    Exposure,
    Judged,
    Moved,
    Reloaded,
    Served,
    SourceFailed,
    Tracked,
)

__all__ = [
    "Braked",
    "Bus",
    "Called",
    "Change",
    "ChangeKind",
    "Compared",
    "Exposed",
    "Exposure",
    "Judged",
    "Moved",
    "Reloaded",
    "Served",
    "SourceFailed",
    "Tracked",
]
