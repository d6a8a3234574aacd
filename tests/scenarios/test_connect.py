"""pf.connect: the rooms put together, as an application meets them."""

import json
import subprocess
import sys
import threading
import time

import pytest

import progflags as pf
from progflags._connect._turns import Turns
from progflags.errors import ClosedError
from progflags.events import Reloaded
from progflags.store import Commit, MemoryStore
from progflags.testing import ManualClock
from support.patience import PATIENCE, until

GOOD = '[flags.new-search]\npercent = 25\n\n[flags.banner]\nvariants = { a = "a", b = "b" }\ndefault = "b"\n'


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "flags.toml"
    path.write_text(GOOD)
    return path


def connect(file, **options):
    return pf.connect(file, **{"poll": None, **options})


def test_a_path_a_dict_and_a_list_of_layers_are_sources(file):
    """Each form of source serves; in a list the later layer wins."""
    with connect(file) as flags, connect({"flags": {"x": {"percent": 100}}}) as small:
        assert flags.get("banner", "a", "u") == "b"
        assert small.is_enabled("x", "u")
    with connect([file, {"flags": {"new-search": {"percent": 100}}}]) as layered:
        assert all(layered.is_enabled("new-search", f"u{i}") for i in range(50))


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (GOOD.replace("percent = 25", "percent = "), ":2"),
        (GOOD.replace("percent", "pecent"), "flags.new-search.pecent"),
        ("", "no flags"),
        (GOOD[: len(GOOD) // 2], ""),
        ("[flags", ":1"),
        ("\x00\x01", ":1"),
    ],
)
def test_a_bad_file_leaves_the_last_known_good_serving_and_says_where(file, broken, says):
    """Whatever is wrong with the new document, no answer changes, and the status names file, line or key."""
    with connect(file) as flags:
        before = {f"u{i}": (flags.is_enabled("new-search", f"u{i}"), flags.get("banner", "-", f"u{i}")) for i in range(200)}
        file.write_text(broken)
        flags.refresh()
        after = {f"u{i}": (flags.is_enabled("new-search", f"u{i}"), flags.get("banner", "-", f"u{i}")) for i in range(200)}
        status = flags.status()

        assert after == before
        assert status.state in ("STALE", "DEGRADED")
        text = "\n".join(str(problem) for problem in (*status.problems, *status.rejected))
        assert str(file) in text
        assert says in text


def test_a_deleted_file_serves_on_and_recovers_when_it_is_back(file):
    with connect(file) as flags:
        file.unlink()
        flags.refresh()
        gone = flags.status().state, flags.get("banner", "-", "u")
        file.write_text(GOOD.replace('default = "b"', 'default = "a"'))
        flags.refresh()

        assert gone == ("STALE", "b")
        assert flags.status().state == "READY"
        assert flags.get("banner", "-", "u") == "a"


def test_nothing_to_serve_is_a_definition_error_that_names_the_file(tmp_path):
    with pytest.raises(pf.DefinitionError) as caught:
        pf.connect(tmp_path / "absent.toml", poll=None)

    assert "absent.toml" in str(caught.value)
    assert caught.value.problems


def test_the_last_known_good_outlives_the_process_where_a_folder_is_named(file, tmp_path):
    """With the file gone at the next start, the persisted generation serves, and the status says STALE."""
    clock = ManualClock()
    with connect(file, last_known_good=tmp_path / "kept", clock=clock) as flags:
        clock.advance(60)
        flags.refresh()
    file.unlink()

    with connect(file, last_known_good=tmp_path / "kept") as again:
        assert again.get("banner", "-", "u") == "b"
        again.refresh()
        assert again.status().state == "STALE"


def test_a_change_of_the_file_is_seen_without_asking(file):
    """With a poll interval a background thread looks; the test waits on the answer, not on time."""
    with connect(file, poll=0.05) as flags:
        file.write_text(GOOD.replace("percent = 25", "percent = 100"))
        until(lambda: flags.is_enabled("new-search", "anyone-at-all") and flags.is_enabled("new-search", "someone-else"))


