"""Threads, tasks, forks and ends: nothing outlives its bound, and every call has one end."""

import asyncio
import contextlib
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc

import pytest

from progflags.darklaunch import Engine, dark_launch
from progflags.darklaunch import shadow as shadows
from support.patience import until
from support.sizes import size


def outcomes(function):
    stats = function.dark_launch.stats()
    assert stats.calls == sum(stats.outcomes.values()), stats
    return {name: n for name, n in stats.outcomes.items() if n}


def test_a_hanging_candidate_is_a_timeout_its_thread_is_left_behind_and_replaced(flags, engine, release):
    @dark_launch("on", candidate=lambda: release.wait(120), flags=flags, deadline=0.02)
    def hanging():
        return None

    @dark_launch("on", candidate=lambda n: n, flags=flags)
    def control(n):
        return n

    hanging()
    assert hanging.dark_launch.drain()
    until(lambda: engine.workers.stuck == 1)
    for n in range(5):
        assert control(n) == n

    assert control.dark_launch.drain()
    assert outcomes(hanging) == {"abandoned": 1}
    assert outcomes(control) == {"match": 5}
    release.set()
    until(lambda: engine.workers.stuck == 0)
    assert outcomes(hanging) == {"abandoned": 1}


def test_when_all_threads_are_stuck_calls_are_shed_and_the_control_goes_on(flags, engine, release):
    @dark_launch("on", candidate=lambda: release.wait(120), flags=flags, deadline=0.01)
    def control():
        return "answer"

    until(lambda: control() == "answer" and set(control.dark_launch.stats().shed) & {"stuck", "breaker"})
    assert engine.workers.stuck <= 6
    assert control.dark_launch.drain()


@pytest.fixture
def forgiving(monkeypatch):
    """A grace so long that only what never ends is left behind."""
    monkeypatch.setattr("progflags.darklaunch.lanes._workers.GRACE", 60.0)


def test_a_slow_candidate_that_ends_within_the_grace_is_a_timeout(flags, engine, forgiving):
    @dark_launch("on", candidate=lambda: time.sleep(0.06), flags=flags, deadline=0.02)
    def control():
        return None

    control()
    assert control.dark_launch.drain()
    assert outcomes(control) == {"timeout": 1}


def test_coroutines_are_cancelled_at_their_deadline_and_left_if_they_will_not_stop(flags, engine):
    async def obedient():
        await asyncio.sleep(30)

    async def stubborn():
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(30)

    async def main():
        functions = []
        for candidate in (obedient, stubborn):

            @dark_launch("on", candidate=candidate, flags=flags, deadline=0.02)
            async def control():
                return 1

            assert await control() == 1
            assert await control.dark_launch.adrain()
            functions.append(control)
        return functions

    obedient_one, stubborn_one = asyncio.run(main())
    assert outcomes(obedient_one) == {"timeout": 1}
    assert outcomes(stubborn_one) == {"abandoned": 1}


def test_asyncio_run_returns_although_a_candidate_swallows_its_cancellation(flags, engine):
    """A plain task that does so makes asyncio.run wait for ever."""

    async def stubborn():
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(30)

    @dark_launch("on", candidate=stubborn, flags=flags, deadline=600)
    async def control():
        return 1

    async def main():
        await control()
        await asyncio.sleep(0.01)

    began = time.monotonic()
    asyncio.run(main())

    assert time.monotonic() - began < 25
    assert outcomes(control) == {"cancelled_shutdown": 1}


def test_a_loop_that_ends_takes_its_shadows_with_it_and_they_are_counted(flags, engine):
    async def candidate():
        await asyncio.sleep(30)

    @dark_launch("on", candidate=candidate, flags=flags, deadline=60)
    async def control():
        return 1

    async def main():
        for _ in range(3):
            await control()

    asyncio.run(main())
    assert control.dark_launch.drain()
    assert outcomes(control) == {"cancelled_shutdown": 3}


def test_a_coroutine_that_computes_is_noticed(flags, engine, monkeypatch):
    """No timeout sees it; the steps' own durations do."""
    monkeypatch.setattr("progflags.darklaunch._launch.HARD_STEP", 600.0)  # a machine that stands still just then moves it to no thread

    async def candidate():
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            pass

    @dark_launch("on", candidate=candidate, flags=flags)
    async def control():
        return None

    async def main():
        for _ in range(8):
            await control()
            await control.dark_launch.adrain()
            assert control.dark_launch.stats().shed.keys() <= {"breaker"}

    asyncio.run(main())
    assert control.dark_launch.stats().breaker == "open"


def test_a_synchronous_caller_may_have_a_coroutine_for_a_candidate(flags, engine):
    async def candidate(n):
        await asyncio.sleep(0.001)
        return n

    @dark_launch("on", candidate=candidate, flags=flags)
    def control(n):
        return n

    @dark_launch("on", candidate=lambda n: candidate(n), flags=flags)
    def surprised(n):
        return n

    for function in (control, surprised):
        assert [function(n) for n in range(3)] == [0, 1, 2]
        assert function.dark_launch.drain()
        assert outcomes(function) == {"match": 3}


