"""Threads: the messages about one rollout stand below the first of them, whichever process tells."""

from __future__ import annotations

import json

import pytest

import progflags as pf
from progflags._trouble import counts
from progflags.errors import StoreError
from progflags.notify import Slack
from progflags.notify._threads import Threads
from progflags.store import Commit, MemoryStore
from progflags.testing import ManualClock
from rollout.faults import Wrapped
from rollout.places import KINDS, place

from .receiver import receiver

ROLLOUT = {"stages": [{"percent": 10, "bake": "60s"}, {"percent": 50, "bake": "60s"}]}


@pytest.fixture
def clock():
    return ManualClock(wall=1_800_000_000.0)


@pytest.fixture(params=["memory", *KINDS])
def address(request, tmp_path):
    with place(request.param, tmp_path) as found:
        yield found


def bot(server):
    return Slack(name="ops", token="xoxb-1", channel="#deploys", url=server.url)


def test_the_next_process_goes_on_in_the_thread_of_the_one_before(address, clock):
    """One tells that it began and ends; another tells of the rollback, below it. Of another flag it begins another."""
    with receiver() as server:
        for ts in ("1.1", "2.2", "3.3"):
            server.answers.append((200, {}, json.dumps({"ok": True, "ts": ts}).encode()))
        document = {"flags": {"new": {"rollout": ROLLOUT}, "other": {"rollout": ROLLOUT}}}
        with pf.connect(document, store=address, clock=clock, notify=[bot(server)]) as one:
            one.rollouts.deliver()
            one.rollouts.start("new", by="ann")
            assert one.rollouts.deliver()
        clock.advance(60)
        with pf.connect(document, store=address, clock=clock, notify=[bot(server)]) as two:
            two.rollouts.rollback("new", by="bob", reason="it is bad")
            two.rollouts.start("other", by="bob")
            for _ in range(3):
                clock.advance(60)
                two.rollouts.deliver()

    assert [form.get("thread_ts") for form in server.documents] == [None, "1.1", None]


def test_the_last_are_kept_and_no_more(clock):
    store = MemoryStore(clock=clock)
    threads = Threads(store, clock, "ops")
    for n in range(300):
        clock.advance(1)
        threads.begun(f"rollout/new/{n}", f"{n}.0")
    other = Threads(store, clock, "ops")

    assert other.first("rollout/new/299") == "299.0"
    assert other.first("rollout/new/10") == ""
    assert len(store.read("threads/")[1]["threads/ops"].body["threads"]) == 200
    assert Threads(store, clock, "another").first("rollout/new/299") == ""


def test_two_that_begin_at_once_lose_neither(clock):
    store, meddle = MemoryStore(clock=clock), []
    one = Threads(Wrapped(store, before=lambda what: meddle.pop()() if what == "commit" and meddle else None), clock, "ops")
    two = Threads(store, clock, "ops")
    meddle.append(lambda: two.begun("b", "2.0"))
    one.begun("a", "1.0")

    assert {name: Threads(store, clock, "ops").first(name) for name in "ab"} == {"a": "1.0", "b": "2.0"}


@pytest.mark.parametrize("body", [{"v": 1}, {"threads": [1]}, {"threads": {"a": 1}}, {"threads": {"a": ["x", "y"]}}])
def test_what_somebody_else_wrote_there_is_begun_anew(clock, body):
    store = MemoryStore(clock=clock)
    store.commit(Commit({"threads/ops": body}))
    threads = Threads(store, clock, "ops")

    assert threads.first("a") == ""
    threads.begun("a", "1.0")
    assert Threads(store, clock, "ops").first("a") == "1.0"


def test_with_the_store_out_of_reach_this_process_knows_its_own(clock):
    def away(what):
        raise StoreError("away")

    threads, before = Threads(Wrapped(MemoryStore(clock=clock), before=away), clock, "ops"), counts().get("notify threads", 0)
    assert threads.first("a") == ""
    threads.begun("a", "1.0")

    assert threads.first("a") == "1.0"
    assert counts()["notify threads"] == before + 2
