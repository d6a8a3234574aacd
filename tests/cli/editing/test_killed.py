"""
An edit killed, and refused by the disk, at every system call that writes: the file is the old one or the new one, and nothing is left.

`strace` stops the process at exactly the n-th call of each kind, for every n of a whole run.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support.tracer import needs_strace, strace

pytestmark = [pytest.mark.slow, needs_strace]

OLD = "# ours\n[flags.a]\npercent = 5 # five\n" + "".join(f"\n# about {at}\n[flags.f{at}]\npercent = 1\n" for at in range(200))
NEW = OLD.replace("percent = 5 # five", "percent = 7 # five")
CALLS = ["write", "fsync", "rename", "chmod", "unlink", "flock", "ftruncate"]


def edit(folder, *options):
    command = [sys.executable, "-B", "-m", "progflags", "--flags", "flags.toml", "--json", "set", "a", "percent=7", "--keys", "../keys"]
    traced = [strace, "-f", "-o", str(folder.parent / "trace"), *options, *command]
    return subprocess.run(traced, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "flags"
    place.mkdir()
    (tmp_path / "keys").write_text("ann")
    return place


def fresh(folder):
    for left in folder.iterdir():
        left.unlink()
    (folder / "flags.toml").write_text(OLD)
    os.utime(folder / "flags.toml", (1_700_000_000, 1_700_000_000))


def counted(folder):
    fresh(folder)
    done = edit(folder, "-e", f"trace={','.join(CALLS)}")
    assert done.returncode == 0, done.stderr
    trace = (folder.parent / "trace").read_text()
    return {call: trace.count(f" {call}(") for call in CALLS}


def test_killed_at_every_call_it_is_the_old_file_or_the_new_one(folder):
    times = counted(folder)
    assert times["fsync"] == 2
    assert times["rename"] == times["chmod"] == times["flock"] == 1
    seen = set()
    for call, count in times.items():
        for n in range(1, count + 1):
            fresh(folder)
            done = edit(folder, "-e", f"inject={call}:signal=SIGKILL:when={n}")
            assert done.returncode != 0, call
            text = (folder / "flags.toml").read_text()
            assert text in (OLD, NEW), (call, n)
            seen.add(text)
    assert seen == {OLD, NEW}


def test_what_a_kill_leaves_locks_nobody_out_and_goes_with_the_next_edit(folder):
    fresh(folder)
    assert edit(folder, "-e", "inject=rename:signal=SIGKILL:when=1").returncode != 0
    (left,) = folder.glob(".flags.toml.*")
    os.utime(left, (0, 0))  # as long afterwards as nobody needs it any more
    assert edit(folder).returncode == 0
    assert (folder / "flags.toml").read_text() == NEW
    assert os.listdir(folder) == ["flags.toml"]


@pytest.mark.parametrize(("call", "error"), [("fsync", "EIO"), ("rename", "EBUSY"), ("chmod", "EPERM"), ("fsync", "ENOSPC")])
def test_refused_by_the_disk_the_old_file_is_there_and_nothing_beside_it(folder, call, error):
    fresh(folder)
    done = edit(folder, "-e", f"inject={call}:error={error}:when=1")
    assert done.returncode == 2
    assert "flags.toml: " in done.stdout
    assert (folder / "flags.toml").read_text() == OLD
    assert os.listdir(folder) == ["flags.toml"]
