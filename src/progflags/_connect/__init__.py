"""
The composition root: `connect` puts source, client, store, recorder and rollouts together into a `Flags`.

It is the one place that knows all the rooms.
"""

from __future__ import annotations

from progflags._connect._connect import connect
from progflags._connect._ears import Ears
from progflags._connect._flags import Flags
from progflags._connect._reach import Reach
from progflags._connect._status import State, Status
from progflags._connect._who import login

__all__ = [
    "Ears",
    "Flags",
    "Reach",
    "State",
    "Status",
    "connect",
    "login",
]
