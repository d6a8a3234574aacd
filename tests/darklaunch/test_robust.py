"""The machinery under trouble that is not the candidate's: no threads to be had, a sink that hangs, signals, forks."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from progflags.darklaunch import JsonLines, Outcome, dark_launch
from support.patience import until


def adds_up(function):
    stats = function.dark_launch.stats()
    assert stats.calls == sum(stats.outcomes.values()), stats
    return stats


@pytest.mark.parametrize("refused", [1, 2, 3])
def test_threads_that_cannot_be_started_are_not_counted_on(refused, flags, engine, monkeypatch):
    """Calls go unshadowed while the system has no more threads, and are shadowed once it has."""
    start, asked = threading.Thread.start, []

    def no_more(thread):
        if thread.name == "progflags-shadow" and len(asked) < refused:
            asked.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", no_more)

    @dark_launch("on", candidate=lambda: 1, flags=flags)
    def control():
        return 1

    for _ in range(refused + 2):
        assert control() == 1

    assert control.dark_launch.drain()
    stats = adds_up(control)
    assert stats.shed == {"no_thread": refused}
    assert stats.outcomes["match"] == 2


def test_a_sink_that_hangs_on_a_call_given_up_stops_neither_the_watch_nor_the_workers(flags, engine, release):
    told = []

    def sink(record):
        told.append(record["outcome"])
        release.wait()

    @dark_launch("on", candidate=lambda hangs: release.wait() if hangs else 1, flags=flags, deadline=0.05, record=sink)
    def control(hangs):
        return 1

    control(True)
    until(lambda: told == ["abandoned"])
    control.dark_launch.deadline = 600.0
    for _ in range(20):
        control(False)
    until(lambda: control.dark_launch.stats().outcomes["match"] == 20, said=control.dark_launch.stats)

    control.dark_launch.deadline = 0.05
    control(True)
    until(lambda: control.dark_launch.stats().outcomes[Outcome.ABANDONED] == 2, said=control.dark_launch.stats)
    adds_up(control)


SIGNALS = """
    import random, signal, time
    import progflags as pf

    flags = pf.connect({"flags": {"on": {"percent": 100}}}, poll=None)
    handled = 0

    @pf.dark_launch("on", candidate=lambda: 1, flags=flags, deadline=600)
    def control():
        return 1

    def handler(*_):
        global handled
        handled += 1
        assert control() == 1

    signal.signal(signal.SIGALRM, handler)
    for n in range(2000):
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 5e-4))
        while handled <= n:
            assert control() == 1
    control.dark_launch.drain(60)
    stats = control.dark_launch.stats()
    print(handled, stats.calls - sum(stats.outcomes.values()))
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that sends signals")
def test_a_signals_handler_may_call_what_is_shadowed_at_any_moment(tmp_path):
    """It interrupts us wherever we are, also where we hold a lock; and every call of its is counted."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(SIGNALS)], capture_output=True, text=True, timeout=300, cwd=tmp_path)

    assert done.stdout == "2000 0\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_child_forked_while_a_record_was_being_written_writes_its_own(tmp_path):
    sink = JsonLines(tmp_path / "log.jsonl")
    holding, go = threading.Event(), threading.Event()

    def write():
        with sink._lock:
            holding.set()
            go.wait()

    threading.Thread(target=write, daemon=True).start()
    assert holding.wait(60)
    child = os.fork()
    if child == 0:
        try:
            sink({"from": "child"})
        finally:
            os._exit(0)
    try:
        until(lambda: os.waitpid(child, os.WNOHANG)[0] == child)
    except AssertionError:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    finally:
        go.set()

    assert (tmp_path / "log.jsonl").read_text() == '{"from":"child"}\n'


def test_a_flag_that_cannot_be_asked_is_off(flags, engine, monkeypatch):
    monkeypatch.setattr(type(flags), "silently", lambda *_: 1 / 0)

    @dark_launch("on", candidate=lambda: 1, flags=flags)
    def control():
        return 1

    for _ in range(3):
        assert control() == 1
    assert adds_up(control).outcomes["off"] == 3
