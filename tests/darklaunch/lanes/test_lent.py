"""What a shadow's coroutine hands to a thread runs in threads of ours: the control's stay the control's, whatever hangs."""

import asyncio
import contextvars
import os
import subprocess
import sys
import textwrap
import threading

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from progflags.darklaunch import dark_launch, shadow
from progflags.darklaunch.lanes._lent import MOST, lent
from progflags.darklaunch.lanes._workers import STUCK
from support.patience import until

asgiref = pytest.importorskip("asgiref.sync")


def to_thread(work):
    return asyncio.to_thread(work)


def default_executor(work):
    return asyncio.get_running_loop().run_in_executor(None, work)


def anyios(work):
    return anyio.to_thread.run_sync(work)


def asgirefs(work):
    return asgiref.sync_to_async(work, thread_sensitive=False)()


def asgirefs_one_thread(work):
    return asgiref.sync_to_async(work)()


WAYS = [to_thread, default_executor, anyios, asgirefs, asgirefs_one_thread]


@pytest.fixture
def hang(release):
    """A function that hangs until the test ends; then all that hung is over before the next test begins."""
    yield release.wait
    release.set()
    until(lambda: not any(lent._at.values()))


@pytest.mark.parametrize("way", WAYS)
def test_candidates_that_hang_in_threads_take_none_of_the_controls(way, flags, engine, hang, monkeypatch):
    """An event loop's own pools have a handful of threads: so many hanging shadows would leave none for the control."""
    monkeypatch.setattr("progflags.darklaunch._shadowed.GRACE", 60.0)  # what is cancelled ends, however late
    own = 1 if way is asgirefs_one_thread else min(32, (os.cpu_count() or 1) + 4)
    together = threading.Barrier(own)

    async def once():
        await way(lambda: None)

    asyncio.run(once())
    before = set(threading.enumerate())

    async def candidate():
        await way(hang)

    @dark_launch("on", candidate=candidate, flags=flags, deadline=0.05)
    async def control():
        return True

    async def main():
        for _ in range(64):
            await control()
            await asyncio.sleep(0)
        served = await asyncio.wait_for(asyncio.gather(*(way(together.wait) for _ in range(own))), 60)
        assert sorted(served) == list(range(own))
        assert await control.dark_launch.adrain()

    asyncio.run(main())

    stats = control.dark_launch.stats()
    assert stats.calls == sum(stats.outcomes.values()) == 64
    assert stats.outcomes["timeout"] > 0
    assert len(lent._at) <= MOST
    until(lambda: all(thread.daemon for thread in {*threading.enumerate()} - before), said=lambda: "a library's own thread hangs")


def test_while_too_many_are_stuck_no_coroutine_is_shadowed_and_then_they_are_again(flags, engine, release):
    async def candidate():
        return await asyncio.to_thread(release.wait)

    @dark_launch("on", candidate=candidate, flags=flags, deadline=1.0)  # long enough that all have begun before the first is late
    async def control():
        return True

    async def main():
        for _ in range(STUCK + 1):
            await control()
        assert await asyncio.to_thread(until, lambda: lent.stuck == STUCK + 1)
        control.dark_launch._limits()  # a breaker that has seen nothing
        await control()
        assert control.dark_launch.stats().shed == {"stuck": 1}

        release.set()
        assert await asyncio.to_thread(until, lambda: lent.stuck == 0)
        control.dark_launch.deadline = 600.0
        await control()
        assert await control.dark_launch.adrain()
        assert control.dark_launch.stats().outcomes["match"] == 1, control.dark_launch.stats()

    asyncio.run(main())


def test_such_a_thread_is_what_the_librarys_own_is(flags, engine):
    """Context, the way back to the loop, one thread for Django's calls, exceptions, limiters."""
    said = []
    limiter = None
    asked = contextvars.ContextVar("asked")

    async def doubled(n):
        return 2 * n

    async def candidate():
        threads = [await asgiref.sync_to_async(threading.get_ident)() for _ in range(3)]
        said.append(len(set(threads)))
        said.append(await anyio.to_thread.run_sync(anyio.from_thread.run, doubled, 21))
        said.append(await asgiref.sync_to_async(asgiref.async_to_sync(doubled))(4))
        said.append(await anyio.to_thread.run_sync(asked.get, limiter=limiter))
        for way in WAYS:
            said.append(await way(shadow.active))
            with pytest.raises(LookupError):
                await way({}.popitem)
        for way in (to_thread, anyios):
            with pytest.raises(RuntimeError, match="StopIteration"):
                await way(iter(()).__next__)
        said.append(limiter.borrowed_tokens)

    @dark_launch("on", candidate=candidate, flags=flags)
    async def control():
        return None

    async def main():
        nonlocal limiter
        limiter = anyio.CapacityLimiter(1)
        asked.set("by ann")
        await control()
        assert await control.dark_launch.adrain()

    anyio.run(main)

    assert control.dark_launch.stats().outcomes["match"] == 1, (control.dark_launch.stats(), said)
    assert said == [1, 42, 8, "by ann", True, True, True, True, True, 0]


ENDS = """
    import asyncio, sys, threading, time
    import anyio.to_thread
    import progflags as pf
    from asgiref.sync import sync_to_async

    flags = pf.connect({"flags": {"on": {"percent": 100}}}, poll=None)
    hang = threading.Event().wait
    ways = {
        "to_thread": lambda: asyncio.to_thread(hang),
        "anyio": lambda: anyio.to_thread.run_sync(hang),
        "asgiref": lambda: sync_to_async(hang)(),
    }

    async def candidate():
        await ways[sys.argv[1]]()

    @pf.dark_launch("on", candidate=candidate, flags=flags, deadline=0.1)
    async def control():
        return "served"

    async def main():
        print(await control())
        while not control.dark_launch.stats().outcomes["timeout"]:
            await asyncio.sleep(0.01)

    asyncio.run(main())
    print("over")
"""


@pytest.mark.parametrize("way", ["to_thread", "anyio", "asgiref"])
def test_a_candidate_that_hangs_in_a_thread_keeps_no_process_alive(way, tmp_path):
    """The libraries' own threads are waited for at the end of the loop, or of the interpreter."""
    source = textwrap.dedent(ENDS)
    done = subprocess.run([sys.executable, "-c", source, way], capture_output=True, text=True, timeout=120, cwd=tmp_path)

    assert (done.stdout, done.returncode) == ("served\nover\n", 0), done.stderr
