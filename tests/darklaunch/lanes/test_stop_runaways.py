"""`stop_runaways=True`: a candidate that does not come back is ended in its thread, and nothing of ours ever is."""

from __future__ import annotations

import logging
import random
import sys
import threading
import time
from wsgiref.util import setup_testing_defaults

import pytest

from progflags.darklaunch import Engine, dark_launch
from progflags.darklaunch.lanes import _runaway
from progflags.darklaunch.lanes._runaway import Runaway, Stopped
from progflags.wsgi import DarkLaunchMiddleware
from support.patience import until
from support.sizes import size
from support.tracing import untraced


@pytest.fixture(autouse=True)
def struck():
    with untraced():
        yield


@pytest.fixture
def own():
    return Engine(workers=1, cpu=1000.0, burst=1000.0)


def launched(own, flags, candidate, **options):
    options = {"deadline": 0.05, "stop_runaways": True} | options

    @dark_launch("on", candidate=candidate, flags=flags, executor="thread", **options)
    def control(n):
        return n

    control.dark_launch.engine, control.dark_launch.lane = own, own.workers
    return control


def _trace(frame, event, arg):
    return _trace


def spins(n):
    while True:
        pass


def test_a_candidate_that_spins_is_ended_and_its_thread_comes_back(own, flags, caplog):
    control = launched(own, flags, spins)
    with caplog.at_level(logging.WARNING, "progflags"):
        assert control(1) == 1
        until(lambda: control.dark_launch.stats().stopped == 1)
    until(lambda: own.workers.stuck == 0)

    stats = control.dark_launch.stats()
    assert stats.outcomes["abandoned"] == 1
    assert sum(stats.outcomes.values()) == stats.calls == 1
    assert any("was stopped at test_stop_runaways.py:" in line for line in caplog.messages)


def test_without_being_asked_for_it_is_outlived(own, flags):
    over = threading.Event()

    def waits(n):
        while not over.is_set():
            pass
        return n

    control = launched(own, flags, waits, stop_runaways=False)
    control(1)
    until(lambda: control.dark_launch.stats().outcomes["abandoned"] == 1)
    assert own.workers.stuck == 1
    over.set()
    until(lambda: own.workers.stuck == 0)
    assert control.dark_launch.stats().stopped == 0


def test_what_it_holds_by_with_is_let_go(own, flags):
    lock = threading.Lock()

    def holds(n):
        with lock:
            spins(n)

    control = launched(own, flags, holds)
    control(1)
    until(lambda: control.dark_launch.stats().stopped == 1)
    assert lock.acquire(timeout=60)


def test_one_that_catches_everything_is_struck_once_more(own, flags, monkeypatch):
    monkeypatch.setattr(_runaway, "PAUSE", 0.1)

    def stubborn(n):
        try:
            spins(n)
        except BaseException:
            spins(n)

    control = launched(own, flags, stubborn)
    control(1)
    until(lambda: own.workers.stuck == 0 and control.dark_launch.stats().stopped == 1)


def test_one_that_catches_that_as_well_is_outlived(own, flags, monkeypatch):
    monkeypatch.setattr(_runaway, "PAUSE", 0.1)
    over, caught = threading.Event(), []

    def immortal(n):
        while not over.is_set():
            try:
                while not over.is_set():
                    pass
            except BaseException as error:
                caught.append(type(error))
        return n

    control = launched(own, flags, immortal)
    control(1)
    until(lambda: len(caught) == 2)
    time.sleep(0.3)  # three more pauses: nobody strikes a third time
    assert caught == [Stopped, Stopped]
    assert own.workers.stuck == 1
    over.set()
    until(lambda: own.workers.stuck == 0)
    assert control.dark_launch.stats().stopped == 0


def test_a_generator_that_never_ends_is_ended_while_it_is_read(own, flags):
    def endless(n):
        while True:
            yield from ()

    @dark_launch("on", candidate=endless, flags=flags, executor="thread", deadline=0.05, stop_runaways=True)
    def control(n):
        yield n

    control.dark_launch.engine, control.dark_launch.lane = own, own.workers
    assert list(control(1)) == [1]
    until(lambda: control.dark_launch.stats().stopped == 1)


