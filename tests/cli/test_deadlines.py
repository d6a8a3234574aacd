"""`--timeout`: one deadline for all that a command asks of its store."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

import progflags as pf
from progflags._deadline import left
from progflags.cli import main
from progflags.store import MemoryStore
from support import servers
from support.proxy import Proxy

FILE = (
    '[flags.x]\ntags = ["t"]\n[flags.x.rollout]\nstages = [{ percent = 10, bake = "1h", gates = [{ metric = "error_rate", max = 0.5 }] }]\n'
)
COMMANDS = {
    "kill": ["kill", "x"],
    "unkill": ["unkill", "x"],
    "panic": ["panic"],
    "unpanic": ["unpanic"],
    "log": ["log"],
    "status": ["status"],
    "watch": ["watch"],
    "rollback": ["rollback", "--tag", "t"],
    "report": ["report", "x"],
    "evaluate": ["evaluate", "x", "--key", "u"],
    "explain": ["explain", "x", "--key", "u"],
    "shadow": ["shadow", "status"],
    "push": ["push"],
    "doctor": ["doctor"],
    **{verb: ["rollout", verb, "x"] for verb in ("plan", "status", "watch", "pause", "resume", "rollback", "abort", "history", "verify")},
}


@pytest.fixture
def where(tmp_path):
    """A file, and a store in which its rollout is under way."""
    (tmp_path / "flags.toml").write_text(FILE)
    store = f"memory://{uuid4().hex}"
    with pf.connect(tmp_path / "flags.toml", store=store, poll=None) as flags:
        flags.rollouts.start("x")
        yield ["--flags", str(tmp_path / "flags.toml"), "--store", store]


@pytest.fixture
def asked(monkeypatch, where):
    """What was left of the deadline, each time the store was asked for anything; seconds."""
    times = []

    def noting(act):
        def noted(store, *args, **options):
            if store.url == where[-1]:  # no client's own, which is not asked for by anybody
                times.append(left(1e9))
            return act(store, *args, **options)

        return noted

    for name in ("revision", "read", "commit", "history"):
        monkeypatch.setattr(MemoryStore, name, noting(getattr(MemoryStore, name)))
    return times


@pytest.mark.parametrize("name", COMMANDS)
def test_every_call_of_the_store_is_within_the_one_deadline(name, where, asked, capsys):
    """Two seconds, or what was said: a verb's own two are no limit to more, and no second deadline begins."""
    command = COMMANDS[name]
    if name == "watch":
        main([*where, "rollout", "abort", "x"])
        asked.clear()
    main([*where, *command])
    usual = {"push": 30.0}.get(name, 2.0)
    assert asked
    assert max(asked) <= usual
    asked.clear()

    main([*where, *command, "--timeout", "500"])
    assert asked
    assert 400 < min(asked) <= max(asked) <= 500
    if name != "watch":  # each of its looks has its own
        assert asked == sorted(asked, reverse=True)


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_is_a_positive_number(timeout, where, capsys):
    assert main([*where, "kill", "x", "--timeout", timeout]) == 2
    assert "timeout" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_a_store_that_swallows_everything_is_left_in_time(kind, tmp_path):
    """Exit code 2, and what to say for more; in processes that end, with nothing left that waits."""
    (tmp_path / "flags.toml").write_text(FILE)
    parts = urlsplit(getattr(servers, kind)())
    proxy = Proxy(parts.hostname, parts.port)
    proxy.mode = "silent"
    who, at, _ = parts.netloc.rpartition("@")
    store = parts._replace(netloc=f"{who}{at}127.0.0.1:{proxy.port}", query=f"namespace=test-{uuid4().hex}").geturl()
    program = [sys.executable, "-m", "progflags", "--json", "--flags", str(tmp_path / "flags.toml"), "--store", store]
    try:
        for name in ("kill", "panic", "rollback", "log", "push", "watch"):
            began = time.monotonic()
            done = subprocess.run([*program, *COMMANDS[name], "--timeout", "0.3"], capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 2, done
            assert "the 0.3 s are over: --timeout SECONDS gives it more" in json.loads(done.stdout)["error"]
            print(f"{kind}, {name}: {time.monotonic() - began:.1f} s with the interpreter's start")
    finally:
        proxy.close()
