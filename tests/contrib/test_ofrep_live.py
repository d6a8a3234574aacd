"""Event streams of the remote evaluation protocol: over real sockets, what is told to whom, when, and what it costs."""

import asyncio
import os
import signal
import socket
import sys
import threading
import time
import tracemalloc
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import progflags as pf
from progflags._trouble import counts
from progflags.contrib import _streams, ofrep
from progflags.events import Exposed
from progflags.testing import ManualClock
from support.listening import Listening
from support.patience import PATIENCE, stalls, until
from support.sizes import size
from support.tracing import untraced
from support.web import free_port, process, uvicorn_server, wsgi_server

STAGES = [{"percent": 50, "bake": "1h", "gates": []}]
FLAGS = {
    "flags": {
        "new": {"percent": 100},
        "hidden": {"percent": 100},
        "behind": {"percent": 100, "requires": [{"flag": "hidden", "is": "on"}]},
        "rolling": {"rollout": {"stages": STAGES, "watch": "0s"}},
    }
}
PEOPLE = [f"user-{n}" for n in range(60)]


@pytest.fixture(autouse=True, scope="module")
def browser():
    yield
    BROWSER.close()


@pytest.fixture
def flags():
    with pf.connect(FLAGS, poll=None) as client:
        yield client


BROWSER = httpx.Client(timeout=PATIENCE)  # one, for making each takes a while


def ask(address, query="", **headers):
    return BROWSER.post(f"{address}/ofrep/v1/evaluate/flags{query}", json={"context": {"targetingKey": "u"}}, headers=headers)


def stream_of(address, **headers):
    """The address of the stream, as a client works it out: the path is the answer's, the origin that which was asked."""
    (offered,) = ask(address, **headers).json()["eventStreams"]
    at = urlsplit(address)
    return f"{at.scheme}://{at.netloc}{offered['endpoint']['requestUri']}"


@contextmanager
def listening(address, **headers):
    """Somebody who has read the flags and now hears; the first message, which closes the gap between the two, is over."""
    with Listening(stream_of(address), **headers) as one:
        assert one.status == 200
        one.hears(1)
        yield one


# ── what an answer offers ──────────────────────────────────────────────────


def test_answers_name_the_stream_as_the_protocol_does(flags):
    """`eventStreams`, one entry, of type `sse`; both in the bulk answer and in that of one flag."""
    with uvicorn_server(ofrep.asgi(flags)) as address:
        several, one = ask(address), ask(address, "/new")

    expected = [{"type": "sse", "endpoint": {"requestUri": "/ofrep/v1/events"}, "inactivityDelaySec": 120}]
    assert several.json()["eventStreams"] == one.json()["eventStreams"] == expected


@pytest.mark.parametrize("root", ["", "/behind"])
def test_the_path_is_the_one_that_was_asked_wherever_it_is_mounted(flags, root):
    """Below a mount with a strange name, and below what a proxy has cut off if the server was told of it."""
    app = Starlette(routes=[Mount("/flags é", ofrep.asgi(flags))])
    with uvicorn_server(app, root_path=root) as address:
        offered = ask(f"{address}/flags%20%C3%A9").json()["eventStreams"][0]["endpoint"]

        assert offered == {"requestUri": f"{root}/flags%20%C3%A9/ofrep/v1/events"}


def test_a_framework_that_cuts_the_path_where_it_mounts(flags):
    """As ASGI had it until 2024: the path without the root."""

    async def mounted(scope, receive, send):
        path = scope["path"].removeprefix("/api") if scope["type"] == "http" else ""
        await ofrep.asgi(flags)({**scope, "root_path": "/api", "path": path}, receive, send)

    with uvicorn_server(mounted) as address:
        assert ask(f"{address}/api").json()["eventStreams"][0]["endpoint"] == {"requestUri": "/api/ofrep/v1/events"}


def test_a_strange_path_never_names_another_host(flags):
    """Two slashes at its beginning would."""
    with uvicorn_server(ofrep.asgi(flags)) as address:
        assert ask(f"{address}//evil.example").json()["eventStreams"][0]["endpoint"] == {"requestUri": "/evil.example/ofrep/v1/events"}


