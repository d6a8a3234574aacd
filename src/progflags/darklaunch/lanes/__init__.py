"""Where shadows run: threads, loops, processes, and the limits that keep them out of the caller's way."""

from progflags.darklaunch.lanes._context import shadowed
from progflags.darklaunch.lanes._driver import Drive, start
from progflags.darklaunch.lanes._engine import Engine, engine
from progflags.darklaunch.lanes._exit import remember, remembered
from progflags.darklaunch.lanes._harm import HarmMonitor
from progflags.darklaunch.lanes._lane import Here, Lane, Later
from progflags.darklaunch.lanes._limits import Breaker, Rate
from progflags.darklaunch.lanes._metered import Metered
from progflags.darklaunch.lanes._process import check_guards, in_process
from progflags.darklaunch.lanes._runaway import Runaway, Stopped
from progflags.darklaunch.lanes._workers import GRACE

__all__ = [
    "GRACE",
    "Breaker",
    "Drive",
    "Engine",
    "HarmMonitor",
    "Here",
    "Lane",
    "Later",
    "Metered",
    "Rate",
    "Runaway",
    "Stopped",
    "check_guards",
    "engine",
    "in_process",
    "remember",
    "remembered",
    "shadowed",
    "start",
]
