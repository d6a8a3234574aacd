"""Functions of the application's that hang or exit, and threads that end: kills go on arriving, and the status says what is wrong."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import progflags as pf
from progflags import _beside, _trouble
from progflags.context import begin
from progflags.errors import StoreError
from progflags.events import Judged, Moved, Reloaded, _bus
from progflags.rollout import Hook
from progflags.sources import Refresher, source_of
from progflags.testing import ManualClock
from support.patience import PATIENCE, until

GATE = {"metric": "error_rate", "max": 0.2, "policy": "no_alarm"}
PLAN = {"stages": [{"percent": 50, "bake": "10m", "gates": [GATE]}], "batch": "1s"}
FLAGS = {"checkout": {"rollout": PLAN}, "plain": {"percent": 100}, "other": {}}
EXITS = [SystemExit("done"), asyncio.CancelledError(), KeyboardInterrupt(), GeneratorExit()]


class Fleet:
    """Two processes' worth of clients over one store: one has the application's functions, the other a person at it."""

    def __init__(self, folder: Path, flags: dict[str, Any]) -> None:
        url = f"sqlite:///{folder}/store.db"
        self.here = pf.connect({"flags": flags}, store=url, poll=0.1)
        self.there = pf.connect({"flags": flags}, store=url, control=False)
        self.gate = threading.Event()  # what hangs, hangs here

    def kill_arrives(self) -> bool:
        """A kill said elsewhere is seen here, and taken back is seen as well."""
        self.there.kill("plain", by="ops")
        seen = until(lambda: not self.here.is_enabled("plain", "u1"))
        self.there.unkill("plain", by="ops")
        return seen and until(lambda: self.here.is_enabled("plain", "u1"))

    def said(self, name: str) -> str:
        return self.here.status().threads.get(name, "")

    def ready(self) -> bool:
        return self.here.status().state == "READY"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(tmp_path, FLAGS)
    yield made
    made.gate.set()
    made.here.close()
    made.there.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs is said to hang after half a second, and is waited for as long as usual."""
    monkeypatch.setattr(_trouble, "beside", partial(_beside.LOGGING.do, wait=0.05))
    for place in ("_beside.LIMIT", "sources._job._LATE", "rollout.run._outbox.LIMIT", "rollout._parts.LIMIT"):
        monkeypatch.setattr(f"progflags.{place}", 0.5)
    for function in (_beside.Beside.__init__, _beside.Asked.__init__):
        monkeypatch.setitem(function.__kwdefaults__, "limit", 0.5)


def test_everything_runs(fleet: Fleet) -> None:
    """What a quiet client says of itself; one that looks by hand runs nothing."""
    until(lambda: fleet.here.status().threads == {"source": "running", "store": "running", "rollouts": "running"})
    fleet.here.rollouts.notify(Hook("pager", lambda line: None))
    fleet.here.metrics.source("depth", lambda: 1.0)
    assert fleet.here.status().threads.keys() == {"source", "store", "rollouts", "notifications", "sink pager", "metric depth"}
    until(lambda: set(fleet.here.status().threads.values()) == {"running"})
    until(fleet.ready)
    fleet.here.close()
    assert fleet.here.status().threads == {}
    with pf.connect({"flags": FLAGS}, clock=ManualClock()) as by_hand:
        assert by_hand.status().threads == {}


# -- what hangs ---------------------------------------------------------------------------------------------------------------


def test_a_source_that_hangs_keeps_no_kill_away(fleet: Fleet) -> None:
    """It kept this process from everybody's rollback for as long, and the status said READY."""
    fleet.here.rollouts.start("checkout", by="ops")
    fleet.here.metrics.source("depth", lambda: fleet.gate.wait() and 1.0, max_age=0.5)

    until(lambda: "has not come back" in fleet.said("metric depth"))
    assert fleet.here.status().state == "DEGRADED"
    assert fleet.kill_arrives()
    assert "has not come back" in fleet.said("metric depth")

    fleet.gate.set()
    until(lambda: fleet.said("metric depth") == "running")
    until(fleet.ready)


