"""What nobody is there to see: writers that pause, folders others put things in, last goods of days ago, clocks that jump."""

import logging
import os
import subprocess
import sys
import threading
import time

import pytest

import progflags as pf
from progflags._disk import sweep
from progflags.sources import FileSource, Generations, Loader
from progflags.testing import ManualClock
from support.patience import until

BOTH = "[flags.a]\npercent = 100\n[flags.b]\npercent = 100\n[flags.c]\npercent = 100\n"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "flags.toml"
    path.write_text(BOTH)
    return path


def test_a_writer_that_pauses_loses_nothing(path, monkeypatch):
    """Saved in place in two halves, with another value in the first, and a pause far longer than two looks: never READY without `c`."""
    monkeypatch.setattr("progflags.sources._loader.SETTLED", 600.0)  # whatever a busy machine makes of the pause
    served = []
    with pf.connect(path, poll=0.02) as flags:
        watching = threading.Event()

        def watch():
            while not watching.is_set():
                served.append(sorted(flags.evaluate_all("u")))
                time.sleep(0.005)

        watcher = threading.Thread(target=watch)
        watcher.start()
        with path.open("w") as file:
            file.write("[flags.a]\npercent = 0\n[flags.b]\npercent = 100\n")
            file.flush()
            time.sleep(0.4)  # the writer's pause; the reader looks twenty times meanwhile
            file.write("[flags.c]\npercent = 100\n")
        until(lambda: not flags.is_enabled("a", "u"))
        watching.set()
        watcher.join()

    assert all(keys == ["a", "b", "c"] for keys in served)


def test_a_flag_that_was_taken_out_is_gone_once_the_file_is_left_alone(path, monkeypatch):
    """`refresh` waits for that by itself; in the background it takes as many looks as it takes. A retired one goes at once."""
    with pf.connect(path, poll=None) as flags:
        path.write_text("[flags.a]\npercent = 100\n[flags.b]\npercent = 0\n")
        flags.refresh()
        assert sorted(flags.evaluate_all("u")) == ["a", "b"]
        assert flags.status().state == "READY"

        path.write_text('retired = ["b"]\n[flags.a]\npercent = 100\n')
        monkeypatch.setattr("progflags.sources._loader.SETTLED", 600.0)
        flags.refresh()  # waits for nothing
        assert sorted(flags.evaluate_all("u")) == ["a"]


def test_a_file_that_has_been_lying_there_is_believed_at_once(path):
    loader = Loader(FileSource(path))
    loader.first()
    path.write_text("[flags.a]\npercent = 100\n[flags.b]\npercent = 0\n")
    old = FileSource(path, pause=lambda _: None)
    old._look = lambda: (path.read_bytes(), 3.0)
    old._age = 3.0
    loader.source = old

    assert sorted(loader.load().snapshot.flags) == ["a", "b"]
    assert loader.unsettled == 0.0


def test_what_a_folder_kept_is_as_old_as_it_was_written(path, tmp_path):
    """After a start on a last known good of three days ago; young again once the file is there."""
    clock = ManualClock(wall=1_800_000_000.0)
    with pf.connect(path, clock=clock, last_known_good=tmp_path / "kept") as flags:
        assert flags.status().saved_at is None
    text = path.read_text()
    path.unlink()
    clock.advance(3 * 86_400)

    with pf.connect(path, clock=clock, last_known_good=tmp_path / "kept") as flags:
        status = flags.status()
        assert (status.state, status.saved_at, status.age) == ("STALE", 1_800_000_000.0, 3 * 86_400)
        assert status.to_dict()["saved_at"] == 1_800_000_000.0
        path.write_text(text)
        flags.refresh()
        clock.advance(5)
        assert (flags.status().state, flags.status().saved_at, flags.status().age) == ("READY", None, 5)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_fifo_among_what_was_kept_holds_nobody_up(path, tmp_path):
    """In a process of its own: one that hangs there could not be ended from within."""
    kept = tmp_path / "kept"
    pf.connect(path, poll=None, last_known_good=kept, store=f"sqlite:///{tmp_path}/live.db").close()
    for name in ("generation-00000009.json", "rollback-x.json", "kill-x.json", "switch-x.json", "intent-x.json"):
        os.mkfifo(kept / name)
    code = f"""
import progflags as pf
with pf.connect({str(path)!r}, poll=None, last_known_good={str(kept)!r}, store="sqlite:///{tmp_path}/live.db") as flags:
    flags.rollouts.tick()
    print(flags.is_enabled("a", "u"), flags.status().state)
"""

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert run.stdout.split() == ["True", "READY"]


def test_what_a_kill_left_half_written_is_cleaned_and_what_is_being_written_is_not(path, tmp_path):
    kept = tmp_path / "kept"
    pf.connect(path, poll=None, last_known_good=kept).close()
    left, fresh = kept / ".generation-left", kept / ".generation-fresh"
    left.write_text("half")
    fresh.write_text("half")
    hours_ago = time.time() - 7200
    os.utime(left, (hours_ago, hours_ago))

    pf.connect(path, poll=None, last_known_good=kept).close()

    assert sorted(found.name for found in kept.iterdir()) == [".generation-fresh", "generation-00000001.json"]
    sweep(tmp_path / "no such folder", ".x-")
    assert Generations(kept).read()


@pytest.mark.parametrize(("by", "said"), [(3600, 1), (-3600, 1), (30, 0)])
def test_a_wall_clock_that_jumps_is_said_once(by, said, caplog):
    clock = ManualClock(wall=1_800_000_000.0 + by)
    with pf.connect({"flags": {"a": {}}}, clock=clock) as flags, caplog.at_level(logging.WARNING, "progflags"):
        clock.step_wall(by)
        for _ in range(5):
            clock.advance(60)
            flags.refresh()

    lines = [record.getMessage() for record in caplog.records if "wall clock jumped" in record.getMessage()]
    assert len(lines) == said
    assert not said or f"{by:+d} s" in lines[0]
