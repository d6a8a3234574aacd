"""Verbs have one deadline for everything they wait for, and what must hold at once does not wait for it."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

import progflags as pf
from progflags.errors import StoreError
from progflags.rollout import State
from progflags.store import MemoryStore
from rollout.conftest import FLAG
from rollout.places import KINDS, place
from support.patience import PATIENCE, until

from .test_kept import way

SOURCE = {"flags": {FLAG: {"rollout": {"stages": [{"percent": 50, "bake": "1h"}]}}, "plain": {"percent": 100}}}
TIMEOUT = 0.5
SOON = 20.0
"""Seconds in which a verb that had half a second is back, on a machine that stands still meanwhile; without a deadline it takes a minute."""


@pytest.fixture(params=KINDS)
def hung(request, tmp_path):
    """A client whose rollout is under way, and whose store, from the moment `hang` is called, does not answer."""
    with place(request.param, tmp_path) as address:
        down, up, behind, close = way(request.param, address, mode="silent")
        try:
            with pf.connect(SOURCE, store=behind, poll=None) as flags:
                flags.rollouts.start(FLAG)
                flags.rollouts.tick()
                flags.rollouts.promote(FLAG)
                yield flags, down, up
        finally:
            close()


def exposed(flags):
    return sum(flags.is_enabled(FLAG, f"u{n}") for n in range(100))


def ends(flags, timeout):
    """Verbs that end something, and how it shows."""
    return (
        (lambda: flags.rollouts.rollback(FLAG, reason="smoke", timeout=timeout), lambda: exposed(flags) == 0),
        (lambda: flags.kill("plain", timeout=timeout), lambda: not flags.is_enabled("plain", "u")),
        (lambda: flags.unkill("plain", timeout=timeout), lambda: flags.is_enabled("plain", "u")),
        (lambda: flags.panic(timeout=timeout), lambda: not flags.is_enabled("plain", "u")),
    )


def test_every_verb_is_back_in_time_and_those_that_end_something_have_done_so(hung):
    """On a store that takes the question and does not answer: a black hole, a locked file."""
    flags, down, up = hung
    assert exposed(flags) > 20
    down()
    verbs = flags.rollouts
    for verb in (verbs.promote, verbs.pause, verbs.abort):
        began = time.monotonic()
        with pytest.raises(StoreError, match=r"was not done within its 0\.5 s"):
            verb(FLAG, timeout=TIMEOUT)
        assert time.monotonic() - began < SOON
    for act, holds in ends(flags, TIMEOUT):
        began = time.monotonic()
        act()
        assert time.monotonic() - began < SOON
        assert holds()
    assert len(flags.status().pending) == 3
    up()
    with contextlib.suppress(StoreError):  # of a connection that was up during the outage
        flags.refresh()
    flags.rollouts.tick()
    assert flags.rollouts.status(FLAG).state is State.ROLLED_BACK
    assert flags.status().pending == ()
    assert flags.status().panic is not None


def test_what_ends_something_is_in_force_while_the_store_is_still_waited_for(hung):
    flags, down, up = hung
    for act, holds in ends(flags, 10 * PATIENCE):
        down()
        thread = threading.Thread(target=act, daemon=True)
        thread.start()
        until(holds)
        assert thread.is_alive()
        up()
        thread.join(PATIENCE)
        assert flags.status().pending == ()


@pytest.mark.parametrize("kind", KINDS)
def test_closing_keeps_its_promise_at_a_store_that_hangs(kind, tmp_path):
    with place(kind, tmp_path) as address:
        down, _, behind, close = way(kind, address, mode="silent")
        try:
            flags = pf.connect(SOURCE, store=behind, poll=0.05)
            down()
            time.sleep(0.3)  # the background thread is at the store by now, whatever it does there
            began = time.monotonic()
            flags.close()
            assert time.monotonic() - began < SOON
        finally:
            close()


def test_a_timeout_that_is_none_is_refused_before_anything_happens(house):
    with pytest.raises(ValueError, match="positive number"):
        house.rollouts.rollback(FLAG, timeout=0)
    with pytest.raises(ValueError, match="positive number"):
        house.rollouts.kill(FLAG, timeout=float("nan"))
    assert house.rollouts.pending == ()


class Hangs(MemoryStore):
    """Somebody's own store: its methods know of no deadline, and it takes what it is asked to do without ever answering."""

    def __init__(self):
        super().__init__()
        self.answers = threading.Event()
        self.answers.set()

    def commit(self, commit):
        self.answers.wait(PATIENCE)
        return super().commit(commit)


def test_a_store_that_knows_of_no_deadline_is_left_behind():
    store = Hangs()
    with pf.connect(SOURCE, store=store, poll=None) as flags:
        store.answers.clear()
        began = time.monotonic()
        flags.kill("plain", timeout=TIMEOUT)
        assert time.monotonic() - began < SOON
        assert not flags.is_enabled("plain", "u")
        began = time.monotonic()
        with pytest.raises(StoreError, match=r"within its 0\.5 s"):
            flags.rollouts.start(FLAG, timeout=TIMEOUT)
        assert time.monotonic() - began < SOON
        store.answers.set()
        while flags.status().pending:
            flags.refresh()
        assert [entry.body["act"] for entry in store.history("flag/plain")] == ["kill"]