def test_a_public_address_is_named_whole(flags):
    with uvicorn_server(ofrep.asgi(flags, public_url="https://flags.example/api/")) as address:
        (offered,) = ask(address).json()["eventStreams"]

    assert (offered["url"], "endpoint" in offered) == ("https://flags.example/api/ofrep/v1/events", False)


def test_who_can_not_hold_a_stream_offers_none(flags):
    """A WSGI worker would be busy with it; and `streams=0` says so of any."""
    for server in (wsgi_server(ofrep.wsgi(flags)), uvicorn_server(ofrep.asgi(flags, streams=0))):
        with server as address:
            assert "eventStreams" not in ask(address).json()
            assert BROWSER.get(f"{address}/ofrep/v1/events").status_code == 404


def test_a_ticket_that_is_another_makes_no_other_answer():
    """The tag stands for the flags: an hour later, 304 all the same."""
    clock = ManualClock()
    with pf.connect(FLAGS, clock=clock) as flags, uvicorn_server(ofrep.asgi(flags, authorize=lambda _: True)) as address:
        before, tag = stream_of(address), ask(address).headers["etag"]
        clock.advance("2h")
        assert stream_of(address) != before
        assert ask(address, **{"if-none-match": tag}).status_code == 304


# ── what is told ───────────────────────────────────────────────────────────


def test_a_kill_is_heard_within_a_second(flags):
    """As `refetchEvaluation`, and whoever asks again gets the safe variant."""
    with uvicorn_server(ofrep.asgi(flags)) as address, listening(address) as page, stalls() as stalled:
        began = time.monotonic()
        flags.kill("new", reason="bad")
        took = page.hears(2) - began
        answer = ask(address, f"?flagConfigEtag={page.told[-1]['etag']}")

    assert took < 1.0 + stalled()
    assert page.messages[-1]["event"] == "message"
    assert page.told[-1] == {"type": "refetchEvaluation", "etag": page.last}
    assert {flag["key"]: flag["value"] for flag in answer.json()["flags"]}["new"] is False


def test_a_rollback_is_heard_and_everybody_is_back(flags):
    with uvicorn_server(ofrep.asgi(flags)) as address, listening(address) as page:
        flags.rollouts.start("rolling")
        flags.rollouts.tick()
        page.hears(2)
        assert any(flags.is_enabled("rolling", who) for who in PEOPLE)
        began = time.monotonic()
        with stalls() as stalled:
            flags.rollouts.rollback("rolling")
            took = page.hears(3) - began
        assert took < 1.0 + stalled()
        for who in PEOPLE:
            told = BROWSER.post(f"{address}/ofrep/v1/evaluate/flags/rolling", json={"context": {"targetingKey": who}}).json()
            assert told["value"] is False


def test_what_another_process_does_is_heard(tmp_path):
    """Through the store that they share."""
    store = f"sqlite:///{tmp_path}/live.db"
    with pf.connect(FLAGS, store=store, poll=0.05) as near, pf.connect(FLAGS, store=store, poll=None) as far:
        with uvicorn_server(ofrep.asgi(near)) as address, listening(address) as page:
            far.kill("new", reason="bad")
            page.hears(2)
            assert not near.is_enabled("new", "u")


def test_a_panic_and_another_file_are_heard(tmp_path):
    import json

    file = tmp_path / "flags.json"
    file.write_text(json.dumps(FLAGS))
    with pf.connect(file, poll=None) as flags, uvicorn_server(ofrep.asgi(flags)) as address, listening(address) as page:
        flags.panic(reason="all of it")
        page.hears(2)
        file.write_text(json.dumps({"flags": {**FLAGS["flags"], "new": {"percent": 10}}}))
        flags.refresh()
        page.hears(3)


def test_a_burst_is_few_messages_and_the_last_is_told(flags):
    with uvicorn_server(ofrep.asgi(flags)) as address, listening(address) as page:
        began = time.monotonic()
        for n in range(200):
            (flags.kill if n % 2 == 0 else flags.unkill)("new", reason=str(n))
        flags.kill("new", reason="last")
        took = time.monotonic() - began
        word = ask_word(flags)
        until(lambda: page.last == word)
        assert len(page.messages) <= 4 + took / _streams._APART


def ask_word(flags):
    from progflags.contrib._configuration import Configurations

    return Configurations().word(flags)


