"""A candidate application's own startup and shutdown: the control waits for neither, and a failure is the shadow's alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys

import pytest

import progflags as pf
from progflags.asgi import DarkLaunchMiddleware


class App:
    """Answers what its state is called; tells when its lifespan begins and ends."""

    def __init__(self, name, told, *, start=None, stop=None, lifespan=True):
        self.name = name
        self.told = told
        self.start = start
        self.stop = stop
        self.lifespan = lifespan

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            if not self.lifespan:
                raise RuntimeError("only http here")
            await receive()
            self.told.append(f"{self.name} starts")
            if self.start is not None:
                await self.start()
            scope["state"]["name"] = self.name
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.told.append(f"{self.name} ends")
            if self.stop is not None:
                await self.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = str(scope["state"].get("name")).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})


class Server:
    """What a server does with an application: its lifespan, and requests in between."""

    def __init__(self, candidate, control):
        self.flags = pf.connect({"flags": {"shadow": {"percent": 100}}}, poll=None)
        self.door = DarkLaunchMiddleware(control, flag="shadow", candidate=candidate, flags=self.flags)
        self.inbox, self.outbox = asyncio.Queue(), asyncio.Queue()
        self.state = {}

    async def start(self):
        self.life = asyncio.ensure_future(self.door({"type": "lifespan", "state": self.state}, self.inbox.get, self.outbox.put))
        self.inbox.put_nowait({"type": "lifespan.startup"})
        asked = asyncio.ensure_future(self.outbox.get())
        await asyncio.wait({asked, self.life}, return_when=asyncio.FIRST_COMPLETED)
        if self.life.done():
            self.life.exception()  # an application without a lifespan says so by raising
        return asked.result()["type"] if asked.done() else asked.cancel()

    async def stop(self):
        self.inbox.put_nowait({"type": "lifespan.shutdown"})
        said = (await self.outbox.get())["type"]
        await self.life
        return said

    async def ask(self):
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        await self.door({"type": "http", "method": "GET", "path": "/", "headers": [], "state": dict(self.state)}, receive, send)
        assert await self.door.dark_launch.adrain(60)
        return sent[1]["body"].decode()

    @property
    def outcomes(self):
        return {name: count for name, count in self.door.dark_launch.stats().outcomes.items() if count}

    async def until(self, ready):
        while not ready():
            await asyncio.sleep(0.001)


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setattr("progflags.asgi._lifespan._STOP", 60.0)
    servers = []

    def made(candidate, control):
        servers.append(Server(candidate, control))
        return servers[-1]

    yield made
    for server in servers:
        server.flags.close()


async def test_the_candidate_starts_after_the_control_and_ends_after_it(serve):
    told = []
    server = serve(App("candidate", told), App("control", told))

    assert await server.start() == "lifespan.startup.complete"
    await server.until(lambda: server.door._life.ready)
    assert await server.ask() == "control"
    assert await server.stop() == "lifespan.shutdown.complete"

    assert told == ["control starts", "candidate starts", "control ends", "candidate ends"]
    assert server.outcomes == {"mismatch": 1}  # the names differ: each had its own state


async def test_a_candidate_that_never_starts_holds_nothing_up(serve):
    """Neither the control's start, nor a request, nor its end; and until it has started nothing is shadowed."""
    told, never = [], asyncio.Event()
    server = serve(App("candidate", told, start=never.wait), App("control", told))

    assert await server.start() == "lifespan.startup.complete"
    await server.until(lambda: "candidate starts" in told)
    assert await server.ask() == "control"
    assert await server.stop() == "lifespan.shutdown.complete"

    assert server.outcomes == {"shed": 1}
    assert server.door.dark_launch.stats().shed["not_started"] == 1


async def test_a_control_without_a_lifespan_has_its_candidate_started_all_the_same(serve):
    told = []
    server = serve(App("candidate", told), App("control", told, lifespan=False))

    with contextlib.suppress(RuntimeError):
        await server.start()
    await server.until(lambda: server.door._life.ready)

    assert await server.ask() == "None"
    assert server.outcomes == {"mismatch": 1}