@pytest.mark.parametrize("traced", [False, True], ids=["plain", "traced"])
@pytest.mark.parametrize("ends", ["returns", "raises"])
@pytest.mark.sized
def test_a_strike_falls_into_the_candidate_or_nowhere(monkeypatch, traced, ends):
    """
    Candidates of random length, each struck about when it ends, as often as can be: what arrives arrives inside `run`, and after
    it nothing is left to arrive, however long the thread goes on.
    """
    luck, wrong, met = random.Random(3), [], {"struck": 0, "missed": 0}

    def candidate(turns):
        for _ in range(turns):
            pass
        if ends == "raises":
            raise LookupError
        return turns

    def ours(one, turns):
        try:
            value = one.run(candidate, turns)
        except Stopped:
            met["struck"] += 1
        except LookupError:
            met["missed"] += 1
        else:
            met["missed"] += value == turns
        for _ in range(200):  # where a strike that was late would fall
            pass

    def thread(one, turns, done):
        if traced:
            sys.settrace(_trace)
        try:
            ours(one, turns)
        except BaseException as error:
            wrong.append(error)
        finally:
            sys.settrace(None)
            done.set()

    monkeypatch.setattr(_runaway, "PAUSE", 0.0)
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # a strike that falls into a finaliser, in the candidate's time, is lost
    rounds, usual = size(200, full=5000), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(rounds):
            one, done = Runaway(), threading.Event()
            threading.Thread(target=thread, args=(one, luck.randrange(3000), done), daemon=True).start()
            for _ in range(8):
                one.strike()
                time.sleep(0)
            assert done.wait(60)
    finally:
        sys.setswitchinterval(usual)
    assert not wrong
    assert met["struck"] + met["missed"] == rounds
    assert met["struck"]
    assert met["missed"]


def test_a_strike_in_the_very_call_that_ends_the_candidate_arrives_in_it():
    one = Runaway()
    with pytest.raises(Stopped):
        one.run(one.strike)  # the lock is let go by then, and C code can't be struck
    for _ in range(1000):
        pass
    assert one.strike()


def test_nothing_is_struck_that_has_not_begun():
    one = Runaway()
    assert one.strike()
    assert one.run(lambda: 1) == 1


def test_it_is_for_threads():
    for executor in ("inline", "task", "process"):
        with pytest.raises(ValueError, match="stop_runaways is for candidates in threads"):
            dark_launch("on", candidate=spins, executor=executor, stop_runaways=True)


def test_threads_of_gevent_are_left_alone(monkeypatch, own, flags):
    monkeypatch.setattr(_runaway, "get_ident", lambda: 0)
    assert not Runaway.possible()
    assert launched(own, flags, spins).dark_launch.stops


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="newer versions don't stand still")
def test_under_a_tracer_nothing_is_struck_for_every_traced_function_would_wait(own, flags):
    """A strike that waits for a thread in native code keeps CPython 3.11 from beginning any function that is traced."""
    lock = threading.Lock()
    lock.acquire()
    threading.settrace(_trace)
    control = launched(own, flags, lambda n: lock.acquire())
    control(1)
    until(lambda: control.dark_launch.stats().outcomes["abandoned"] == 1)
    until(lambda: own.workers.stuck == 1)
    for _ in range(60):  # longer than it takes until somebody strikes
        begun = threading.Event()
        threading.Thread(target=begun.set, daemon=True).start()  # it is traced
        assert begun.wait(60)
        time.sleep(0.01)

    lock.release()
    until(lambda: own.workers.stuck == 0)
    assert (control.dark_launch.stats().stopped, control.dark_launch.stats().unstoppable) == (0, 0)


def test_one_in_native_code_is_told_as_unstoppable_with_its_place_until_it_comes_back(own, flags, monkeypatch, caplog):
    monkeypatch.setattr(_runaway, "PAUSE", 0.02)
    lock = threading.Lock()
    lock.acquire()

    def stuck(n):
        lock.acquire()  # C: no exception arrives before it returns
        return n

    control = launched(own, flags, stuck)
    line = stuck.__code__.co_firstlineno + 1
    with caplog.at_level(logging.WARNING, "progflags"):
        control(1)
        until(lambda: control.dark_launch.stats().unstoppable == 1)
    assert control.dark_launch.stats().stopped == 0
    [summary] = control.dark_launch.summaries()
    assert summary.runaways["unstoppable"] == 1
    until(lambda: any(f"can't be stopped: it is at test_stop_runaways.py:{line}, in native code" in said for said in caplog.messages))

    lock.release()
    until(lambda: own.workers.stuck == 0)
    assert (control.dark_launch.stats().unstoppable, control.dark_launch.stats().stopped) == (0, 1)
    assert sum("can't be stopped" in said for said in caplog.messages) == 1


@pytest.mark.parametrize("streams", [False, True], ids=["in the call", "in the body"])
def test_a_wsgi_candidate_that_spins_is_ended(own, flags, streams):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"one"]

    def candidate(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return map(spins, [1]) if streams else spins(1)

    middleware = DarkLaunchMiddleware(application, flag="on", candidate=candidate, flags=flags, deadline=0.05, stop_runaways=True)
    middleware.dark_launch.engine, middleware.dark_launch.lane = own, own.workers
    environ = {}
    setup_testing_defaults(environ)
    body = middleware(environ, lambda *_: None)

    assert b"".join(body) == b"one"
    until(lambda: middleware.dark_launch.stats().stopped == 1)
    until(lambda: own.workers.stuck == 0)
    stats = middleware.dark_launch.stats()
    assert (stats.outcomes["abandoned"], stats.calls, stats.unstoppable) == (1, 1, 0)