@pytest.fixture
def looked(monkeypatch):
    """Of each change, once the streams have looked at it: whether it concerned them."""
    seen, concerns = [], _streams.Streams.concerns

    def notes(self, client, changed):
        seen.append(concerns(self, client, changed))
        return seen[-1]

    monkeypatch.setattr(_streams.Streams, "concerns", notes)
    return seen


def test_what_nobody_may_ask_for_is_not_told_of(flags, looked):
    """A flag that is hidden wakes nobody; unless one that is shown requires it."""
    with uvicorn_server(ofrep.asgi(flags, expose=lambda key: key == "new")) as address, listening(address) as page:
        flags.kill("hidden", reason="test")
        until(lambda: looked)
        assert not any(looked)
        flags.kill("new", reason="test")
        page.hears(2)
        assert page.last == ask_word(flags)
        assert len(page.messages) == 2

    with uvicorn_server(ofrep.asgi(flags, expose=lambda key: key == "behind")) as address, listening(address) as page:
        flags.unkill("hidden")
        page.hears(2)


def test_what_is_the_same_as_before_is_not_told(flags, looked):
    """A flag that was moved and answers everybody as it did, as where a rollout is paused."""
    with uvicorn_server(ofrep.asgi(flags)) as address, listening(address) as page:
        flags.bus.tell(pf.events.Reloaded("", ("new",)))
        until(lambda: looked)
        flags.kill("new")
        page.hears(2)
        assert page.last == ask_word(flags)
        assert len(page.messages) == 2


def test_hearing_and_asking_again_expose_nobody(flags):
    exposed = []
    flags.rollouts.start("rolling")
    flags.rollouts.tick()
    flags.bus.listen(Exposed, exposed.append)
    with uvicorn_server(ofrep.asgi(flags)) as address, listening(address) as page:
        flags.kill("new")
        page.hears(2)
        ask(address, f"?flagConfigEtag={page.last}")
    assert exposed == []


# ── who comes again ────────────────────────────────────────────────────────


def test_who_missed_nothing_is_told_nothing(flags):
    """Not by this process, nor by another one or a later one that serves the same."""
    with uvicorn_server(ofrep.asgi(flags)) as address, listening(address) as page:
        last = page.last
    with pf.connect(FLAGS, poll=None) as later, uvicorn_server(ofrep.asgi(later)) as address:
        with Listening(stream_of(address), **{"Last-Event-ID": last}) as page:
            until(lambda: page.silences == 1)
            later.kill("new")
            page.hears(1)
            assert len(page.messages) == 1


def test_who_missed_something_is_told_once(flags):
    with uvicorn_server(ofrep.asgi(flags)) as address:
        with listening(address) as page:
            last = page.last
        for _ in range(3):
            flags.kill("new")
            flags.unkill("new")
        flags.kill("new")
        with Listening(stream_of(address), **{"Last-Event-ID": last}) as page:
            page.hears(1)
            assert page.last == ask_word(flags) != last
            assert 1000 <= int(page.retry) <= 5000


def test_a_kill_is_the_same_before_and_after_it_is_stored(tmp_path):
    """One message; and a process that has it from the store is not behind one that said it first."""
    store = f"sqlite:///{tmp_path}/live.db"
    with pf.connect(FLAGS, store=store, poll=None) as first, pf.connect(FLAGS, store=store, poll=None) as second:
        with uvicorn_server(ofrep.asgi(first)) as address, listening(address) as page:
            first.kill("new", reason="bad", by="ann")
            page.hears(2)
            first.refresh()
            second.refresh()
            assert ask_word(first) == ask_word(second) == page.last
            first.unkill("new")
            page.hears(3)
            assert len(page.messages) == 3


def test_who_heard_of_it_elsewhere_waits_for_it_here(tmp_path):
    """A page whose stream is at one process and whose question comes to another gets what it was told of."""
    store = f"sqlite:///{tmp_path}/live.db"
    with pf.connect(FLAGS, store=store, poll=None) as first, pf.connect(FLAGS, store=store, poll=None) as second:
        with uvicorn_server(ofrep.asgi(first)) as one, uvicorn_server(ofrep.asgi(second)) as other, listening(one) as page:
            tag = ask(other).headers["etag"]
            first.kill("new", reason="bad")
            page.hears(2)
            late = threading.Timer(0.1, second.refresh)
            late.start()
            answer = ask(other, f"?flagConfigEtag={page.last}", **{"if-none-match": tag})
            late.join()

    assert {flag["key"]: flag["value"] for flag in answer.json()["flags"]}["new"] is False


