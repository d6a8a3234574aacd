"""Several processes, one store: one message, at least once, whoever is killed; in order; and nobody waits for a channel that hangs."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

import progflags as pf
from progflags.notify import Slack, Webhook
from progflags.rollout.run._claim import GONE
from progflags.store import open_store
from support import servers
from support.patience import until
from support.web import gunicorn

from .receiver import receiver


@pytest.fixture
def server():
    with receiver() as here:
        yield here


@pytest.fixture(params=["sqlite", "redis", "postgres"])
def store(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state.db"
    return f"{getattr(servers, request.param)()}?namespace=test-{uuid4().hex}"


@pytest.fixture
def file(tmp_path, server):
    path = tmp_path / "flags.toml"
    flags = "".join(
        f"[flags.{name}]\npercent = 100\n" for name in ("banner", "one", "two", "three", "late", *("f0", "f1", "f2", "f3", "f4", "f5"))
    )
    path.write_text(f'[notify.ops]\nwebhook = "{server.url}/hook"\n\n{flags}')
    return path


@pytest.fixture
def soon(monkeypatch):
    """What failed is tried again in a moment, and not in seconds."""
    monkeypatch.setattr("progflags.rollout.run._outbox._SLOWEST", 0.2)


class Worker:
    """
    A process that is told what to do, and answers when it has. Each word is about a flag of its own, for of one flag a second message
    waits ten seconds. On the servers a claim is free sooner than it is in the field, which SQLite's are left to show.
    """

    def __init__(self, file, store):
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "worker.py"), str(file), store, str(GONE if store.startswith("sqlite") else 1.5)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"

    def tell(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def end(self, how="kill"):
        getattr(self.process, how)()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@contextmanager
def workers(count, file, store):
    them = [Worker(file, store) for _ in range(count)]
    try:
        yield them
    finally:
        for one in them:
            if one.process.poll() is None:
                one.end()


def reasons(server):
    """Of what was taken, in order."""
    return [line["reason"] for document in map(json.loads, server.taken) for line in document["data"]["changes"]]


def claims(store):
    """Who says on the Board that it tells, and what."""
    with closing(open_store(store)) as here:
        return [(row.worker, row.body) for row in here.board.collect("outbox/notify/ops")]


def test_a_fleet_tells_once(server, file, store):
    """Whichever process did it, and whichever tells."""
    with workers(3, file, store) as (first, second, third):
        first.tell("kill one")
        until(lambda: server.seen)
        second.tell("kill two")
        third.tell("kill three")
        until(lambda: len(reasons(server)) == 3)
        time.sleep(1.6)  # three rounds of each: what would be told twice has been

    assert reasons(server) == ["one", "two", "three"]
    assert len({document["id"] for document in server.documents}) == len(server.documents)


def test_what_was_committed_and_not_told_is_told_by_another(server, file, store):
    """The process that told is killed while the channel does not answer: the message that it had not delivered comes from the other."""
    hangs = threading.Event()
    with workers(2, file, store) as (first, second):
        first.tell("kill one")
        until(lambda: reasons(server) == ["one"])
        server.answers += [lambda _: (hangs.wait(60), 500)[1]] * 2
        first.tell("kill two")
        until(lambda: len(server.answers) < 2)  # on its way, and not taken
        first.end("kill")
        hangs.set()
        until(lambda: "two" in reasons(server)[1:])
        second.tell("kill three")
        until(lambda: "three" in reasons(server))

    told = list(dict.fromkeys(reasons(server)))
    assert told == ["one", "two", "three"]


def test_what_the_last_process_could_not_tell_is_told_by_the_next(server, file, store):
    """Killed with -9 in the very moment, and started again."""
    server.answers += [500] * 3
    with workers(1, file, store) as (only,):
        only.tell("kill late")
        until(lambda: server.seen)
        only.end("kill")
    assert reasons(server) == []
    server.answers.clear()
    with workers(1, file, store):
        until(lambda: "late" in reasons(server))


def test_who_leaves_properly_keeps_nobody_waiting(server, file, store):
    """The claim is given back, so that the other tells at once."""
    with workers(2, file, store) as (first, second):
        first.tell("kill one")
        until(lambda: server.seen)
        held = claims(store)
        first.process.communicate("quit\n")
        assert [body for _, body in held] == [b""]
        assert held[0][0] not in {worker for worker, body in claims(store) if body != b"left"}
        second.tell("kill two")
        until(lambda: len(reasons(server)) == 2)


APPLICATION = """
import os

import progflags as pf

flags = pf.connect(os.environ["FILE"], store=os.environ["STORE"])


def app(environ, start_response):
    reason = environ["PATH_INFO"].strip("/")
    flags.kill(reason, reason=reason)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