def test_a_kill_in_one_client_reaches_the_other_through_the_store(file, tmp_path):
    """Two clients on one SQLite file: what one commits the other serves, and the history says who and why."""
    store = f"sqlite:///{tmp_path / 'state.db'}"
    with connect(file, store=store) as one, connect(file, store=store) as two:
        one.kill("banner", reason="it blinks", by="ann")
        two.refresh()

        assert two.evaluate("banner", "-", "u").reason == "DISABLED"
        one.unkill("banner")
        two.refresh()
        assert two.evaluate("banner", "-", "u").reason == "STATIC"


def looks_of(flags):
    """The background's job that looks at the store."""
    return next(job for thread in flags._background for job in thread._jobs if job.name == "store")


def rests(job):
    until(lambda: not job.since and job.due - time.monotonic() > 0.5)


def test_a_store_that_nobody_else_has_is_seldom_looked_at(file):
    """What this client writes it serves at once; ten looks a second would find nothing that it doesn't know."""
    with pf.connect(file) as flags:
        rests(looks_of(flags))
        flags.kill("banner")
        assert flags.evaluate("banner", "-", "u").reason == "DISABLED"


def test_a_look_that_was_left_to_another_is_made_up_for_at_once(file):
    """Whoever kills from inside a look, while another thread is in the middle of one at the store, waits for nobody; nor does the kill."""
    held, over = threading.Event(), threading.Event()
    with pf.connect(file) as flags:

        def hold():
            with flags._supply._turns.take():
                held.set()
                over.wait(PATIENCE)

        rests(looks_of(flags))
        other = threading.Thread(target=hold)
        other.start()
        held.wait(PATIENCE)
        with Turns().take():
            flags.kill("banner")
        assert looks_of(flags).due <= time.monotonic()
        over.set()
        other.join()
        until(lambda: flags.evaluate("banner", "-", "u").reason == "DISABLED")


class Stuck(MemoryStore):
    """A store whose server took the question and never answers, once `stick` was called."""

    def __init__(self):
        super().__init__()
        self.asked, self.answers = threading.Event(), threading.Event()
        self.answers.set()

    def stick(self):
        self.answers.clear()
        self.asked.clear()

    def revision(self):
        if not self.answers.is_set():
            self.asked.set()
            self.answers.wait(600)
        return super().revision()


def test_a_store_that_hangs_keeps_no_change_of_the_file_from_being_seen(file):
    """A kill written into the file is served while the thread at the store still waits for its answer."""
    store = Stuck()
    with pf.connect(file, store=store, poll=0.05) as flags:
        assert flags.get("banner", "-", "u") == "b"
        store.stick()
        assert store.asked.wait(PATIENCE)
        file.write_text(GOOD.replace('default = "b"', 'default = "a"'))
        until(lambda: flags.get("banner", "-", "u") == "a")
        hanging = not store.answers.is_set()
        seen = flags.get("banner", "-", "u")
        store.answers.set()

    assert (seen, hanging) == ("a", True)


