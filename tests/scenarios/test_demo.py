"""The demo itself: real processes, real HTTP, one SQLite file. It goes as told, also when it is killed on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import progflags as pf
from support.patience import stalls

pytestmark = pytest.mark.slow
DEMO = [sys.executable, "-m", "progflags", "demo"]
STILL = 0.3  # seconds; a share is everywhere in 0.1
ENDED = ("completed", "rolled_back", "cooling_down")


def processes(marker: str) -> list[int]:
    """The demo's processes that belong to this folder (its name stands in their environment)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (entry / "environ").read_bytes() and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        except (OSError, ValueError):
            continue
    return found


def gone(marker: str, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while processes(marker):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def steps(folder: Path, flag: str):
    """(share, state) of every transition the store holds, and what is wrong with the hash chain."""
    with pf.connect(folder / "demo.flags.toml", store=f"sqlite:///{folder / 'state.db'}", poll=None, control=False) as flags:
        return flags.rollouts.history(flag), flags.rollouts.verify(flag)


def test_the_story_goes_as_told_and_leaves_no_process_behind(tmp_path):
    """A climbs through all its stages, B falls back at its first; seen from outside nothing was lost and nobody flipped."""
    for run in range(3):
        with stalls() as stall:
            done = subprocess.run([*DEMO, "--dir", str(tmp_path / str(run))], capture_output=True, text=True, timeout=400)
        summary = json.loads(done.stdout.splitlines()[-1])
        # A worker that stands still just when a share changes serves the old one late: that says nothing of the demo.
        if summary["ok"] or stall() < STILL:
            break

    assert done.returncode == 0, done.stdout + done.stderr
    assert summary["ok"] is True
    assert summary["good"] == {"state": "completed", "percents": [1.0, 10.0, 50.0, 100.0]}
    assert (summary["requests_lost"], summary["unstable_users"]) == (0, 0)
    assert summary["bad"]["stage"] == 0
    assert gone(str(tmp_path))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the demo's processes in /proc, which only Linux has")
def test_killed_on_the_way_it_resumes_where_it_was(tmp_path):
    """kill -9 of every process in the middle: the next run goes on, no stage is skipped, none begins again, no bake is cut short."""
    first = subprocess.Popen([*DEMO, "--dir", str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    end = time.monotonic() + 180
    while not ((tmp_path / "state.db").exists() and any(step.percent >= 10 for step in steps(tmp_path, "new-checkout")[0])):
        assert time.monotonic() < end, "the demo never reached 10 %"
        time.sleep(0.3)
    for pid in processes(str(tmp_path)) + [first.pid]:
        os.kill(pid, signal.SIGKILL)
    first.wait()
    assert gone(str(tmp_path))
    before = [step.revision for step in steps(tmp_path, "new-checkout")[0]]

    second = subprocess.run([*DEMO, "--dir", str(tmp_path)], capture_output=True, text=True, timeout=400)
    history, wrong = steps(tmp_path, "new-checkout")

    assert second.returncode in (0, 1), second.stderr  # requests under way at the kill are lost, which the summary may say
    assert not wrong
    assert [step.revision for step in history] == list(range(1, len(history) + 1))
    assert [step.revision for step in history][: len(before)] == before
    shares = [history[0].percent, *(b.percent for a, b in zip(history, history[1:]) if a.percent != b.percent)]
    assert [share for share in shares if share] == [1.0, 10.0, 50.0, 100.0]
    assert history[-1].target == "completed"
    for share, bake in ((1.0, 6.0), (10.0, 6.0), (50.0, 6.0), (100.0, 4.0)):
        here = [step.at for step in history if step.percent == share]
        after = [step.at for step in history if step.percent > share] or [history[-1].at]
        assert min(after) - min(here) >= bake - 0.05
    falls, _ = steps(tmp_path, "new-search")
    assert max(step.percent for step in falls) == 1.0
    assert falls[-1].percent == 0.0


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the worker in /proc, which only Linux has")
def test_a_killed_worker_changes_nothing_about_the_rollout(tmp_path):
    """kill -9 of one of the two workers at 1 %: the other and its successor carry on, and both releases end as they should."""
    demo = subprocess.Popen([*DEMO, "--dir", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    end = time.monotonic() + 180
    while not ((tmp_path / "state.db").exists() and any(step.percent >= 1 for step in steps(tmp_path, "new-checkout")[0])):
        assert time.monotonic() < end, "the demo never began"
        time.sleep(0.2)
    workers = [pid for pid in processes(str(tmp_path)) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(workers[0], signal.SIGKILL)
    out, _ = demo.communicate(timeout=400)
    summary = json.loads(out.splitlines()[-1])

    assert summary["good"] == {"state": "completed", "percents": [1.0, 10.0, 50.0, 100.0]}
    assert summary["bad"]["state"] in ENDED
    assert summary["bad"]["percent_reached"] == 1.0
    assert not steps(tmp_path, "new-checkout")[1]
    assert gone(str(tmp_path))