def test_workers_that_were_forked_tell_once(server, file, tmp_path, monkeypatch):
    """gunicorn --preload: connected before the fork, and every worker and their parent has the channel."""
    monkeypatch.setenv("FILE", str(file))
    monkeypatch.setenv("STORE", f"sqlite:///{tmp_path}/state.db")
    (tmp_path / "application.py").write_text(APPLICATION)
    with gunicorn("application:app", "--preload", "-w", "3", cwd=tmp_path) as address:
        for n in range(6):
            httpx.get(f"{address}/f{n}").raise_for_status()
            until(lambda n=n: n > 1 or server.taken)
        until(lambda: len(reasons(server)) == 6)
        time.sleep(1.6)  # three rounds of each: what would be told twice has been

    assert reasons(server) == [f"f{n}" for n in range(6)]


def test_what_was_decided_without_the_store_is_told_when_it_is_back(server, file, tmp_path):
    """The application starts, kills here, and tells once there is something to tell from."""
    folder, away = tmp_path / "there", tmp_path / "away"
    folder.mkdir()
    with pf.connect(file, store=f"sqlite:///{folder}/state.db", poll=None):
        pass  # the channel is known from here on
    folder.rename(away)
    with pf.connect(file, store=f"sqlite:///{folder}/state.db") as flags:
        flags.kill("banner", reason="without the store")
        assert not flags.is_enabled("banner", "user-1")
        assert server.seen == []
        away.rename(folder)
        until(lambda: reasons(server) == ["without the store"])


def test_a_channel_that_hangs_holds_nothing(server, tmp_path, monkeypatch):
    """Neither kills, nor requests, nor the other channels; and `status` says which one hangs: in the field after half a minute."""
    monkeypatch.setattr("progflags.rollout.run._outbox.LIMIT", 2.0)
    hangs = threading.Event()
    with receiver() as stuck:
        stuck.answers += [lambda _: (hangs.wait(60), 200)[1]] * 100
        channels = [Slack(url=stuck.url, name="stuck", timeout=60), Webhook(url=server.url, name="well", timeout=60)]
        document = {"flags": {f"flag-{n}": {"percent": 100} for n in range(20)}}
        with pf.connect(document, store=f"sqlite:///{tmp_path}/state.db", notify=channels) as flags:
            flags.kill("flag-0", reason="first")
            until(lambda: stuck.answers[99:] or len(stuck.answers) < 100)
            for n in range(1, 20):
                began = time.monotonic()
                flags.kill(f"flag-{n}")
                assert not flags.is_enabled(f"flag-{n}", "user-1")
                assert time.monotonic() - began < 30  # the channel hangs for twice as long
            until(lambda: len({document["data"]["flag"] for document in server.documents}) == 20)
            until(lambda: "has not come back" in flags.status().threads["sink notify/stuck"])
            assert flags.status().threads["sink notify/well"] == "running"
            hangs.set()
            until(lambda: len(stuck.seen) == 20)


def test_a_channel_that_fails_is_tried_again_in_order(server, tmp_path, soon):
    """The same message first, with the id it had; nothing overtakes it."""
    server.answers += [500, 503]
    document = {"flags": {"a": {"percent": 100}, "b": {"percent": 100}}}
    with pf.connect(document, store=f"sqlite:///{tmp_path}/state.db", notify=[Webhook(url=server.url, name="x", timeout=60)]) as flags:
        flags.kill("a")
        until(lambda: server.seen)
        flags.kill("b")
        until(lambda: server.documents[-1]["data"]["flag"] == "b")

    assert [document["data"]["flag"] for document in server.documents] == ["a", "a", "a", "b"]
    assert len({document["id"] for document in server.documents}) == 2


def test_what_is_refused_as_such_does_not_stand_in_the_way(server, tmp_path, soon):
    """After three tries it is dropped, counted and shown, and the next is told."""
    server.answers += [(400, {}, b"invalid_blocks")] * 3
    document = {"flags": {"a": {"percent": 100}, "b": {"percent": 100}}}
    with pf.connect(document, store=f"sqlite:///{tmp_path}/state.db", notify=[Slack(url=server.url, name="x", timeout=60)]) as flags:
        flags.kill("a")
        until(lambda: len(server.seen) == 3)
        flags.kill("b")
        until(lambda: len(server.seen) == 4)
        until(lambda: "1 dropped" in flags.status().threads["sink notify/x"])

    assert "b was killed" in server.documents[-1]["text"]


def test_a_file_that_names_other_channels_is_heeded(server, file, store):
    """A channel that is new hears of what happens next, one that is gone of nothing more."""
    with receiver() as other, pf.connect(file, store=store) as flags:
        flags.kill("banner", reason="one")
        until(lambda: server.seen)
        text = file.read_text()
        file.write_text(text.replace("notify.ops", "notify.others").replace(server.url, other.url))
        until(lambda: "sink notify/others" in flags.status().threads)
        assert "sink notify/ops" not in flags.status().threads
        until(lambda: any(key == "outbox/notify/others" for key in flags._store.read("outbox/")[1]))
        flags.unkill("banner", reason="two")
        until(lambda: other.seen)

    assert reasons(server) == ["one"]
    assert reasons(other) == ["two"]