def test_what_is_not_here_yet_is_never_said_to_be_unchanged(flags, monkeypatch):
    """ADR-0008: a tag that differs is answered 200, whatever else matches; the same one is left to If-None-Match."""
    monkeypatch.setattr(_streams, "_PAUSES", (0.0,))
    with uvicorn_server(ofrep.asgi(flags)) as address:
        tag = ask(address).headers["etag"]
        assert ask(address, "?flagConfigEtag=another", **{"if-none-match": tag}).status_code == 200
        assert ask(address, f"?flagConfigEtag={ask_word(flags)}", **{"if-none-match": tag}).status_code == 304
        assert ask(address, f"?flagConfigEtag={ask_word(flags)}").status_code == 200


def test_an_older_word_is_not_waited_for(flags, monkeypatch):
    """Whoever asks for what was here before has only been overtaken."""
    with uvicorn_server(ofrep.asgi(flags)) as address, listening(address) as page:
        before = page.last
        flags.kill("new")
        page.hears(2)
        monkeypatch.setattr(_streams, "_PAUSES", (10 * PATIENCE,))
        assert ask(address, f"?flagConfigEtag={before}").status_code == 200


# ── silence, and the end ───────────────────────────────────────────────────


def test_a_silent_stream_shows_that_it_lives(monkeypatch):
    """Every fifteen seconds of silence, by the client's clock; and whoever was told something is not silent."""
    monkeypatch.setattr(_streams, "_TICK", 0.01)
    clock = ManualClock()
    with pf.connect(FLAGS, clock=clock) as flags, uvicorn_server(ofrep.asgi(flags)) as address, listening(address) as page:
        clock.advance(14)
        flags.kill("new")
        page.hears(2)
        clock.advance(14)
        flags.kill("hidden")
        page.hears(3)
        assert page.silences == 0
        for beat in (1, 2, 3):
            clock.advance(15)
            until(lambda beat=beat: page.silences == beat)
        assert len(page.messages) == 3


def test_a_stream_ends_after_an_hour_at_most(monkeypatch):
    """So that who comes again is asked again who it is."""
    monkeypatch.setattr(_streams, "_TICK", 0.01)
    clock = ManualClock()
    with pf.connect(FLAGS, clock=clock) as flags, uvicorn_server(ofrep.asgi(flags)) as address, listening(address) as page:
        clock.advance("1h")
        assert page.ended.wait(PATIENCE)
        until(lambda: "0 open" in flags.status().threads["OFREP streams"])


def test_who_leaves_is_let_go_and_the_last_one_turns_off_the_light(flags):
    app = ofrep.asgi(flags)
    with uvicorn_server(app) as address:
        with listening(address), listening(address):
            assert flags.status().threads["OFREP streams"] == "running, 2 open"
        until(lambda: flags.status().threads["OFREP streams"] == "running, 0 open")
        heard = [each for each in flags.bus._listeners.get(pf.events.Reloaded, ()) if getattr(each, "__name__", "") == "_hear"]
        assert heard == []


def test_streams_end_when_the_server_is_told_to(tmp_path):
    """uvicorn waits for open answers for as long as it takes; these don't make it."""
    program = (
        f"import os, pathlib\nimport progflags as pf\nfrom progflags.contrib import ofrep\n"
        f"app = ofrep.asgi(pf.connect({FLAGS!r}, poll=None))\npathlib.Path('pid').write_text(str(os.getpid()))\n"
    )
    (tmp_path / "served.py").write_text(program)
    port = free_port()
    with process("-m", "uvicorn", "served:app", "--port", str(port), "--log-level", "error", cwd=tmp_path, port=port) as address:
        with listening(address) as page:
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
            assert page.ended.wait(PATIENCE)


def test_a_fault_while_telling_costs_one_turn(flags, monkeypatch):
    """It is counted, and the next change is told."""
    monkeypatch.setattr(_streams, "_TICK", 0.01)
    before = counts().get("OFREP streams", 0)
    with uvicorn_server(ofrep.asgi(flags)) as address, listening(address) as page:
        with monkeypatch.context() as patch:
            patch.setattr(_streams, "_message", lambda _: 1 / 0)
            flags.kill("new")
            until(lambda: counts().get("OFREP streams", 0) > before)
        flags.unkill("new")
        flags.kill("hidden")
        page.hears(2)


