"""A fork that nobody announces, as uWSGI and other programs that embed Python make them: everything of ours notices."""

import os
import subprocess
import sys
import textwrap
import threading
import uuid

import pytest

from progflags import _process
from support import servers

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

# `fork` as C calls it: Python's hooks don't run. Our threads rest meanwhile: where one waits for the interpreter just then, Python
# itself hangs in the child. (uWSGI forks a process in which none was started.)
BEGIN = '''
import ctypes, faulthandler, os, signal, sys, threading, time
import progflags as pf
from progflags import _process

def fork():
    sys.stdout.flush()
    for refresher in tuple(_process._starters):
        refresher._peers = bool  # all of them before the first one ends, or the others would start it again
    until(all_ended_here)
    until(at_rest)
    child = ctypes.PyDLL(None).fork()
    if not child:
        faulthandler.register(signal.SIGALRM, all_threads=False, chain=True)  # says where it hangs, if it does
        signal.alarm(60)
    return child

def all_ended_here():
    """Whether no thread of a client is left; those that are get another event to wait for, which ends them."""
    alive = [refresher for refresher in tuple(_process._starters) if refresher.alive]
    for refresher in alive:
        resting, refresher._wake = refresher._wake, threading.Event()
        resting.set()
    return not alive

def at_rest():
    """Whether every other thread waits for something, and for the same thing a moment later."""
    def seen():
        told = {}
        for task in os.listdir("/proc/self/task"):
            if int(task) != threading.get_native_id():
                with open(f"/proc/self/task/{task}/status") as status:
                    told[task] = [line for line in status if line.startswith(("State:", "voluntary"))]
        return told

    try:
        before = seen()
        time.sleep(0.05)
        return before == seen() and all("S (sleeping)" in state for state, *_ in before.values())
    except OSError:  # one has ended meanwhile
        return False

def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()

def all_ended(children):
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
'''

CALM = ["-W", "ignore:This process:DeprecationWarning"]


