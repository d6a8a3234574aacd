"""Loaders in servers and children: everybody keeps seeing changes, without a line of the user's."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request

import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

COMMON = """
import os, sys, threading, time
from progflags.sources import FileSource, Loader, Refresher

class Program:
    def __init__(self, path):
        self.loader = Loader(FileSource(path))
        self.snapshot = self.loader.first()
        self.refresher = Refresher()
        self.refresher.every(0.02, self.look, name="source")
        self.refresher.start()

    def look(self):
        self.snapshot = self.loader.load().snapshot or self.snapshot

    def sees(self, ppm, timeout=60):
        until = time.monotonic() + timeout
        while self.snapshot.flags["a"].rules[-1].share != ppm and time.monotonic() < until:
            time.sleep(0.005)
        return self.snapshot.flags["a"].rules[-1].share == ppm
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "flags.toml"
    write(path, 10)
    return path


def write(path, percent):
    path.write_text(f"[flags.a]\npercent = {percent}\n")


CALM = ["-W", "ignore:This process:DeprecationWarning"]  # Python 3.12 warns of every fork beside threads; that is what is tested


def run(tmp_path, script, *arguments):
    """A program in a file of its own, so that spawned children can import it."""
    program = tmp_path / "program.py"
    program.write_text(COMMON + textwrap.dedent(script))
    done = subprocess.run([sys.executable, *CALM, program, *map(str, arguments)], capture_output=True, text=True, timeout=600, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_and_their_parent_see_a_change(method, path, tmp_path):
    """With each of the three ways to start a child; under fork the parent's client is simply there."""
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    out = run(
        tmp_path,
        """
        import multiprocessing

        program = None

        def child(path, ready, changed):
            global program
            program = program or Program(path)
            ready.set()
            changed.wait(120)
            sys.exit(0 if program.sees(500_000) else 1)

        if __name__ == "__main__":
            path, method = sys.argv[1:]
            program = Program(path)
            context = multiprocessing.get_context(method)
            changed = context.Event()
            children = []
            for _ in range(2):
                ready = context.Event()
                children.append(context.Process(target=child, args=(path, ready, changed)))
                children[-1].start()
                ready.wait(120)
            open(path, "w").write("[flags.a]\\npercent = 50\\n")
            changed.set()
            for one in children:
                one.join(120)
            print(*[one.exitcode for one in children], program.sees(500_000))
        """,
        path,
        method,
    )
    assert out == ["0", "0", "True"]


@needs_fork
def test_a_fork_while_others_load_leaves_a_child_that_loads(path, tmp_path):
    """100 forks under threads that are inside `load` nearly all the time; no child waits for a lock nobody holds."""
    out = run(
        tmp_path,
        """
        import signal

        loader = Loader(FileSource(sys.argv[1], pause=lambda seconds: time.sleep(0.002)))
        loader.first()
        flags = [str(n) for n in range(300)]
        def work():
            n = 0
            while True:
                n += 1
                with open(sys.argv[1] + ".new", "w") as file:
                    file.write("".join(f"[flags.f{key}]\\npercent = {n % 100}\\n" for key in flags))
                os.replace(file.name, sys.argv[1])
                loader.load()
        threading.Thread(target=work, daemon=True).start()
        threading.Thread(target=lambda: [loader.load() for _ in iter(int, 1)], daemon=True).start()
        stuck = 0
        for _ in range(100):
            child = os.fork()
            if not child:
                signal.alarm(60)
                loader.load()
                os._exit(0)
            stuck += os.waitpid(child, 0)[1] != 0
        print(stuck)
        os._exit(not sys.stdout.flush() is None)
        """,
        path,
    )
    assert out == ["0"]


APPLICATION = """
from _common import Program
program = Program({path!r})

def app(environ, start_response):
    ok = program.sees(int(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{{os.getpid()}} {{ok}}".encode()]

import os

def when_ready(server):
    import threading, time
    def watch():
        while True:
            time.sleep(0.02)
            share = program.snapshot.flags["a"].rules[-1].share
            open({seen!r} + ".new", "w").write(str(share))
            os.replace({seen!r} + ".new", {seen!r})
    threading.Thread(target=watch, daemon=True).start()
"""


@needs_fork
def test_gunicorn_with_preload_every_worker_and_the_master_see_a_change(path, tmp_path):
    """Connected once, in the master, before it forks: no post_fork hook, and the change is everywhere."""
    pytest.importorskip("gunicorn")
    (tmp_path / "_common.py").write_text(COMMON)
    seen = tmp_path / "master"
    (tmp_path / "application.py").write_text(APPLICATION.format(path=str(path), seen=str(seen)))
    (tmp_path / "settings.py").write_text("from application import when_ready\ncontrol_socket_disable = True\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--preload", "-w", "3", "-b", f"127.0.0.1:{port}", "-c", "settings.py"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen([*command, "application:app"], cwd=tmp_path, stdout=log, stderr=log)
        try:
            answers = ask(port, 100_000, log_of=tmp_path / "log")
            write(path, 50)
            answers = ask(port, 500_000, log_of=tmp_path / "log")
            until = time.monotonic() + 60
            while seen.read_text() != "500000" and time.monotonic() < until:
                time.sleep(0.02)
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0

    assert len(answers) == 3
    assert set(answers.values()) == {"True"}
    assert seen.read_text() == "500000"


def ask(port, ppm, *, log_of):
    """What each of the three workers says about the share."""
    answers, until = {}, time.monotonic() + 120
    while len(answers) < 3:
        assert time.monotonic() < until, log_of.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/?{ppm}", timeout=90) as reply:
                pid, ok = reply.read().decode().split()
                answers[pid] = ok
        except OSError:
            time.sleep(0.05)
    return answers
