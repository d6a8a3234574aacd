"""Sources behind `connect`: what a program's own client says and serves."""

import os
import subprocess
import sys
import threading

import pytest

import progflags as pf
from progflags.sources import EnvSource, StoreSource, push, source_of
from progflags.store import MemoryStore
from progflags.testing import ManualClock
from support.patience import until


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "flags.toml"
    path.write_text("[flags.a]\npercent = 100\n[flags.b]\n")
    return path


def test_a_start_from_the_persisted_last_known_good_is_stale_at_once(path, tmp_path):
    """It serves, says STALE, and why; and is READY again when the file is."""
    kept = tmp_path / "kept"
    pf.connect(path, poll=None, last_known_good=kept).close()
    path.unlink()
    with pf.connect(path, clock=ManualClock(), last_known_good=kept) as flags:
        assert flags.is_enabled("a", "u")
        assert flags.status().state == "STALE"
        assert flags.status().problems[0].file == str(path)
        assert flags.evaluate("a", False, "u").reason == "STALE"
        path.write_text("[flags.a]\npercent = 0\n[flags.b]\n")
        flags.refresh()
        assert flags.status().state == "READY"
        assert not flags.is_enabled("a", "u")


def test_a_refused_file_names_itself_and_serves_on(path):
    """Truncated, empty, deleted, invalid: STALE, with the place; never an empty set."""
    with pf.connect(path, poll=None) as flags:
        for bad in (path.read_text()[:-5], "", None, "[flags.a]\npercent = 100\n[flags.b\n"):
            path.unlink() if bad is None else path.write_text(bad)
            flags.refresh()
            assert flags.status().state == "STALE"
            assert flags.status().problems[0].file == str(path)
            assert flags.is_enabled("a", "u")
            path.write_text("[flags.a]\npercent = 100\n[flags.b]\n")
            flags.refresh()
            assert flags.status().state == "READY"


def test_the_environment_as_the_top_layer(path, monkeypatch):
    """For this process only."""
    monkeypatch.setitem(os.environ, "PROGFLAGS_FLAG_B", "on")
    with pf.connect([path, EnvSource()], poll=None) as flags:
        assert flags.is_enabled("b", "u")


def test_definitions_pushed_into_the_store_reach_every_client():
    """No file on any host."""
    store = MemoryStore()
    push(store, source_of({"flags": {"a": {"default": "on"}}}).read())
    with pf.connect(StoreSource(store), store=store, poll=None) as one, pf.connect(StoreSource(store), store=store, poll=None) as other:
        assert one.is_enabled("a")
        push(store, source_of({"flags": {"a": {"default": "off"}}}).read())
        for flags in (one, other):
            flags.refresh()
            assert not flags.is_enabled("a")


def test_a_change_is_served_by_the_background_reader(path):
    """Within the poll interval and a moment; the thread is gone after close."""
    before = threading.active_count()
    with pf.connect(path, poll=0.02) as flags:
        path.write_text("[flags.a]\npercent = 0\n[flags.b]\n")
        until(lambda: not flags.is_enabled("a", "u"))
    until(lambda: threading.active_count() <= before)  # `close` waits for 2 s at most


def test_a_failed_construction_leaves_nothing_behind(path):
    """No thread, no open file."""
    path.write_text("[[[")
    before = threading.active_count()
    for _ in range(20):
        with pytest.raises(pf.DefinitionError):
            pf.connect(path, poll=0.01, store=f"sqlite:///{path.parent}/state.db")
    assert threading.active_count() <= before
    if os.path.isdir("/proc/self/fd"):
        assert not [fd for fd in os.listdir("/proc/self/fd") if "state.db" in os.path.realpath(f"/proc/self/fd/{fd}")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("store", ["memory://x", "sqlite:///state.db"])
def test_a_connected_client_forks_at_any_moment(store, path):
    """Thirty forks of a program with its readers at work and flags being evaluated: parent and children see the last change."""
    script = f"""
import os, signal, sys, threading, time
import progflags as pf
flags = pf.connect("flags.toml", store={store!r}, poll=0.01)
def busy():
    while True:
        flags.is_enabled("a", "u")
        flags.evaluate("nowhere", False, "u")
for _ in range(2):
    threading.Thread(target=busy, daemon=True).start()
def until(wanted, seconds=60):
    end = time.monotonic() + seconds
    while flags.is_enabled("a", "u") is not wanted and time.monotonic() < end:
        time.sleep(0.005)
    return flags.is_enabled("a", "u") is wanted
stuck = 0
for n in range(30):
    with open("new", "w") as file:
        file.write(f"[flags.a]\\npercent = {{(n % 2) * 100}}\\n[flags.b]\\n")
    child = os.fork()
    if not child:
        signal.alarm(90)
        os._exit(0 if until(bool(n % 2)) else 1)
    os.rename("new", "flags.toml")
    stuck += os.waitpid(child, 0)[1] != 0
print(stuck, until(True))
sys.stdout.flush()
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=path.parent, capture_output=True, text=True, timeout=600)
    assert done.stdout.split() == ["0", "True"], done.stderr


def test_a_circle_with_an_earlier_definition_holds_no_other_flag_up(tmp_path):
    """One team's typo, another's new prerequisite, and a third that takes its flag back, in one file: the third is heard."""
    path = tmp_path / "flags.toml"
    path.write_text('[flags.a]\nrequires = [{ flag = "b" }]\n[flags.b]\n[flags.risky]\npercent = 100\n')
    with pf.connect(path, clock=ManualClock()) as flags:
        assert flags.is_enabled("risky", "u")
        path.write_text(
            '[flags.a]\npercnt = 1\nrequires = [{ flag = "b" }]\n[flags.b]\nrequires = [{ flag = "a" }]\n[flags.risky]\npercent = 0\n'
        )
        flags.refresh()
        assert not flags.is_enabled("risky", "u")
        assert flags.status().state == "DEGRADED"
        assert [f"{one.line} {one.key}" for one in flags.status().rejected] == ["2 flags.a.percnt", "5 flags.b.requires"]