# ── who may ────────────────────────────────────────────────────────────────

GOOD = {"authorization": "Bearer t0ken"}


def bearer(headers):
    return headers.get("authorization") == GOOD["authorization"]


def test_a_browser_opens_it_with_the_ticket_of_an_answer():
    """And with nothing else; a program that shows its token needs none. The ticket is good for half a day, and for no question."""
    clock = ManualClock(wall=1_800_000_000.0)
    with pf.connect(FLAGS, clock=clock) as flags, uvicorn_server(ofrep.asgi(flags, authorize=bearer, secret="s" * 32)) as address:
        url = stream_of(address, **GOOD)
        plain, _, ticket = url.partition("?")

        def status(url, **headers):
            with Listening(url, **headers) as page:
                return page.status

        assert [status(url), status(plain), status(plain, **GOOD)] == [200, 401, 200]
        assert [status(f"{url[:-1]}x"), status(f"{plain}?ticket="), status(f"{plain}?ticket=%D9%A3.x"), status(f"{url}.")] == [401] * 4
        assert ask(address, f"?{ticket}").status_code == 401
        clock.advance("11h")
        assert status(url) == 200
        clock.advance("3h")
        assert status(url) == 401


def test_a_ticket_of_another_process_needs_a_secret(flags, caplog):
    """The same in both; without one the log says what to do."""
    for secret, status in (("the same", 200), (None, 401)):
        apps = [uvicorn_server(ofrep.asgi(flags, authorize=bearer, secret=secret)) for _ in range(2)]
        with apps[0] as one, apps[1] as other:
            query = urlsplit(stream_of(one, **GOOD)).query
            with Listening(f"{other}/ofrep/v1/events?{query}") as page:
                assert page.status == status
    assert "ofrep.asgi(secret=…)" in caplog.text


def test_a_page_of_a_named_origin_may_read_it(flags):
    with uvicorn_server(ofrep.asgi(flags, origins=["https://shop.example"])) as address:
        with Listening(f"{address}/ofrep/v1/events", origin="https://shop.example") as page:
            headers = dict(page.answer.getheaders())
        with Listening(f"{address}/ofrep/v1/events", origin="https://evil.example") as other:
            assert other.answer.getheader("access-control-allow-origin") is None
        asked = BROWSER.options(f"{address}/ofrep/v1/events", headers={"origin": "https://shop.example"})
        assert BROWSER.post(f"{address}/ofrep/v1/events").status_code == 405

    assert headers["access-control-allow-origin"] == "https://shop.example"
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["x-accel-buffering"] == "no"
    assert "last-event-id" in asked.headers["access-control-allow-headers"]


def test_there_is_an_end_to_how_many(flags):
    """503 and when to come again; the status says how often. One that leaves makes room."""
    with uvicorn_server(ofrep.asgi(flags, streams=2)) as address, listening(address):
        with listening(address):
            refused = BROWSER.get(f"{address}/ofrep/v1/events")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
            assert "as many streams" in refused.json()["errorDetails"]
            assert flags.status().threads["OFREP streams"] == "running, 2 open, 1 refused, for there were too many"
            assert flags.status().state == "READY"
        until(lambda: flags.status().threads["OFREP streams"].startswith("running, 1 open"))
        with listening(address):
            pass


def test_without_a_client_there_is_nothing_to_hear():
    with uvicorn_server(ofrep.asgi()) as address:
        assert BROWSER.get(f"{address}/ofrep/v1/events").status_code == 503


# ── readers that do not read, and how many there may be ────────────────────