def run(tmp_path, script, *arguments):
    """What a program printed; it must end by itself, with nothing on stderr but our own log."""
    program = tmp_path / "program.py"
    program.write_text(BEGIN + textwrap.dedent(script))
    done = subprocess.run([sys.executable, *CALM, program, *arguments], capture_output=True, text=True, timeout=600, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.split()


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def store(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/live.db"
    return f"{getattr(servers, request.param)()}?namespace=process-{uuid.uuid4().hex}"


def test_children_of_an_unannounced_fork_and_their_parent_see_a_kill_and_a_file_change(tmp_path, store):
    """Two children and the parent share one store without sharing a connection: 300 looks each at once, none fails."""
    out = run(
        tmp_path,
        """
        open("flags.toml", "w").write("[flags.a]\\npercent = 100\\n[flags.b]\\npercent = 0\\n")
        flags = pf.connect("flags.toml", store=sys.argv[1], poll=0.05)
        until(lambda: flags.status().state == "READY")

        def at_work():
            for _ in range(300):
                flags._store.read()
            ours = [thread for thread in flags._background if thread.alive]
            seen = until(lambda: flags.is_enabled("b", "u") and not flags.is_enabled("a", "u"))
            status = flags.status()
            return seen and len(ours) == len(tuple(flags._background)) and not status.store_problem and status.age < 30

        children = []
        for _ in range(2):
            child = fork()
            if not child:
                flags.status()
                os._exit(0 if at_work() and flags.status().state == "READY" else 1)
            children.append(child)
        flags.kill("a", reason="tried")
        flags.status()
        open("flags.toml.new", "w").write("[flags.a]\\npercent = 100\\n[flags.b]\\npercent = 100\\n")
        os.replace("flags.toml.new", "flags.toml")
        print(at_work(), *all_ended(children))
        """,
        store,
    )
    assert out == ["True", "0", "0"]


@pytest.mark.parametrize(
    "notices",
    [
        "flags.status()",
        "flags.refresh()",
        "flags.kill('other')",
        "pf.bind('u').__enter__()",
        "pf.context.begin('u')",
        "flags.metrics.record('a', arm='control')",
        "[flags.is_enabled('climbing', f'u{n}') for n in range(9)]",
        "work(1)",
        "step('u')",
    ],
)
def test_whatever_is_not_an_evaluation_notices(tmp_path, notices):
    """A request, a verb, a question, a record, a dark launch, a unit's first exposure: afterwards this process's own thread sees a change."""
    out = run(
        tmp_path,
        f"""
        import progflags.context
        TEXT = "[flags.a]\\npercent = %d\\n[flags.other]\\n[flags.climbing]\\n[flags.climbing.rollout]\\nstages = [{{ percent = 50 }}]\\n"
        open("flags.toml", "w").write(TEXT % 0)
        flags = pf.connect("flags.toml", store="sqlite:///live.db", poll=0.05)
        pf.set_default(flags)
        flags.rollouts.start("climbing")
        until(lambda: flags.live("climbing").share)

        @pf.dark_launch("other2", candidate=lambda x: x)
        def work(x):
            return x

        @pf.progressive("climbing", candidate=lambda who: 1, key=lambda who: who)
        def step(who):
            return 0

        if "work" in {notices!r}:
            TEXT += "[flags.other2]\\npercent = 100\\n"
            open("flags.toml", "w").write(TEXT % 0)
            until(lambda: flags.is_enabled("other2", "u"))
        child = fork()
        if not child:
            alive = [thread.alive for thread in flags._background]
            {notices}
            open("flags.toml", "w").write(TEXT % 100)
            os._exit(0 if until(lambda: flags.is_enabled("a", "u")) else 1)
        print(*all_ended([child]))
        """,
    )
    assert out == ["0"]


def test_a_shadow_runs_in_a_child_that_nobody_announced(tmp_path):
    """Threads, the loop for coroutines and the process lane are the child's own, and so is what is counted."""
    out = run(
        tmp_path,
        """
        from progflags.darklaunch import _call
        _call.STALE = 600.0
        flags = pf.connect({"flags": {"shadow": {"percent": 100}}})
        pf.set_default(flags)

        @pf.dark_launch("shadow", candidate=abs, deadline=600)
        def in_thread(x):
            return x

        async def later(x):
            return x

        @pf.dark_launch("shadow", candidate=later, deadline=600)
        def in_loop(x):
            return x

        @pf.dark_launch("shadow", candidate=abs, executor="process", deadline=600)
        def in_process(x):
            return x

        def matches():
            made = [one.dark_launch for one in (in_thread, in_loop, in_process)]
            for one in (in_thread, in_loop, in_process):
                one(1)
            for one in made:
                one.drain(60)
            return [one.stats().outcomes["match"] for one in made]

        if __name__ == "__main__":
            print(*matches())
            child = fork()
            if not child:
                print(*matches(), flush=True)
                os._exit(0)
            print(*all_ended([child]))
        """,
    )
    assert out == ["1", "1", "1", "1", "1", "1", "0"]


def test_locks_that_a_thread_of_the_parent_held_are_free_in_the_child(tmp_path):
    """Every lock of a client, its store and its rollouts is held at the fork; the child's verbs come back."""
    out = run(
        tmp_path,
        """
        flags = pf.connect("flags.toml" if 0 else {"flags": {"a": {"percent": 100}}}, store="sqlite:///live.db", poll=None)
        flags.rollouts
        held, go = threading.Event(), threading.Event()

        def hold():
            kinds = (type(threading.Lock()), type(threading.RLock()))
            seen, todo, locks = set(), [flags], []
            while todo:
                one = todo.pop()
                if id(one) in seen or not type(one).__module__.startswith("progflags"):
                    continue
                seen.add(id(one))
                names = [name for kind in type(one).__mro__ for name in (getattr(kind, "__slots__", ()))]
                parts = [*getattr(one, "__dict__", {}).values(), *(getattr(one, name, None) for name in names if name != "__dict__")]
                todo += parts
                locks += [part for part in parts if isinstance(part, kinds)]
            for lock in locks:
                lock.acquire()
            print(len(locks) > 5)
            held.set()
            go.wait()

        threading.Thread(target=hold, daemon=True).start()
        held.wait()
        child = fork()
        if not child:
            import signal
            signal.alarm(60)
            flags.refresh()
            flags.install()
            flags.rollouts.publish()
            os._exit(0)
        print(*all_ended([child]))
        os._exit(not sys.stdout.flush() is None)
        """,
    )
    assert out == ["True", "0"]


def test_a_sqlite_file_in_a_statement_at_the_fork_is_refused_in_the_child_and_says_why(tmp_path):
    """The one connection that must not even be closed there; its parent goes on."""
    out = run(
        tmp_path,
        """
        from progflags.errors import StoreError
        from progflags.store import SQLiteStore
        store, inside, go = SQLiteStore("live.db"), threading.Event(), threading.Event()

        def slow(connection):
            inside.set()
            go.wait()

        threading.Thread(target=lambda: store._file.run(slow, begin="IMMEDIATE")).start()
        inside.wait()
        child = fork()
        if not child:
            try:
                store.revision()
            except StoreError as error:
                os._exit(0 if "fork it again" in str(error) else 2)
            os._exit(1)
        print(*all_ended([child]))
        go.set()
        print(store.revision())
        """,
    )
    assert out == ["0", "0"]


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_sqlite_in_children_of_unannounced_forks_keeps_every_commit(tmp_path, journal):
    """Four forks under a committing parent, each child commits, too: every commit is there, and the file is whole."""
    out = run(
        tmp_path,
        """
        import sqlite3
        from progflags.store import Commit, SQLiteStore, _sqlite_schema
        _sqlite_schema.journal_for = lambda version: sys.argv[1]  # that of a SQLite with, and of one without the WAL-reset bug
        store = SQLiteStore("live.db", busy=60)
        store.revision()

        def count(key, times):
            for n in range(times):
                store.commit(Commit({f"{key}": {"n": n}}, {}, ((key, {"n": n}),)))

        children = []
        for number in range(4):
            child = fork()
            if not child:
                count(f"child{number}", 20)
                os._exit(0)
            count("parent", 5)
            children.append(child)
        print(*all_ended(children))
        lines = sum(len(store.history(key)) for key in ["parent", *(f"child{n}" for n in range(4))])
        print(lines, store.revision(), sqlite3.connect("live.db").execute("PRAGMA integrity_check").fetchone()[0])
        """,
        journal,
    )
    assert out == ["0"] * 4 + ["100", "100", "ok"]


def test_what_was_noticed_is_put_right_once(tmp_path):
    """Fifty threads of the child look at the same moment, and the announced fork is no second one."""
    out = run(
        tmp_path,
        """
        from progflags import _process
        calls = []

        class Owner:
            def after_fork(self):
                calls.append(os.getpid())
                time.sleep(0.05)
                _process.look()

        owner = Owner()
        _process.in_child(owner)
        for how in (fork, os.fork):
            sys.stdout.flush()
            child = how()
            if not child:
                threads = [threading.Thread(target=_process.look) for _ in range(50)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                os._exit(0 if calls == [os.getpid()] else 1)
            print(*all_ended([child]), len(calls))
        """,
    )
    assert out == ["0", "0", "0", "0"]


def test_a_thread_is_here_only_in_the_process_that_started_it(tmp_path):
    """Python itself says of an inherited thread that it is alive."""
    out = run(
        tmp_path,
        """
        from progflags import _process
        thread = _process.Thread(threading.Event().wait, name="waits")
        thread.start()
        child = fork()
        if not child:
            _process.look()
            os._exit(0 if thread.is_alive() and not _process.here(thread) else 1)
        print(*all_ended([child]), _process.here(thread))
        os._exit(not sys.stdout.flush() is None)
        """,
    )
    assert out == ["0", "True"]


def test_a_thread_of_somebody_elses_is_not_ours():
    """Nor is none."""
    assert not _process.here(None)
    assert not _process.here(threading.main_thread())


def test_a_fork_waits_until_a_candidate_has_imported_what_it_needs(tmp_path):
    """What a thread of ours was importing would be half there in the child, also for its control."""
    (tmp_path / "needed.py").write_text("import threading\nbegun.set()\nthreading.Event().wait(0.3)\nanswer = 42\n")
    out = run(
        tmp_path,
        """
        import builtins
        sys.path.insert(0, "")
        builtins.begun = begun = threading.Event()
        flags = pf.connect({"flags": {"shadow": {"percent": 100}}}, poll=None)

        def candidate():
            import needed
            return needed.answer

        @pf.dark_launch("shadow", candidate=candidate, flags=flags)
        def control():
            return 42

        control()
        begun.wait(60)
        child = os.fork()
        if not child:
            import needed
            os._exit(0 if needed.answer == 42 else 1)
        print(*all_ended([child]))
        flags.close()
        """,
    )
    assert out == ["0"]
