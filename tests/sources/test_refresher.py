"""The one background thread: it survives failures and forks, and never keeps anybody waiting."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from types import SimpleNamespace

import pytest

from progflags.sources import Refresher, _job, _refresher


@pytest.fixture
def refresher():
    refresher = Refresher()
    yield refresher
    refresher.stop()


class Turns:
    """Counts calls, and lets a test wait for the next ones."""

    def __init__(self, fail=0):
        self.times = []
        self.fail = fail
        self.changed = threading.Condition()

    def __call__(self):
        with self.changed:
            self.times.append(time.monotonic())
            self.changed.notify_all()
            if len(self.times) <= self.fail:
                raise OSError("not now")

    def reach(self, count, timeout=60):
        with self.changed:
            return self.changed.wait_for(lambda: len(self.times) >= count, timeout)


def test_every_job_runs_again_and_again(refresher):
    """Several jobs, one thread, a daemon."""
    first, second, before = Turns(), Turns(), set(threading.enumerate())
    refresher.every(0.01, first, name="first")
    refresher.every(0.02, second, name="second")
    refresher.start()
    refresher.start()

    assert first.reach(5)
    assert second.reach(3)
    threads = [thread for thread in threading.enumerate() if thread.name == "progflags" and thread not in before]
    assert len(threads) == 1
    assert threads[0].daemon


def test_a_failing_job_is_tried_again_later_and_hurts_nobody(refresher, monkeypatch, caplog):
    """Its neighbour keeps its pace; once it succeeds it is on time again."""
    now, failures = [0.0], iter([True, True, True])
    ran = {"bad": [], "good": []}
    for module in (_job, _refresher):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
        monkeypatch.setattr(module, "spread", lambda seconds: seconds)

    def bad():
        ran["bad"].append(now[0])
        if next(failures, False):
            raise OSError("not now")

    refresher.every(1, bad, name="bad")
    refresher.every(1, lambda: ran["good"].append(now[0]), name="good")
    for second in range(1, 21):
        now[0] = float(second)
        refresher.run_due()
    assert ran["good"] == [float(second) for second in range(1, 21)]
    assert ran["bad"] == [1.0, 3.0, 7.0, 15.0, 16.0, 17.0, 18.0, 19.0, 20.0]
    assert "not now" in caplog.text


def test_a_failing_job_does_not_end_the_thread(refresher):
    """It is tried again there, and its neighbour runs."""
    bad, good = Turns(fail=3), Turns()
    refresher.every(0.01, bad, name="bad")
    refresher.every(0.01, good, name="good")
    refresher.start()
    assert bad.reach(5)
    assert good.reach(5)


def test_backing_off_has_an_end(refresher, monkeypatch):
    """Half a minute, however often it failed; a job slower than that keeps its own pace."""
    monkeypatch.setattr(_job, "spread", lambda seconds: seconds)
    for every, longest in ((0.1, 30.0), (120.0, 120.0)):
        job = _job.Job("x", every, lambda: 1 / 0, due=0.0, failures=5_000)
        before = time.monotonic()
        job.go(lambda error: None)
        assert before + longest <= job.due <= time.monotonic() + longest


def test_a_late_job_runs_once(refresher):
    """After a sleep of a day there is no burst."""
    turns = Turns()
    refresher.every(3600, turns, name="x")
    for job in refresher._jobs:
        job.due = time.monotonic() - 86_400
    assert refresher.run_due() == 1
    assert refresher.run_due() == 0
    assert len(turns.times) == 1


def test_a_job_that_is_woken_while_it_runs_runs_again(refresher):
    """What it is woken for it may have passed by already."""
    turns, woken = Turns(), threading.Event()

    def run():
        turns()
        if not woken.is_set():
            woken.set()
            refresher.wake()

    refresher.every(0.001, run, name="x", pace=lambda: 3600.0)
    refresher.start()
    assert turns.reach(2)


def test_a_job_rests_as_long_as_its_pace_says_and_fails_at_its_own(refresher, monkeypatch):
    monkeypatch.setattr(_job, "spread", lambda seconds: seconds)
    fails = [False]
    job = _job.Job("x", 1.0, lambda: 1 / (not fails[0]), due=0.0, slowest=2.0, pace=lambda: 60.0)
    for failing, rest in ((False, 60.0), (True, 2.0), (False, 60.0)):
        fails[0], before = failing, time.monotonic()
        job.go(lambda error: None)
        assert before + rest <= job.due <= time.monotonic() + rest


def test_intervals_are_spread(refresher):
    """A thousand processes do not look at the same instant."""
    found = {round(_job.spread(1.0), 3) for _ in range(200)}
    assert len(found) > 50
    assert 0.9 <= min(found) <= max(found) <= 1.1


def test_stop_is_bounded_and_idempotent(refresher):
    """A job that hangs is left behind."""
    hang = threading.Event()
    inside = threading.Event()

    def hanging():
        inside.set()
        hang.wait()

    refresher.every(0.001, hanging, name="hanging")
    refresher.start()
    assert inside.wait(60)
    assert refresher.stop(0.1) is False  # it came back, and the job is still at it
    hang.set()
    assert refresher.stop(60) is True
    assert refresher.stop() is True
    assert not refresher.alive


def test_a_job_may_stop_its_refresher(refresher):
    """Closing from inside a callback does not wait for itself."""
    done = threading.Event()

    def closing():
        refresher.stop()
        done.set()

    refresher.every(0.001, closing, name="closing")
    refresher.start()
    assert done.wait(60)


def test_it_can_be_started_again(refresher):
    """One thread at a time, whatever happened before."""
    turns, before = Turns(), set(threading.enumerate())
    refresher.every(0.01, turns, name="x")
    for _ in range(3):
        refresher.start()
        assert turns.reach(len(turns.times) + 2)
        assert refresher.stop(60)
    assert [thread.name for thread in threading.enumerate() if thread not in before] == []


def test_wake_does_not_wait_for_the_interval(refresher):
    """An hour's job runs now."""
    turns = Turns()
    refresher.every(3600, turns, name="x")
    refresher.start()
    refresher.wake()
    assert turns.reach(1)