def test_who_does_not_read_is_dropped_and_counted(flags, monkeypatch):
    """Its buffers fill, one message waits, and after a while it is left behind; the others hear as before."""
    monkeypatch.setattr("progflags.contrib.ofrep.STUCK", 0.2)
    monkeypatch.setattr(_streams, "_APART", 0.0)
    monkeypatch.setattr(
        _streams,
        "_message",
        lambda word: f'id: {word}\ndata: {{"type": "refetchEvaluation", "etag": "{word}"}}\n: {"x" * 100_000}\n\n'.encode(),
    )
    with uvicorn_server(ofrep.asgi(flags)) as address, listening(address) as page:
        at = urlsplit(stream_of(address))
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect((at.hostname, at.port))
            deaf.sendall(f"GET {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\n\r\n".encode())
            until(lambda: "2 open" in flags.status().threads["OFREP streams"])

            def dropped():
                flags.kill("new")
                flags.unkill("new")
                return "1 dropped" in flags.status().threads["OFREP streams"]

            until(dropped)
            assert flags.status().threads["OFREP streams"] == "running, 1 open, 1 dropped, for they did not read"
            flags.kill("new")
            word = ask_word(flags)
            until(lambda: page.last == word)


class Reader:
    """A reader at the ASGI layer: no socket, and as little of its own as can be."""

    __slots__ = ("gone", "heard", "last")
    SCOPE = {"type": "http", "method": "GET", "path": "/ofrep/v1/events", "query_string": b"", "headers": []}

    def __init__(self):
        self.gone, self.heard, self.last = None, 0, b""

    async def run(self, app):
        async def receive():
            if self.gone is None:
                self.gone = asyncio.get_running_loop().create_future()
                return {"type": "http.request"}
            await self.gone
            return {"type": "http.disconnect"}

        async def send(message):
            if message.get("body"):
                self.heard, self.last = self.heard + 1, message["body"]

        await app(self.SCOPE, receive, send)


async def gathered(true):
    """`until`, in the loop that it is about."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


MOST = 8 * 1024  # bytes of ours per stream that waits, the server's own not among them


@pytest.mark.sized
def test_idle_streams_take_bounded_memory_each(flags):
    """What is ours of each is a few KiB, and ten thousand are told of a kill within a second of the processor."""
    many = size(200, full=10_000)

    async def run():
        app, readers = ofrep.asgi(flags, streams=many), [Reader() for _ in range(many)]
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        tasks = [asyncio.ensure_future(each.run(app)) for each in readers]
        await gathered(lambda: all(each.heard for each in readers))
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        began = time.thread_time()  # what else this machine does is not asked
        flags.kill("new")
        await gathered(lambda: all(each.heard == 2 for each in readers))
        took = time.thread_time() - began
        for each in readers:
            each.gone.set_result(None)
        await asyncio.gather(*tasks)
        return (after - before) / many, took

    with untraced():
        each, took = asyncio.run(run())
    assert each < MOST
    assert took < 1.0
    assert flags.status().threads["OFREP streams"] == "running, 0 open"


SERVED = """
import resource
import progflags as pf
from progflags.contrib import ofrep
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

flags = pf.connect({flags!r}, poll=None)

def rss():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) * 1024

async def look(request):
    return PlainTextResponse(str(rss()))

async def kill(request):
    flags.kill("new")
    return PlainTextResponse("killed")

app = Starlette(routes=[Route("/rss", look), Route("/kill", kill), Mount("/flags", ofrep.asgi(flags, streams=10_000))])
"""


@pytest.mark.sized
@pytest.mark.skipif(sys.platform != "linux", reason="reads a process's memory from /proc")
def test_idle_streams_over_real_sockets(tmp_path):
    """One process of uvicorn holds them, socket, server and all, and a kill reaches every one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = min(size(200, full=10_000), hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, many + 500), hard))
    (tmp_path / "served.py").write_text(SERVED.format(flags=FLAGS))
    port = free_port()
    uvicorn = ("-m", "uvicorn", "served:app", "--port", str(port), "--log-level", "error", "--backlog", "4096")
    try:
        with process(*uvicorn, cwd=tmp_path, port=port) as address, ExitStack() as open_:
            look(address)
            before = look(address)
            pages = [open_.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(many)]
            for page in pages:
                page.settimeout(PATIENCE)
                page.sendall(b"GET /flags/ofrep/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for page in pages:
                heard(page, 1)
            each = (look(address) - before) / many
            BROWSER.get(f"{address}/kill")
            for page in pages:
                heard(page, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert each < 40 * 1024


def look(address):
    return int(BROWSER.get(f"{address}/rss").text)


def heard(page, count):
    """Read until so many messages came."""
    read = b""
    while read.count(b"refetchEvaluation") < count:
        read += page.recv(65_536)