def test_listeners_that_look_again_in_two_threads_never_wait_for_each_other(file):
    """One is told of the file's change, one of the store's; each asks for a look at both, in the middle of the other's."""
    store = Stuck()
    with connect(file, store=store) as flags:
        both, met = threading.Barrier(2, timeout=60), threading.local()

        def look_again(_):
            if not hasattr(met, "once"):
                met.once = both.wait()
                flags.refresh()

        MemoryStore.commit(store, Commit({"flag/banner": {"v": 1, "killed": {"reason": "x"}}}))
        file.write_text(GOOD.replace("percent = 25", "percent = 75"))
        flags.bus.listen(Reloaded, look_again)
        threads = [threading.Thread(target=look, daemon=True) for look in (flags._look_at_source, flags._supply.look)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert [thread.is_alive() for thread in threads] == [False, False]
        assert flags.live("banner").killed.reason == "x"
        assert sum(flags.is_enabled("new-search", f"u{n}") for n in range(400)) > 200


@pytest.mark.parametrize("poll", [0, -1, float("nan"), float("inf")])
def test_an_interval_that_is_none_is_refused(file, poll):
    """`poll=None` is how to say never."""
    with pytest.raises(ValueError, match="None for never"):
        pf.connect(file, poll=poll)


def test_closing_ends_threads_at_once_keeps_answering_and_refuses_verbs(file):
    before = threading.active_count()
    flags = connect(file, poll=0.05, store="memory://closing")
    flags.close()
    flags.close()

    until(lambda: threading.active_count() <= before)
    assert flags.get("banner", "-", "u") == "b"
    with pytest.raises(ClosedError):
        flags.kill("banner")


def test_a_failed_connect_leaves_nothing_behind(tmp_path):
    before = threading.active_count()
    with pytest.raises(pf.DefinitionError):
        pf.connect(tmp_path / "absent.toml", store=f"sqlite:///{tmp_path / 's.db'}")
    with pytest.raises(ValueError, match="not a store"):
        pf.connect({"flags": {}}, store="carrier-pigeon://coop")
    with pytest.raises(ValueError, match="poll"):
        pf.connect({"flags": {}}, poll=0)

    until(lambda: threading.active_count() <= before)


def test_with_a_manual_clock_nothing_runs_in_the_background(file):
    before = threading.active_count()
    with pf.connect(file, clock=ManualClock()):
        assert threading.active_count() <= before


def test_the_panic_switch_in_the_environment_serves_safe(file, monkeypatch):
    monkeypatch.setenv("PROGFLAGS_PANIC", "1")
    with connect({"flags": {"x": {"percent": 100}}}) as flags:
        assert flags.evaluate("x", True, "u").reason == "DISABLED"
        assert not flags.is_enabled("x", "u")


def test_the_panic_switch_may_be_a_file(file, tmp_path, monkeypatch):
    """While the file is there everything is safe; when it is gone, everything is as before."""
    monkeypatch.setenv("PROGFLAGS_PANIC", str(tmp_path / "panic"))
    with connect({"flags": {"x": {"percent": 100}}}) as flags:
        assert flags.is_enabled("x", "u")
        (tmp_path / "panic").touch()
        flags.refresh()
        assert flags.evaluate("x", True, "u").reason == "DISABLED"
        (tmp_path / "panic").unlink()
        flags.refresh()
        assert flags.is_enabled("x", "u")


def test_where_no_thread_can_be_started_the_requests_look(file, monkeypatch):
    """As under uWSGI without threads: flags are served, the log says so, and a request finds a changed file when it is due."""

    def refuse(self):
        raise RuntimeError("can't start new thread")

    from progflags.wsgi import FlagsMiddleware

    with monkeypatch.context() as no_threads:
        no_threads.setattr(threading.Thread, "start", refuse)
        flags = connect(file, poll=0.02)
    app = FlagsMiddleware(lambda environ, start: [b""], flags=flags)

    def request_sees_the_change():
        getattr(app({}, lambda *_: None), "close", bool)()  # a list is handed on as it is, and has none
        return flags.get("banner", "-", "u") == "a"

    try:
        assert not request_sees_the_change()
        file.write_text(GOOD.replace('default = "b"', 'default = "a"'))
        until(request_sees_the_change)
    finally:
        flags.close()


def test_greenlets_are_threads_enough(file):
    """Under gevent's monkey patching the background greenlets look, and the hub is never held for long."""
    pytest.importorskip("gevent", reason="gevent is in the tests group; without it there is nothing to show")
    program = f"""
import gevent.monkey; gevent.monkey.patch_all()
import gevent, pathlib, time
import progflags as pf
path = pathlib.Path({str(file)!r})
with pf.connect(path, store="sqlite:///{file.parent / "g.db"}", poll=0.05) as flags:
    path.write_text(path.read_text().replace('default = "b"', 'default = "a"'))
    for _ in range(6000):
        gevent.sleep(0.01)
        if flags.get("banner", "-", "u") == "a":
            flags.kill("banner")
            print(flags.evaluate("banner", "-", "u").reason)
            break
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=2 * PATIENCE)

    assert (done.returncode, done.stdout.strip()) == (0, "DISABLED"), done.stderr


def test_threads_that_gevent_came_after_end_and_nothing_is_said_of_it(file):
    """As in a worker that was forked from a master with the application: the thread that began before meets greenlets' locks."""
    pytest.importorskip("gevent", reason="gevent is in the tests group; without it there is nothing to show")
    program = f"""
import time
import progflags as pf
clients = [pf.connect({str(file)!r}, poll=0.001) for _ in range(10)]
before = [refresher for flags in clients for refresher in flags._background]
threads = [refresher._thread for refresher in before]
import gevent.monkey; gevent.monkey.patch_all()
import gevent
for _ in range(200):  # nobody has looked yet, and the old threads wait for events whose waiters are greenlets' locks
    for refresher in before:
        refresher._wake.set()
    gevent.sleep(0.002)
for _ in range(100):
    health = [flags.status().threads for flags in clients]
    gevent.sleep(0.01)
print(health, any(refresher._thread in threads for refresher in before))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=2 * PATIENCE)

    assert done.returncode == 0, done.stderr
    assert "again" not in done.stdout + done.stderr
    assert "refresher" not in done.stderr
    assert done.stdout.endswith("False\n")


def test_the_status_is_plain_json(file):
    with connect(file) as flags:
        assert json.loads(json.dumps(flags.status().to_dict()))["state"] == "READY"


def test_what_a_short_program_counted_is_put_up_when_it_closes(tmp_path):
    """A job of a second publishes nothing by the clock: its calls are samples all the same."""
    stage = {"percent": 50, "bake": "1s", "min_samples": 10_000, "gates": [{"metric": "error_rate", "max": 0.5}]}
    source = {"flags": {"new-checkout": {"rollout": {"stages": [stage]}}}}
    store = f"sqlite:///{tmp_path}/state.db"
    with pf.connect(source, store=store, poll=None) as judge:
        judge.rollouts.start("new-checkout")
        with pf.connect(source, store=store, control=False) as job:
            for arm in ("control", "candidate"):
                job.metrics.record("new-checkout", arm=arm, seconds=0.1, error=False, n=300)

        def samples():
            judge.rollouts.tick()
            return dict(judge.rollouts.status("new-checkout").samples)

        until(lambda: samples() == {"control": 300, "candidate": 300}, said=samples)


class Boarded(MemoryStore):
    """A store whose board calls `told` before it takes a window."""

    def __init__(self, told):
        super().__init__()
        self.told = told

    @property
    def board(self):
        board, told = super().board, self.told

        class Told(type(board)):
            def publish(self, topic, worker, seq, body):
                told(json.loads(body))
                board.publish(topic, worker, seq, body)

            def collect(self, topic):
                return board.collect(topic)

            def clear(self, topic):
                board.clear(topic)

        return Told.__new__(Told)


LOW = {"flags": {"a": {"rollout": {"profile": "low"}}}}


def test_what_was_counted_since_the_last_window_is_put_up_too():
    """Windows go up every two seconds here; the one before the end does not wait for that."""
    windows, up = [], threading.Event()

    def told(window):
        windows.append(window)
        up.set()

    flags = pf.connect(LOW, store=Boarded(told), control=False)
    flags.rollouts.start("a")
    flags.metrics.record("a", arm="candidate", seconds=0.1, error=False)
    assert up.wait(PATIENCE)
    flags.metrics.record("a", arm="candidate", seconds=0.1, error=False, n=7)
    flags.close()

    assert windows[-1]["arms"]["candidate"]["n"][0] == 8


def test_a_store_that_hangs_keeps_no_program_from_closing():
    """The last window has its time, and no more."""
    gate, asked = threading.Event(), threading.Event()

    def hang(_):
        asked.set()
        gate.wait(600)

    flags = pf.connect(LOW, store=Boarded(hang), control=False)
    flags.rollouts.start("a")
    flags.metrics.record("a", arm="candidate", seconds=0.1, error=False)
    closing = threading.Thread(target=flags.close)
    closing.start()
    closing.join(PATIENCE)
    ended = not closing.is_alive()
    gate.set()
    closing.join()
    assert asked.is_set()
    assert ended


def test_a_closed_client_that_is_asked_for_its_status_does_nothing_more(monkeypatch):
    """Its threads have ended, so whoever asked (an exporter's last round, say) stepped its rollouts, in a store that others go on using."""
    store = MemoryStore()
    flags = pf.connect({"flags": {"checkout": {"rollout": {"profile": "low"}}}}, store=store)
    flags.rollouts.start("checkout")
    flags.close()
    asked = []
    for part, methods in ((store, ("read", "commit")), (store.board, ("publish", "collect"))):
        for method in methods:
            monkeypatch.setattr(part, method, lambda *_, of=method, **__: asked.append(of))

    end = time.monotonic() + 0.5  # each of its jobs is due once more by then
    while time.monotonic() < end:
        flags.status()
    assert not asked
