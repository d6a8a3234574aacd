"""A candidate in another process is a shadow there as it would be here, and its process ends when ours does."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest

from progflags.darklaunch import dark_launch, guards, shadow
from progflags.darklaunch.lanes import _process as processes
from support.patience import until


def posts(path):
    """What a candidate may well do: post, and write down what came of it."""
    sent = []
    transport = httpx.MockTransport(lambda request: sent.append(request.method) or httpx.Response(200))
    try:
        httpx.Client(transport=transport).post("http://a.test/")
    finally:
        path.write_text(f"sent {sent}, active {shadow.active()}, in time {shadow.remaining() > 0}")


def test_guards_and_the_mark_of_a_shadow_hold_in_the_candidates_process(flags, engine, tmp_path):
    @dark_launch("on", candidate=posts, flags=flags, executor="process", isolate="share", guards=[guards.http_safe_methods()])
    def control(path):
        return None

    control(tmp_path / "said")

    assert control.dark_launch.drain()
    stats = control.dark_launch.stats()
    assert stats.outcomes["guard_blocked"] == 1, stats
    assert (tmp_path / "said").read_text() == "sent [], active True, in time True"


def test_a_guard_that_cannot_follow_the_candidate_is_refused_at_once(flags, engine):
    local = lambda shadow: guards.tasks()(shadow)  # noqa: E731 - a guard of one's own, which no other process can find

    with pytest.raises(ValueError, match="pickle"):
        dark_launch("on", candidate=posts, flags=flags, executor="process", guards=[local])(posts)


def test_a_candidate_that_cannot_be_pickled_costs_no_process_each_time(flags, engine, monkeypatch):
    """It fails, and the process that was to run it is there for the next call."""
    made = []
    begin = processes._Child.__init__
    monkeypatch.setattr(processes._Child, "__init__", lambda child: (made.append(child), begin(child))[1])
    processes._children.end()

    @dark_launch("on", candidate=lambda: 1, flags=flags, executor="process")
    def control():
        return 1

    for _ in range(3):
        control()
        assert control.dark_launch.drain()

    assert control.dark_launch.stats().outcomes["candidate_error"] == 3
    assert len(made) == 1


def ended(pid):
    """Gone, or a corpse that nobody has buried yet."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


ENDS = """
    import os, signal, sys, time
    import progflags as pf

    def stubborn(path):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(path, "w").write(str(os.getpid()))
        time.sleep(600)

    if __name__ == "__main__":
        flags = pf.connect({"flags": {"on": {"percent": 100}}}, poll=None)

        @pf.dark_launch("on", candidate=stubborn, flags=flags, executor="process", deadline=600)
        def control(path):
            return "served"

        print(control(sys.argv[1]), flush=True)
        while not (os.path.exists(sys.argv[1]) and open(sys.argv[1]).read()):
            time.sleep(0.01)
        if sys.argv[2] == "interrupt":
            os.killpg(0, signal.SIGINT)
            time.sleep(600)
"""


@pytest.mark.parametrize("how", ["return", "interrupt"])
def test_a_child_that_will_not_end_keeps_no_process_alive_and_prints_nothing(how, tmp_path):
    """multiprocessing asks with SIGTERM and waits; a Ctrl-C goes to every process of the terminal."""
    (tmp_path / "ends.py").write_text(textwrap.dedent(ENDS))
    command = [sys.executable, "ends.py", "pid", how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, start_new_session=True)

    assert done.stdout == "served\n"
    assert "progflags-shadow" not in done.stderr
    assert done.stderr.count("Traceback") == (how == "interrupt")  # our own main thread's
    child = int((tmp_path / "pid").read_text())
    until(lambda: ended(child))
