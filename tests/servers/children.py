"""
What a child made by `multiprocessing` does: wait until it sees all the news, or say at once what it sees. Run as a program with the
start method, and a unit that the rollout takes in, or `watch`.
"""

import multiprocessing
import os
import sys
import time

import progflags as pf

flags = pf.connect(os.environ["PROGFLAGS_FILE"], store=os.environ["PROGFLAGS_STORE"])


@pf.dark_launch("shadow", candidate=lambda n: n + 1, flags=flags)
def inc(n):
    return n + 1


def child(ready, unit):
    inc(1)
    ready.put(os.getpid())
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert inc(1) == 2
        news = not flags.is_enabled("killed", "u") and flags.is_enabled("changed", "u") and flags.is_enabled("climbing", unit)
        if news and inc.dark_launch.stats().outcomes["match"] > 0 and flags.status().state == "READY":
            os._exit(0)
        time.sleep(0.01)
    os._exit(1)


def watch(ready, unit):
    """A line for each change of what this child serves."""
    ready.put(os.getpid())
    told = None
    while True:
        now = (not flags.is_enabled("killed", "u"), flags.is_enabled("changed", "u"))
        if now != told:
            os.write(1, f"{os.getpid()} {int(now[0])} {int(now[1])}\n".encode())
            told = now
        time.sleep(0.005)


if __name__ == "__main__":
    inc(1)
    context = multiprocessing.get_context(sys.argv[1])
    ready = context.Queue()
    children = [
        context.Process(target=watch if sys.argv[2] == "watch" else child, daemon=True, args=(ready, sys.argv[2])) for _ in range(2)
    ]
    for each in children:
        each.start()
    pids = {ready.get(timeout=60) for _ in children}
    assert len(pids) == 2
    print("ready", flush=True)
    for each in children:
        each.join(90)
    print([each.exitcode for each in children])
    flags.close()