def test_a_coroutine_caller_with_a_function_for_a_candidate_does_not_run_it_on_the_loop(flags, engine):
    threads = []

    @dark_launch("on", candidate=lambda: threads.append(threading.current_thread()), flags=flags)
    async def control():
        return None

    async def main():
        await control()
        await control.dark_launch.adrain()

    asyncio.run(main())
    assert threads[0] is not threading.main_thread()
    assert outcomes(control) == {"match": 1}


def test_drain_on_a_running_loop_names_adrain(flags, engine):
    @dark_launch("on", candidate=lambda: 1, flags=flags)
    def control():
        return 1

    async def main():
        with pytest.raises(RuntimeError, match="adrain"):
            control.dark_launch.drain()

    asyncio.run(main())


@pytest.mark.parametrize(("deadline", "end"), [(0.02, {"timeout": 1}), (600.0, {"match": 1})])
def test_the_time_left_is_known_inside(deadline, end, flags, engine, forgiving):
    seen = []

    def candidate():
        seen.append(shadows.remaining())
        time.sleep(0.03)
        shadows.check()

    @dark_launch("on", candidate=candidate, flags=flags, deadline=deadline)
    def control():
        return None

    control()
    assert control.dark_launch.drain()
    assert seen[0] <= deadline
    assert seen[0] > 0 or deadline < 1
    assert shadows.remaining() is None
    assert outcomes(control) == end


