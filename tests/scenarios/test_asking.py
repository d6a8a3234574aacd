"""How often a store is asked: seldom where it says when it moved, and often enough where that can't be had or is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from uuid import uuid4

import pytest

import progflags as pf
from progflags.errors import StoreError
from progflags.store import Commit, MemoryStore, open_store
from support import servers
from support.patience import PATIENCE, stalls, until

FLAGS = {"flags": {"plain": {"percent": 100}}}
NEVER = 3600.0


class Telling(MemoryStore):
    """A store that says when it moved, and counts how often it was asked. `lost`: it does not say so after all."""

    def __init__(self, name: str, *, lost: bool = False, deaf: str = "", fails: bool = False) -> None:
        super().__init__(name)
        self.asked = 0
        self.lost, self.deaf, self.fails = lost, deaf, fails
        self._heard = 0

    def revision(self) -> int:
        self.asked += 1
        return super().revision()

    def hint(self, timeout: float) -> bool:
        if self.fails:
            raise StoreError("no hints today")
        if self.lost or self.deaf:
            time.sleep(timeout)
            return False
        before, self._heard = self._heard, self.wait(self._heard, timeout)
        return self._heard > before


@pytest.fixture
def made():
    """Clients and stores that are closed in the end, and a name that they share."""
    opened = []
    yield opened
    for one in reversed(opened):
        one.close()


def pair(made, **how):
    """A client in the background, of a store that tells, and a person's beside it."""
    name = uuid4().hex
    store = Telling(name, **how)
    made.append(here := pf.connect(FLAGS, store=store))
    made.append(there := pf.connect(FLAGS, store=f"memory://{name}", poll=None, control=False))
    return here, there, store


def test_a_store_that_tells_is_hardly_asked(made):
    """Nor does anybody wake ten times a second to see whether to ask: of this process's threads one waits to be told."""
    here, _, store = pair(made)
    until(lambda: here.status().threads["store"] == "running, looks at the store every 5 s")
    here._background.look()
    before, looks, steps, done = store.asked, here._supply.look_when_due, here._delivery.step, []
    here._supply.look_when_due = lambda: done.append("look") or looks()
    here._delivery.step = lambda **how: done.append("step") or steps(**how)
    until(lambda: done.count("step") >= 3)
    assert done.count("look") <= 2
    assert store.asked - before <= 2


def test_a_step_that_takes_long_keeps_nothing_from_arriving(made):
    """A judge that is loaded, or waits for a connection to a server that has much to do: kills are looked for beside it."""
    here, there, _ = pair(made)
    hangs, inside = threading.Event(), threading.Event()
    here._delivery.step = lambda **_: inside.set() or hangs.wait(PATIENCE)
    here._background.step()
    assert inside.wait(PATIENCE)
    there.kill("plain")
    until(lambda: not here.is_enabled("plain", "u"), 20.0)
    hangs.set()


def test_closing_ends_a_wait_for_what_is_told(made):
    """However long that may be."""
    address = f"{servers.redis()}?namespace=test-{uuid4().hex}"
    for one in (address, f"{servers.postgres()}?namespace=test-{uuid4().hex}"):
        store = open_store(one)
        made.append(store)
        store.hint(0.0)
        while store.hint(0.1):
            pass
        heard: list[bool] = []
        waits = threading.Thread(target=lambda store=store, heard=heard: heard.append(store.hint(PATIENCE)))
        waits.start()
        store.rouse()
        waits.join(PATIENCE / 2)
        assert heard == [False]


def test_what_is_told_is_seen_without_another_question(made):
    """Although the next one is an hour away."""
    name = uuid4().hex
    made.append(here := pf.connect(FLAGS, store=Telling(name), store_poll=NEVER))
    made.append(there := pf.connect(FLAGS, store=f"memory://{name}", poll=None, control=False))
    there.kill("plain")
    until(lambda: not here.is_enabled("plain", "u"))


@pytest.mark.parametrize("how", [{"lost": True}, {"fails": True}, {"deaf": "a pooler stands between"}], ids=lambda how: next(iter(how)))
def test_what_is_not_told_is_seen_all_the_same(made, how):
    """Hints may be lost, fail or be impossible: it is the look that counts."""
    name = uuid4().hex
    made.append(here := pf.connect(FLAGS, store=Telling(name, **how), store_poll=0.3))
    made.append(there := pf.connect(FLAGS, store=f"memory://{name}", poll=None, control=False))
    there.kill("plain")
    until(lambda: not here.is_enabled("plain", "u"))


def test_a_kill_of_which_no_hint_comes_is_seen_within_the_poll_and_a_second(made):
    """By whoever believes that it hears: the store never says that it can't."""
    name, poll = uuid4().hex, 1.0
    made.append(here := pf.connect(FLAGS, store=Telling(name, lost=True), store_poll=poll))
    made.append(there := pf.connect(FLAGS, store=f"memory://{name}", poll=None, control=False))
    until(lambda: here.status().threads["store"] == "running, looks at the store every 1 s")
    with stalls() as stood_still:
        for kill in (there.kill, there.unkill, there.kill):
            kill("plain")
            began, on = time.monotonic(), kill == there.unkill
            until(lambda on=on: here.is_enabled("plain", "u") is on)
            assert time.monotonic() - began <= poll + 1.0 + 3 * stood_still()