def test_a_judge_of_a_shadow_that_hangs_keeps_no_kill_away(tmp_path: Path, impatient: None) -> None:
    fleet = Fleet(tmp_path, {**FLAGS, "checkout": {"rollout": {**PLAN, "dark_launch": True}}})
    fleet.here.rollouts.shadow("checkout", lambda: fleet.gate.wait() and "SAFE")
    status = fleet.here.rollouts.start("checkout", by="ops")
    assert (status.state, status.percent) == ("scheduled", 0)
    assert "dark launch of checkout has not answered yet" in status.waiting

    until(lambda: "has not come back" in fleet.said("dark launch of checkout"))
    assert fleet.kill_arrives()
    fleet.gate.set()
    until(lambda: fleet.here.rollouts.status("checkout").percent == 50)
    fleet.here.close()
    fleet.there.close()


@pytest.mark.parametrize("kind", [Reloaded, Moved, Judged])
def test_a_listener_that_hangs_keeps_no_kill_away(fleet: Fleet, kind: type, impatient: None) -> None:
    """It keeps its place in the queue, too: what happened meanwhile it hears in order."""
    heard: list[Any] = []

    def hang(event: Any) -> None:
        fleet.gate.wait()
        heard.append(event)

    fleet.here.bus.listen(kind, hang)
    fleet.here.rollouts.start("checkout", by="ops")
    fleet.here.rollouts.pause("checkout", by="ops")
    name = f"listener {hang.__qualname__}"
    if kind is not Judged:
        until(lambda: "has not come back" in fleet.said(name))
    assert fleet.kill_arrives()
    assert heard == []
    fleet.gate.set()
    if kind is Moved:
        until(lambda: len(heard) >= 2)
        assert [(moved.source, moved.target) for moved in heard][-1][1] == "paused"
    until(lambda: fleet.said(name) == "running")


def test_a_sink_that_hangs_keeps_nothing_from_the_others(fleet: Fleet, impatient: None) -> None:
    told: list[Any] = []
    fleet.here.rollouts.notify(Hook("stuck", lambda line: fleet.gate.wait()))
    fleet.here.rollouts.notify(Hook("pager", told.append))
    until(lambda: fleet.here._store.read("outbox/pager")[1])  # both begin with what happens from here on
    until(lambda: fleet.here._store.read("outbox/stuck")[1])
    fleet.here.rollouts.start("checkout", by="ops")

    until(lambda: told)
    until(lambda: "has not come back" in fleet.said("sink stuck"))
    until(lambda: fleet.said("sink pager") == "running")
    fleet.there.rollouts.pause("checkout", by="ops")
    until(lambda: told[-1]["to"] == "paused")


def test_a_file_that_hangs_is_said_and_keeps_no_kill_away(tmp_path: Path, impatient: None) -> None:
    """A look at the source that does not come back misses its interval."""
    gate, url = threading.Event(), f"sqlite:///{tmp_path}/store.db"
    quick = [True]

    class Slow:
        name = "slow"

        def read(self) -> Any:
            if not quick:
                gate.wait()
            return static.read()

    static = source_of({"flags": FLAGS})
    with pf.connect(Slow(), store=url, poll=0.1) as here, pf.connect({"flags": FLAGS}, store=url) as there:
        quick.clear()
        until(lambda: "has not come back" in here.status().threads["source"])
        assert here.status().state == "DEGRADED"
        there.kill("plain", by="ops")
        until(lambda: not here.is_enabled("plain", "u1"))
        gate.set()
        until(lambda: here.status().threads["source"] == "running")