@pytest.mark.sized
def test_overload_sheds_counts_and_stays_small(flags, monkeypatch, release):
    """Far more than fits: what waits is bounded, memory is flat, the control never waits, the outcomes sum to the calls."""
    made = Engine(cpu=100, burst=1000, queued=50, workers=1)
    monkeypatch.setattr("progflags.darklaunch.lanes._engine._engine", made)
    calls = size(5_000, full=100_000)

    @dark_launch("on", candidate=lambda box: release.wait(120) and None, flags=flags, deadline=600.0)
    def control(box):
        return None

    for _ in range(calls // 2):
        control([1] * 100)
    tracemalloc.start()
    for _ in range(calls // 2):
        control([1] * 100)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(control.dark_launch.flight.all()) == 51  # one is running, fifty wait
    assert grown < 256 << 10
    release.set()
    assert control.dark_launch.drain()
    stats = control.dark_launch.stats()
    assert stats.outcomes["match"] >= 51
    assert stats.outcomes["shed"] > calls * 0.9
    assert stats.calls == calls == sum(stats.outcomes.values())
    assert made._waiting == 0


def test_a_drain_waits_until_the_last_call_is_counted_and_told(flags, engine):
    """Not only until it is decided: whoever reads the numbers after a drain must find them all."""
    telling, go_on = threading.Event(), threading.Event()

    @dark_launch("on", candidate=lambda: 1, flags=flags, record=lambda _: (telling.set(), go_on.wait(120)))
    def control():
        return 2

    control()
    assert telling.wait(120)
    assert not control.dark_launch.drain(0.05)
    go_on.set()
    assert control.dark_launch.drain()
    assert outcomes(control) == {"mismatch": 1}


def test_many_threads_at_once_lose_no_count(flags, engine):
    @dark_launch("half", candidate=lambda n: n if n % 7 else -1, flags=flags)
    def control(n):
        return n

    def work():
        for n in range(500):
            control(n)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert control.dark_launch.drain()
    stats = control.dark_launch.stats()
    assert stats.calls == 4_000 == sum(stats.outcomes.values())
    assert 1_000 < stats.outcomes["not_sampled"] < 3_000


def test_stale_work_is_dropped_not_done(flags, engine, monkeypatch):
    """A shadow that waited too long would read a later world."""
    monkeypatch.setattr("progflags.darklaunch._shadowed.STALE", -1.0)

    @dark_launch("on", candidate=lambda: pytest.fail("ran"), flags=flags)
    def control():
        return 1

    control()
    assert control.dark_launch.drain()
    assert control.dark_launch.stats().shed == {"stale": 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_shadows_with_threads_of_its_own_and_counts_from_zero(flags, engine):
    @dark_launch("on", candidate=lambda n: n, flags=flags)
    def control(n):
        return n

    control(1)
    assert control.dark_launch.drain()
    child = os.fork()
    if child == 0:
        control(2)
        ok = control.dark_launch.drain() and control.dark_launch.stats().outcomes["match"] == 1 == control.dark_launch.stats().calls
        os._exit(0 if ok else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert outcomes(control) == {"match": 1}


def run_program(body, timeout=120):
    """A program of its own; returns seconds and output."""
    source = textwrap.dedent(body)
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=timeout)
    return time.monotonic() - began, done


PREAMBLE = """
import asyncio, threading, time
from progflags._clock import SYSTEM
from progflags.darklaunch import dark_launch
from progflags.events import Bus
from progflags.flags import Client, parse
flags = Client(bus=Bus(), clock=SYSTEM)
flags.install(parse({"flags": {"on": {"percent": 100}}}, file="<dict>", lines=lambda _: None))
"""


def test_a_stuck_candidate_does_not_hold_up_the_interpreters_exit():
    program = PREAMBLE + textwrap.dedent("""
        @dark_launch("on", candidate=lambda: threading.Event().wait(), flags=flags, deadline=60)
        def control():
            return 1
        for _ in range(3):
            control()
        print("end", flush=True)
    """)
    for _ in range(5):  # a machine may stand still for as long; what holds up an exit does so each time
        bare, _ = run_program(PREAMBLE)
        seconds, done = run_program(program)
        assert done.stdout == "end\n", done
        assert done.stderr == ""
        if seconds - bare <= 2.5:
            return
    pytest.fail(f"the interpreter ended {seconds - bare:.1f} s late")


def test_a_decorated_function_called_while_the_interpreter_ends_still_answers():
    program = PREAMBLE + textwrap.dedent("""
        import atexit
        @dark_launch("on", candidate=lambda: 1, flags=flags)
        def control():
            return 1
        async def coroutine():
            return 1
        launched = [dark_launch("on", candidate=lambda: 1, flags=flags, executor=where)(control) for where in ("thread", "inline")]
        waits = [dark_launch("on", candidate=coroutine, flags=flags, executor=where)(coroutine) for where in ("auto", "thread", "inline")]
        def at_the_end():
            print(control(), [one() for one in launched], [asyncio.run(one()) for one in waits], flush=True)
        atexit.register(at_the_end)
    """)
    _, done = run_program(program)
    assert done.stdout == "1 [1, 1] [1, 1, 1]\n", done
    assert done.stderr == ""  # from Python 3.12 on no thread can be started by then: the shadow is left out, and nothing is said
    assert done.stderr == ""


def test_a_candidate_in_a_process_may_crash_and_its_deadline_is_hard(flags, engine):
    import operator

    @dark_launch("on", candidate=operator.neg, flags=flags, executor="process")
    def control(n):
        return -n

    for n in range(3):
        assert control(n) == -n
        assert control.dark_launch.drain(60)  # a process takes its time to come up, and what waits too long is dropped
    assert outcomes(control) == {"match": 3}

    @dark_launch("on", candidate=os._exit, flags=flags, executor="process")
    def crashes(n):
        return n

    @dark_launch("on", candidate=time.sleep, flags=flags, executor="process", deadline=0.3)
    def hangs(n):
        return n

    crashes(3)
    hangs(60)
    assert crashes.dark_launch.drain(60)
    assert hangs.dark_launch.drain(60)
    assert outcomes(crashes) == {"candidate_error": 1}
    assert outcomes(hangs) == {"timeout": 1}


def test_a_decorated_function_pickles_and_copies_as_functions_do(tmp_path, monkeypatch):
    import copy
    import importlib

    (tmp_path / "launched_module.py").write_text(
        "from progflags.darklaunch import dark_launch\n"
        "@dark_launch('on', candidate=abs)\ndef launched(n):\n    return n\n"
        "class Owner:\n    @dark_launch('on', candidate='other')\n    def method(self):\n        return 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("launched_module")
    launched, owner = module.launched, module.Owner()

    assert pickle.loads(pickle.dumps(launched)) is launched
    assert pickle.loads(pickle.dumps(owner.method))() == 1
    assert copy.deepcopy(owner).method() == 1
    assert copy.deepcopy({"f": launched})["f"] is launched
    assert copy.copy(launched) is launched


def test_a_decorated_function_looks_like_itself(flags, engine):
    import inspect

    @dark_launch("on", candidate=lambda a, b=1: a, flags=flags)
    def function(a: int, b: int = 1) -> int:
        """Its own words."""
        return a

    @dark_launch("on", candidate=lambda: None, flags=flags)
    async def coroutine():
        pass

    @dark_launch("on", candidate=list, flags=flags)
    def generator():
        yield

    @dark_launch("on", candidate=list, flags=flags)
    async def async_generator():
        yield

    assert str(inspect.signature(function)) == "(a: int, b: int = 1) -> int"
    assert (function.__name__, function.__doc__) == ("function", "Its own words.")
    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isgenerator(generator())
    assert inspect.isasyncgenfunction(async_generator)


def test_fastapi_sees_the_endpoints_own_signature(flags, engine):
    fastapi = pytest.importorskip("fastapi")
    import httpx

    app = fastapi.FastAPI()

    @app.get("/items/{n}")
    @dark_launch("on", candidate=lambda n, q="x": {"n": n, "q": q.upper()}, flags=flags)
    async def item(n: int, q: str = "x"):
        return {"n": n, "q": q}

    async def main():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            assert (await client.get("/items/3?q=y")).json() == {"n": 3, "q": "y"}
            assert (await client.get("/items/x")).status_code == 422

    asyncio.run(main())
    assert item.dark_launch.drain()
    assert item.dark_launch.stats().mismatches == {"$.q": 1}