def test_where_hints_cannot_be_had_it_is_asked_every_second_and_says_why(made):
    here, _, _ = pair(made, deaf="a pooler stands between")
    assert here.status().threads["store"] == "running, looks at the store every 1 s, for a pooler stands between"
    assert here.status().state == "READY"


def test_hints_that_fail_are_said_and_nothing_else_is_wrong(made, caplog):
    here, _, _ = pair(made, fails=True)
    until(lambda: "no hints today" in here.status().threads["store"])
    assert here.status().state == "READY"
    assert "no hints today" in caplog.text


def test_who_asks_by_hand_is_answered_by_the_store(made):
    """`refresh`, a verb and a tick never go by what was known a while ago."""
    name = uuid4().hex
    made.append(here := pf.connect(FLAGS, store=Telling(name, lost=True), store_poll=NEVER))
    made.append(there := pf.connect(FLAGS, store=f"memory://{name}", poll=None, control=False))
    here.refresh()
    there.kill("plain")
    here.refresh()
    assert not here.is_enabled("plain", "u")
    there.unkill("plain")
    here.rollouts.tick()
    assert here.is_enabled("plain", "u")


def test_what_was_asked_before_a_hint_does_not_count_after_it(made):
    """The answer was on its way when the store moved."""
    from progflags._connect._glance import Glance

    glance = Glance()
    glance.interval = lambda: NEVER
    ticket = glance.ticket
    glance.forget()
    glance.saw(1, ticket)
    assert glance.known() is None
    glance.saw(2, glance.ticket)
    assert glance.known() == 2


def test_what_was_seen_will_do_for_as_long_as_was_said_and_a_tenth_more_at_most():
    """So a process that puts up a window every five seconds, and is told the revision with it, need not ask besides."""
    from progflags._connect._glance import Glance

    glance, ends = Glance(), []
    glance.interval = lambda: 5.0
    for _ in range(100):
        now = time.monotonic()
        glance.saw(1, glance.ticket)
        ends.append(glance._seen[1] - now)
    assert min(ends) >= 5.0
    assert 5.2 < max(ends) < 5.6


@pytest.mark.parametrize("bad", [0, -1, float("inf"), float("nan")])
def test_a_poll_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="store_poll is the number of seconds"):
        pf.connect(FLAGS, store_poll=bad)


@pytest.mark.parametrize("kind", ["postgres", "redis"])
def test_a_server_tells(made, kind):
    """Nobody asks for an hour, and it is there."""
    address = f"{getattr(servers, kind)()}?namespace=test-{uuid4().hex}"
    made.append(here := pf.connect(FLAGS, store=address, store_poll=NEVER))
    made.append(there := pf.connect(FLAGS, store=address, poll=None, control=False))
    for on in (False, True, False):
        (there.unkill if on else there.kill)("plain")
        until(lambda on=on: here.is_enabled("plain", "u") is on)


@pytest.fixture
def pooler(tmp_path):
    """PgBouncer in transaction mode before the PostgreSQL there is: its address."""
    from urllib.parse import urlsplit

    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        servers.missing("PgBouncer", "PATH")
    parts = urlsplit(servers.postgres())
    port, user = servers.free_port(), parts.username or "postgres"
    (tmp_path / "users").write_text(f'"{user}" ""\n')
    (tmp_path / "ini").write_text(
        f"[databases]\n* = host={parts.hostname} port={parts.port or 5432} user={user}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nauth_type = any\nauth_file = {tmp_path}/users\npool_mode = transaction\ndefault_pool_size = 2\n"
        f"unix_socket_dir =\nlogfile = {tmp_path}/log\npidfile = {tmp_path}/pid\nignore_startup_parameters = extra_float_digits\n"
    )
    command = [program, str(tmp_path / "ini")]
    if os.geteuid() == 0:  # it refuses to run as root
        shutil.chown(tmp_path, "nobody")
        tmp_path.chmod(0o755)
        for above in list(tmp_path.parents)[:3]:
            above.chmod(above.stat().st_mode | 0o055)
        command = [program, "-u", "nobody", str(tmp_path / "ini")]
    with (tmp_path / "out").open("w") as out:
        running = subprocess.Popen(command, stdout=out, stderr=out)
    address = f"postgresql://{user}@127.0.0.1:{port}{parts.path}?namespace=test-{uuid4().hex}"

    def answers() -> bool:
        try:
            open_store(address).close()
        except StoreError:
            return False
        return True

    until(answers, said=lambda: (tmp_path / "out").read_text())
    yield address
    running.terminate()
    running.wait(PATIENCE)


def test_behind_pgbouncer_in_transaction_mode(made, pooler):
    """Everything works; hints can't be had, which is seen and said, and the store is asked every second."""
    made.append(here := pf.connect(FLAGS, store=pooler))
    made.append(there := pf.connect(FLAGS, store=pooler, poll=None, control=False))
    there.kill("plain")
    until(lambda: not here.is_enabled("plain", "u"))
    until(lambda: here.status().threads["store"].startswith("running, looks at the store every 1 s, for a pooler stands between"))
    with_id = Commit({"a": {"n": 1}}, {"a": 0}, id="once")
    store = open_store(pooler)
    assert store.commit(with_id) == store.commit(with_id)
    store.close()