def test_a_log_handler_that_hangs_keeps_no_kill_away(fleet: Fleet, impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of the store's thread wait for it elsewhere; it is said."""
    caught: list[str] = []

    class Hanging(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            caught.append(record.getMessage())
            fleet.gate.wait()

    monkeypatch.setattr(_beside.LOGGING, "_limit", 0.5)
    handler = Hanging()
    _trouble.LOG.addHandler(handler)
    try:
        monkeypatch.setattr(fleet.here._store, "revision", broken_once(fleet.here._store.revision))
        until(lambda: any("taken off the air" in line for line in caught))
        until(lambda: "has not come back" in fleet.said("log"))
        assert fleet.kill_arrives()
    finally:
        fleet.gate.set()
        _trouble.LOG.removeHandler(handler)
    until(lambda: fleet.said("log") == "")


def broken_once(revision: Callable[[], int]) -> Callable[[], int]:
    """A store that fails once, so that something is logged where it is looked at."""
    again = iter([True])

    def ask() -> int:
        if next(again, False):
            raise StoreError("taken off the air")
        return revision()

    return ask


# -- what exits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", EXITS, ids=lambda error: type(error).__name__)
def test_a_source_that_exits_ends_itself_alone(fleet: Fleet, error: BaseException) -> None:
    """`sys.exit()` in a metric source ended the store's thread without a word: kills no longer arrived, status READY."""

    def leave() -> float:
        raise error

    fleet.here.rollouts.start("checkout", by="ops")
    fleet.here.metrics.source("depth", leave)
    until(lambda: f"in a row: {type(error).__name__}" in fleet.said("metric depth"))
    assert fleet.here.status().state == "DEGRADED"
    assert fleet.kill_arrives()


@pytest.mark.parametrize("error", EXITS, ids=lambda error: type(error).__name__)
def test_listeners_sinks_judges_and_log_handlers_that_exit_end_themselves_alone(tmp_path: Path, error: BaseException) -> None:
    def leave(*_: Any) -> Any:
        raise error

    class Leaving(logging.Handler):
        emit = leave

    fleet = Fleet(tmp_path, {**FLAGS, "checkout": {"rollout": {**PLAN, "dark_launch": True}}})
    handler = Leaving()
    _trouble.LOG.addHandler(handler)
    before = _trouble.counts().get("log", 0)
    try:
        for kind in (Reloaded, Moved):
            fleet.here.bus.listen(kind, leave)
        fleet.here.rollouts.notify(Hook("pager", leave))
        fleet.here.rollouts.shadow("checkout", leave)
        fleet.there.rollouts.start("checkout", by="ops")
        until(lambda: "in a row" in fleet.said("dark launch of checkout"))
        assert fleet.kill_arrives()
        for name in ("source", "store", "rollouts", "notifications"):
            until(lambda name=name: fleet.said(name) == "running")
        until(lambda: _trouble.counts().get("log", 0) > before)
    finally:
        _trouble.LOG.removeHandler(handler)
        fleet.here.close()
        fleet.there.close()


def test_an_exporter_that_exits_ends_its_own_event() -> None:
    """The thread that emits goes on, and is in the status."""
    from opentelemetry.sdk._logs import LoggerProvider

    from progflags import telemetry

    taken: list[Any] = []

    class Leaving:
        def on_emit(self, record: Any) -> None:
            taken.append(record)
            if len(taken) == 1:
                raise SystemExit

        def shutdown(self) -> None: ...

        def force_flush(self, timeout_millis: int = 0) -> bool:
            return True

    provider = LoggerProvider()
    provider.add_log_record_processor(Leaving())  # type: ignore[arg-type]
    with pf.connect({"flags": FLAGS}) as flags, telemetry.instrument(flags, logger_provider=provider):
        flags.rollouts.start("checkout", by="ops")
        flags.rollouts.pause("checkout", by="ops")
        until(lambda: len(taken) >= 2)
        until(lambda: flags.status().threads["telemetry"] == "running")


# -- what ends ----------------------------------------------------------------------------------------------------------------


def asleep(thread: threading.Thread) -> bool:
    """Whether it waits for its next round, and would let go of its lock again."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code is threading.Condition.wait.__code__ and "gotit" in frame.f_locals


def strike(thread: threading.Thread) -> None:
    """End a thread from outside, as debuggers and some test tools do. No lock written in Python outlives every moment of that."""
    until(lambda: asleep(thread))
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


def test_a_thread_outlives_what_is_raised_in_it_from_outside(fleet: Fleet) -> None:
    for refresher in fleet.here._background:
        thread = refresher._thread
        assert thread is not None
        strike(thread)
    until(lambda: "SystemExit" in fleet.said("store"))
    assert fleet.here.status().state == "DEGRADED"
    assert fleet.kill_arrives()


def leave() -> None:
    raise SystemExit


def leave_in_a_lock() -> None:
    """Struck where it has let go of a condition's lock, a thread comes out with what the lock says of that."""
    try:
        raise SystemExit
    finally:
        threading.Lock().release()


@pytest.mark.parametrize("end", [leave, leave_in_a_lock])
def test_what_was_raised_inside_a_job_is_told_of_when_its_next_run_has_long_succeeded(end: Callable[[], None]) -> None:
    """Whoever strikes a thread hits it between two jobs or in one; nobody looks at the status in just that tenth of a second."""
    runs = 0

    def struck_once() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            end()

    refresher = Refresher()
    refresher.every(0.02, struck_once, name="store")
    refresher.start()
    try:
        until(lambda: runs > 3)
        assert "SystemExit was raised in it" in refresher.health()["store"]
    finally:
        refresher.stop()


def ended(refresher: Refresher) -> None:
    """As if its thread had ended in whatever way there is left."""
    refresher._running = False
    refresher._wake.set()
    assert refresher._thread is not None
    refresher._thread.join(PATIENCE)
    assert not refresher.alive
    refresher._running = True


@pytest.mark.parametrize("who", ["the other thread", "status", "a request"])
def test_a_thread_that_ended_is_started_again_by_whoever_looks(tmp_path: Path, who: str) -> None:
    """And the status says so for half a minute, for not everybody looks every second."""
    url = f"sqlite:///{tmp_path}/store.db"
    with pf.connect({"flags": FLAGS}, store=url, poll=0.1) as here, pf.connect({"flags": FLAGS}, store=url) as there:
        source, stored, stepping = here._background
        if who != "the other thread":
            ended(source)
            ended(stepping)
        ended(stored)
        if who == "status":
            here.status()
        elif who == "a request":
            begin("u1")
        there.kill("plain", by="ops")
        until(lambda: not here.is_enabled("plain", "u1"))
        assert until(lambda: stored.alive)
        status = here.status()
        assert "was started again" in status.threads["store"]
        assert status.state == "DEGRADED"
    assert not source.alive
    assert not stored.alive


def test_a_rollout_that_cannot_be_looked_at_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A fault of ours in one flag's judgement: the others are judged, and the status names the one."""
    from progflags.rollout.run import _controller

    real = _controller.look

    def broken(record: Any, *rest: Any) -> Any:
        if record.flag == "checkout":
            raise ZeroDivisionError("a fault of ours")
        return real(record, *rest)

    monkeypatch.setattr(_controller, "look", broken)
    clock = ManualClock()
    with pf.connect({"flags": {"checkout": {"rollout": PLAN}, "search": {"rollout": PLAN}}}, clock=clock) as flags:
        for flag in ("checkout", "search"):
            flags.rollouts.start(flag, by="ops")
        for _ in range(5):
            for flag in ("checkout", "search"):
                for arm in ("control", "candidate"):
                    flags.metrics.record(flag, arm=arm, error=arm == "candidate" and flag == "search", n=200)
            clock.advance(5)
            flags.rollouts.tick()
        assert flags.rollouts.status("search").state == "rolled_back"
        assert "ZeroDivisionError: a fault of ours" in flags.status().threads["rollout of checkout"]
        assert flags.status().state == "DEGRADED"


# -- what is old --------------------------------------------------------------------------------------------------------------


def test_a_reading_that_is_too_old_is_no_data_and_no_good_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """Good for a while, then it hangs: its last good reading passes no gate."""
    clock, gate, quick = ManualClock(), threading.Event(), [True]
    plan = {"stages": [{"percent": 50, "bake": "60s", "gates": [{"metric": "depth", "kind": "gauge", "max": 500.0}]}], "batch": "1s"}

    def depth() -> float:
        if not quick:
            gate.wait()
        return 1.0

    with pf.connect({"flags": {"checkout": {"rollout": plan}}}, clock=clock) as flags:
        flags.metrics.source("depth", depth, max_age=0.2)
        flags.rollouts.start("checkout", by="ops")

        def on(seconds: int) -> None:
            for _ in range(seconds // 5):
                for arm in ("control", "candidate"):
                    flags.metrics.record("checkout", arm=arm, error=False, n=50)
                clock.advance(5)
                flags.rollouts.tick()

        on(30)
        assert flags.rollouts.status("checkout").percent == 50
        quick.clear()
        monkeypatch.setattr(_bus, "_PATIENCE", 2.0)
        on(5)  # this look waits for it in vain
        until(lambda: "has not come back" in flags.status().threads.get("metric depth", ""))
        on(600)
        status = flags.rollouts.status("checkout")
        assert (status.verdict, status.percent) == ("HOLD", 50)
        quick.append(True)
        gate.set()
        until(lambda: flags.status().threads["metric depth"] == "running")
        until(lambda: on(60) or flags.rollouts.status("checkout").state in ("watching", "completed"))


@pytest.mark.parametrize("wrong", [0, -1, float("inf"), float("nan"), "5", True, None])
def test_an_age_that_can_not_be_is_refused(wrong: Any) -> None:
    with pf.connect({"flags": FLAGS}, clock=ManualClock()) as flags, pytest.raises(ValueError, match="max_age"):
        flags.metrics.source("depth", lambda: 1.0, max_age=wrong)