def test_what_was_woken_is_not_late(refresher):
    """Nor was it due when this machine was started."""
    refresher.every(3600, lambda: None, name="x")
    refresher._running = True
    refresher.wake()
    assert refresher.health() == {"x": "running"}


def test_without_threads_it_says_so_once_and_works_by_hand(refresher, monkeypatch, caplog):
    """uWSGI without --enable-threads, or a system at its limit."""

    def no_thread(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_thread)
    turns = Turns()
    refresher.every(0.001, turns, name="x")
    refresher.start()
    time.sleep(0.002)

    assert not refresher.alive
    assert "no background thread here" in caplog.text
    assert refresher.run_due() == 1
    assert refresher.stop()


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_an_interval_is_positive(refresher, seconds):
    """Never is spelled otherwise."""
    with pytest.raises(ValueError, match="poll=None"):
        refresher.every(seconds, print, name="x")


# Forks and the end of the program.


CALM = ["-W", "ignore:This process:DeprecationWarning"]  # Python 3.12 warns of every fork beside threads; that is what is tested


def run(script, timeout=300):
    """What a program printed; it must end by itself, say nothing on stderr, and exit with 0."""
    done = subprocess.run([sys.executable, *CALM, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=timeout)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@needs_fork
def test_parent_children_and_grandchildren_keep_looking():
    """Nobody helps; a fork made by a fork as well; a stopped refresher stays stopped."""
    out = run("""
        import os, threading, time
        from progflags.sources import Refresher

        count = 0
        def look():
            global count
            count += 1
        refresher, stopped = Refresher(), Refresher()
        for one in (refresher, stopped):
            one.every(0.005, look, name="look")
            one.start()
        stopped.stop()
        def goes_on():
            before, until = count, time.monotonic() + 60
            while count < before + 3 and time.monotonic() < until:
                time.sleep(0.002)
            return count >= before + 3
        child = os.fork()
        if not child:
            grandchild = os.fork()
            if not grandchild:
                os._exit(0 if goes_on() and not stopped.alive else 1)
            ok = os.waitpid(grandchild, 0)[1] == 0 and goes_on()
            os._exit(0 if ok and [t.name for t in threading.enumerate()].count("progflags") == 1 else 1)
        print(os.waitpid(child, 0)[1], goes_on())
    """)
    assert out == ["0", "True"]


@needs_fork
def test_a_fork_at_any_moment_never_leaves_a_child_stuck():
    """200 forks under four busy refreshers; every child looks again."""
    out = run("""
        import os, signal, threading, time
        from progflags.sources import Refresher

        count = 0
        def look():
            global count
            count += 1
        for _ in range(4):
            refresher = Refresher()
            refresher.every(0.0005, look, name="look")
            refresher.start()
            globals().setdefault("kept", []).append(refresher)
        stuck = 0
        for _ in range(200):
            child = os.fork()
            if not child:
                signal.alarm(60)
                before = count
                while count < before + 4:
                    time.sleep(0.0005)
                os._exit(0)
            stuck += os.waitpid(child, 0)[1] != 0
        print(stuck)
    """)
    assert out == ["0"]


@pytest.mark.parametrize("job", ["time.sleep(600)", "threading.Event().wait()", "1/0", "None"])
def test_exit_is_never_blocked(job):
    """Not by a job that sleeps, waits for ever, fails, or is just at work: 2 s after main ends at most, quietly."""
    before = time.monotonic()
    run(f"""
        import threading, time, logging
        logging.disable()
        from progflags.sources import Refresher
        refresher = Refresher()
        refresher.every(0.001, lambda: {job}, name="x")
        refresher.start()
        time.sleep(0.05)
    """)
    assert time.monotonic() - before < 60  # Python's own start on a busy machine included; the job would sleep for ten minutes


def test_a_subprocess_leaves_the_parents_thread_alone():
    """A peer's before-fork hook stops the parent's refresh for good; ours has none."""
    out = run("""
        import subprocess, sys, time
        from progflags.sources import Refresher
        count = 0
        def look():
            global count
            count += 1
        refresher = Refresher()
        refresher.every(0.005, look, name="x")
        refresher.start()
        subprocess.run([sys.executable, "-c", ""], check=True)
        subprocess.run([sys.executable, "-c", ""], check=True, preexec_fn=lambda: None) if sys.platform != "win32" else None
        before, until = count, time.monotonic() + 60
        while count < before + 3 and time.monotonic() < until:
            time.sleep(0.002)
        print(count >= before + 3)
    """)
    assert out == ["True"]


def test_a_job_that_is_the_first_to_notice_gevent_ends_as_any_other(refresher):
    """What is noticed there makes every lock anew, also the one that this turn holds: nothing failed, and nothing is told as if it had."""
    refresher.every(60.0, refresher.after_fork, name="notices")
    refresher.wake()

    assert refresher.run_due() == 1
    refresher.wake()
    assert refresher.run_due() == 1