async def test_a_candidate_without_a_lifespan_is_ready_at_once(serve):
    told = []
    server = serve(App("candidate", told, lifespan=False), App("control", told))
    await server.start()
    await server.until(lambda: server.door._life.ready)

    assert await server.ask() == "control"
    assert server.outcomes == {"mismatch": 1}


def _changing(failing):
    """A startup that makes the process its own, and ends as `failing` says."""

    async def start():
        os.environ["PROGFLAGS_TEST_CHANGED"] = "candidate"
        os.environ.pop("PROGFLAGS_TEST_KEPT", None)
        os.chdir("/")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        logging.getLogger().setLevel(logging.DEBUG)
        logging.getLogger().addHandler(logging.NullHandler())
        socket.setdefaulttimeout(7.0)
        sys.excepthook = lambda *_: None
        pf.set_default(None)
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        if failing is not None:
            raise failing

    return start


@pytest.fixture
def surroundings(monkeypatch, tmp_path):
    """The process as a test may leave it, whatever happens in between."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROGFLAGS_TEST_KEPT", "control")
    root, handler, hook = logging.getLogger(), signal.getsignal(signal.SIGTERM), sys.excepthook
    level, handlers = root.level, list(root.handlers)
    client = pf.connect({"flags": {}}, poll=None)
    pf.set_default(client)

    def read():
        return {
            "environment": (os.environ.get("PROGFLAGS_TEST_CHANGED"), os.environ.get("PROGFLAGS_TEST_KEPT")),
            "folder": os.getcwd(),
            "signal": signal.getsignal(signal.SIGTERM),
            "logging": (root.level, list(root.handlers)),
            "socket": socket.getdefaulttimeout(),
            "hook": sys.excepthook,
            "default": pf.default() is client if read.default else None,
            "loop": asyncio.get_running_loop().get_exception_handler(),
        }

    read.default = True
    yield read
    os.environ.pop("PROGFLAGS_TEST_CHANGED", None)
    signal.signal(signal.SIGTERM, handler)
    root.setLevel(level)
    root.handlers = handlers
    socket.setdefaulttimeout(None)
    sys.excepthook = hook
    pf.set_default(None)
    client.close()


@pytest.mark.parametrize("failing", [SystemExit("no settings"), RuntimeError("no database")], ids=lambda error: type(error).__name__)
async def test_a_start_that_fails_switches_off_the_shadow_alone(serve, surroundings, failing):
    """What it had changed of the process is put back, and requests go on."""
    told = []

    async def app(scope, receive, send):
        """As frameworks do it: a failure in the startup is told, then raised."""
        try:
            await App("candidate", told, start=_changing(failing))(scope, receive, send)
        except RuntimeError:
            await send({"type": "lifespan.startup.failed", "message": "no"})
            raise

    server = serve(app, App("control", told))
    before = surroundings()
    await server.start()
    await server.until(lambda: server.door._life._tasks and all(task.done() for task in server.door._life._tasks))

    assert surroundings() == before
    assert await server.ask() == "control"
    assert server.door.dark_launch.stats().shed["not_started"] == 1
    assert await server.stop() == "lifespan.shutdown.complete"


async def test_a_start_that_succeeds_is_left_alone_and_what_it_changed_is_said(serve, surroundings, caplog):
    told = []
    server = serve(App("candidate", told, start=_changing(None)), App("control", told))
    await server.start()
    with caplog.at_level(logging.WARNING, "progflags"):
        await server.until(lambda: server.door._life.ready)

    assert os.environ["PROGFLAGS_TEST_CHANGED"] == "candidate"
    (line,) = [record.getMessage() for record in caplog.records if "for the whole process" in record.getMessage()]
    for what in ("os.environ['PROGFLAGS_TEST_CHANGED']", "os.environ['PROGFLAGS_TEST_KEPT']", "the handler of SIGTERM", "pf.set_default"):
        assert what in line
    await server.stop()
