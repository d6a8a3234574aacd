"""A machine may stand still for seconds: what a test doesn't ask about must not decide it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from typing import Any

import pytest

from progflags import Flags, _beside, _trouble
from progflags.darklaunch._experiment import Experiment
from progflags.events import _bus
from progflags.rollout import Rollouts
from progflags.store import SQLiteStore

__all__ = ["PATIENCE", "stalls", "unhurried", "unhurried_calls", "unhurried_defaults", "until"]

PATIENCE = 60.0
"""Seconds for what must come; only a failing test waits so long."""


def until(true: Callable[[], object], seconds: float = PATIENCE, *, said: Callable[[], object] = lambda: "it never happened") -> bool:
    """Wait for what another thread, process or server does; fails, with what is to be `said` then, where it never comes."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, said()
        time.sleep(0.005)
    return True


@contextmanager
def stalls() -> Iterator[Callable[[], float]]:
    """How long the machine stood still at the worst while the block ran, in seconds: what a thread that naps for 20 ms overslept."""
    worst, ended = [0.0], threading.Event()

    def nap() -> None:
        last = time.monotonic()
        while not ended.wait(0.02):
            last, before = time.monotonic(), last
            worst[0] = max(worst[0], last - before - 0.02)

    napper = threading.Thread(target=nap, daemon=True)
    napper.start()
    try:
        yield lambda: worst[0]
    finally:
        ended.set()
        napper.join()


@pytest.fixture
def unhurried(monkeypatch):
    """A shadow is never too old or too slow, and drains wait long, unless the test sets such a limit itself."""
    monkeypatch.setattr("progflags.darklaunch._launch.DEADLINE", 600.0)
    monkeypatch.setattr("progflags.darklaunch._shadowed.STALE", 600.0)
    for wait in (Experiment.drain, Experiment.adrain):
        monkeypatch.setattr(wait, "__defaults__", (60.0,))


def _with_a_timeout() -> Iterator[dict[str, Any]]:
    """The defaults of every verb and store that has a timeout."""
    asked = [vars(owner).values() for owner in (Flags, Rollouts, SQLiteStore)]
    with suppress(ImportError):
        from progflags.contrib.redis import RedisStore

        asked.append([RedisStore.__init__])
    with suppress(ImportError):
        from progflags.contrib.postgres import PostgresStore

        asked.append([PostgresStore.__init__])
    for function in chain.from_iterable(asked):
        defaults = getattr(function, "__kwdefaults__", None) or {}
        if defaults.keys() & {"timeout", "busy"}:
            yield defaults


_DEFAULTS = tuple(_with_a_timeout())


def unhurried_calls(set_: Callable[[dict[str, Any], str, float], None] = dict.__setitem__) -> None:
    """What verbs and calls of a store have where nothing else is said, a minute; for as long as the process lives unless `set_` takes it back."""
    for defaults in _DEFAULTS:
        set_(defaults, "timeout" if "timeout" in defaults else "busy", PATIENCE)


@pytest.fixture
def unhurried_defaults(monkeypatch):
    """
    Verbs and stores have a minute where a test says nothing else, and so has what is asked or told beside: their usual two
    seconds, or twentieth of one, are soon over on a machine that stands still.
    """
    unhurried_calls(monkeypatch.setitem)
    monkeypatch.setattr(_bus, "_PATIENCE", PATIENCE)
    monkeypatch.setattr(_trouble, "beside", partial(_beside.LOGGING.do, wait=PATIENCE))
