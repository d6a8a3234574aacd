"""FlagsMiddleware for ASGI: under a real server, between other middlewares, and against requests that go wrong."""

import asyncio
import json
import threading
import time

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute

import progflags as pf
from progflags.asgi import FlagsMiddleware
from progflags.context import scope
from progflags.events import Served
from support.clients import heard, rolling
from support.patience import until
from support.web import uvicorn_server

FLAG = "new-checkout"


def who(scope):
    return dict(scope["headers"]).get(b"x-user", b"").decode() or None


class Passing(BaseHTTPMiddleware):
    """Starlette's kind of middleware, which runs what is below it in a task of its own."""

    async def dispatch(self, request, call_next):
        return await call_next(request)


def an_app(client, *routes, above=(), below=()):
    flags = Middleware(FlagsMiddleware, flags=client, context=who)
    return Starlette(routes=list(routes), middleware=[*above, flags, *below])


def answer(client):
    return JSONResponse({"on": client.is_enabled(FLAG), "key": scope().context.key})


STACKS = {
    "alone": {},
    "below BaseHTTPMiddleware": {"above": [Middleware(Passing)]},
    "above BaseHTTPMiddleware": {"below": [Middleware(Passing)]},
    "between two": {"above": [Middleware(Passing)], "below": [Middleware(Passing)]},
}


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("kind", ["async", "thread"])
def test_what_an_endpoint_met_is_counted_whatever_stands_around(stack, kind):
    """Every request that met the flag is told once, with the arm its user has, for endpoints on the loop and in threads."""
    client = rolling()
    told = heard(client, Served)

    async def on_the_loop(request):
        return answer(client)

    def in_a_thread(request):
        return answer(client)

    app = an_app(client, Route("/", on_the_loop if kind == "async" else in_a_thread), **stack)
    with uvicorn_server(app) as address, httpx.Client(base_url=address) as browser:
        answers = [browser.get("/", headers={"x-user": f"u{i}"}).json() for i in range(20)]

    assert [answer["key"] for answer in answers] == [f"u{i}" for i in range(20)]
    assert [event.exposures[0].arm for event in told] == ["candidate" if answer["on"] else "control" for answer in answers]
    assert {answer["on"] for answer in answers} == {True, False}
    assert not any(event.failed for event in told)
    assert [event.unit for event in told] == [f"u{i}".encode() for i in range(20)]


def test_a_failure_is_counted_and_the_exception_is_the_servers():
    """A status of 500 and an exception are failures; 404 is not; the server still sees the exception."""
    client = rolling()
    told = heard(client, Served)
    seen = []

    async def app(scope, receive, send):
        client.is_enabled(FLAG)
        if scope["path"] == "/raises":
            raise RuntimeError("the application's own")
        status = int(scope["path"][1:])
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    inner = FlagsMiddleware(app, flags=client, context=lambda scope: "u1")

    async def server_side(scope, receive, send):
        try:
            await inner(scope, receive, send)
        except RuntimeError as error:
            seen.append(error)
            raise

    with uvicorn_server(server_side, lifespan="off", log_config=None) as address:
        statuses = [httpx.get(address + path).status_code for path in ("/200", "/404", "/503", "/raises")]

    assert statuses == [200, 404, 503, 500]
    assert [event.failed for event in told] == [False, False, True, True]
    assert [str(error) for error in seen] == ["the application's own"]


def test_requests_that_met_no_arm_are_not_told():
    """A flag without arms leaves no trace in the counts."""
    client = rolling()
    told = heard(client, Served)

    async def view(request):
        return JSONResponse(client.is_enabled("new-search"))

    with uvicorn_server(an_app(client, Route("/", view))) as address:
        assert httpx.get(address).json() is True

    assert told == []


def test_a_stream_arrives_as_it_is_produced_and_counts_to_its_end():
    """Server-sent events: the first one is there while the second is still held back; the request counts after the last."""
    client = rolling()
    told = heard(client, Served)
    go_on = threading.Event()

    async def events(request):
        client.is_enabled(FLAG)

        async def produce():
            yield b"data: one\n\n"
            while not go_on.is_set():
                await asyncio.sleep(0.005)
            yield b"data: two\n\n"

        return StreamingResponse(produce(), media_type="text/event-stream")

    with uvicorn_server(an_app(client, Route("/", events))) as address, httpx.stream("GET", address, headers={"x-user": "u1"}) as response:
        chunks = response.iter_raw()
        assert next(chunks) == b"data: one\n\n"
        assert told == []
        go_on.set()
        assert b"".join(chunks) == b"data: two\n\n"
        until(lambda: told)

    assert len(told) == 1


def test_a_client_that_leaves_is_neither_success_nor_failure():
    """The stream is cut by the client: the application hears of it, its background work still runs, nothing is counted."""
    client = rolling()
    told = heard(client, Served)
    over = threading.Event()

    async def endless(request):
        client.is_enabled(FLAG)

        async def produce():
            try:
                while True:
                    yield b"x" * 1024
                    await asyncio.sleep(0.002)
            finally:
                over.set()

        return StreamingResponse(produce())

    with uvicorn_server(an_app(client, Route("/", endless))) as address:
        with httpx.stream("GET", address, headers={"x-user": "u1"}) as response:
            next(response.iter_raw())
        assert over.wait(60)
        time.sleep(0.05)

    assert told == []


def test_background_tasks_run_and_are_not_the_users_wait():
    """The request is told before its background task has begun to end, and the task has the request's context."""
    client = rolling()
    told = heard(client, Served)
    let_go, keys = threading.Event(), []

    def afterwards():
        let_go.wait(60)
        keys.append(scope().context.key)

    async def view(request):
        client.is_enabled(FLAG)
        return Response("done", background=BackgroundTask(afterwards))

    with uvicorn_server(an_app(client, Route("/", view))) as address:
        assert httpx.get(address, headers={"x-user": "u1"}).text == "done"
        until(lambda: told)
        assert keys == []
        let_go.set()
        until(lambda: keys)

    assert keys == ["u1"]
    assert len(told) == 1


def test_a_task_left_behind_asks_as_nobody_once_the_request_is_over():
    """What outlives its request does not evaluate for that user, nor count for that request."""
    client = rolling()
    left = []

    async def view(request):
        here = scope()

        async def straggler():
            while not here.over:
                await asyncio.sleep(0.005)
            client.is_enabled(FLAG)
            left.append((scope(), dict(here.exposures)))

        request.app.state.task = asyncio.create_task(straggler())
        return Response("ok")

    with uvicorn_server(an_app(client, Route("/", view))) as address:
        httpx.get(address, headers={"x-user": "u1"})
        until(lambda: left)

    assert left == [(None, {})]


def test_a_websocket_has_a_context_and_is_not_counted():
    """Messages pass both ways, evaluated for the user who connected."""
    from websockets.sync.client import connect

    client = rolling()
    told = heard(client, Served)

    async def talk(websocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(json.dumps({"heard": text, "on": client.is_enabled(FLAG), "key": scope().context.key}))

    with uvicorn_server(an_app(client, WebSocketRoute("/", talk))) as address:
        with connect(address.replace("http", "ws"), additional_headers={"x-user": "u3"}) as socket:
            socket.send("hello")
            reply = json.loads(socket.recv())

    assert reply == {"heard": "hello", "on": client.is_enabled(FLAG, "u3"), "key": "u3"}
    assert told == []


def test_lifespan_passes_untouched():
    """Startup and shutdown of the application run once each, with the state they share."""
    from contextlib import asynccontextmanager

    seen = []

    @asynccontextmanager
    async def lifespan(app):
        seen.append("up")
        yield {"pool": "ready"}
        seen.append("down")

    async def view(request):
        return PlainTextResponse(request.state.pool)

    app = FlagsMiddleware(Starlette(routes=[Route("/", view)], lifespan=lifespan), flags=rolling())
    with uvicorn_server(app) as address:
        assert httpx.get(address).text == "ready"

    assert seen == ["up", "down"]


@pytest.mark.parametrize("context", [lambda scope: 1 / 0, lambda scope: object(), lambda scope: 3.5])
def test_a_context_that_cannot_be_had_costs_the_targeting_not_the_request(context):
    """Where `context` raises, or answers something else, the request goes on as nobody."""
    client = rolling()
    said = []

    async def app(scope_, receive, send):
        said.append((scope().context.key, client.is_enabled(FLAG)))
        await respond(send)

    asyncio.run(drive(FlagsMiddleware(app, flags=client, context=context)))

    assert said == [(None, False)]


def test_the_context_function_may_be_asynchronous():
    client = rolling()
    said = []

    async def look_up(scope):
        await asyncio.sleep(0)
        return {"targeting_key": "u1", "plan": "pro"}

    async def app(scope_, receive, send):
        said.append(scope().context)
        await respond(send)

    asyncio.run(drive(FlagsMiddleware(app, flags=client, context=look_up)))

    assert said == [pf.Context("u1", {"plan": "pro"})]


def test_without_any_client_the_application_serves_on():
    """No `flags=` and no default: nothing is counted, nothing breaks."""

    async def app(scope_, receive, send):
        await respond(send)

    sent = asyncio.run(drive(FlagsMiddleware(app)))

    assert sent[0]["status"] == 200


def test_an_answer_cut_short_by_the_server_is_not_a_failure():
    """Since ASGI 2.4 a server raises OSError where the client has left; the arm is not to blame."""
    client = rolling()
    told = heard(client, Served)

    async def app(scope_, receive, send):
        client.is_enabled(FLAG)
        await respond(send)

    async def gone(message):
        if message["type"] == "http.response.body":
            raise OSError("client left")

    with pytest.raises(OSError, match="client left"):
        asyncio.run(FlagsMiddleware(app, flags=client, context=lambda scope: "u1")(request(), nothing_comes, gone))

    assert told == []


def test_trailers_and_file_sending_end_a_response_too():
    """A response is complete at its trailers, or when the server was told which file to send."""
    client = rolling()
    told = heard(client, Served)

    async def with_trailers(scope_, receive, send):
        client.is_enabled(FLAG)
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.body", "body": b"x"})
        assert told == []
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": False})

    async def a_file(scope_, receive, send):
        client.is_enabled(FLAG)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": "/tmp/file"})

    for app in (with_trailers, a_file):
        sent = asyncio.run(drive(FlagsMiddleware(app, flags=client, context=lambda scope: "u1")))
        assert sent[-1]["type"] in ("http.response.trailers", "http.response.pathsend")
        assert len(told) == 1
        told.clear()


HEADERS = st.lists(st.tuples(st.sampled_from([b"a", b"set-cookie", b"x-y"]), st.binary(max_size=8)), max_size=6)
UNKNOWN = st.sampled_from([{"type": "http.response.debug", "info": {"a": 1}}, {"type": "http.response.push", "path": "/x", "headers": []}])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([200, 204, 304, 404, 500]), HEADERS, st.lists(st.binary(max_size=64), max_size=5), st.none() | UNKNOWN)
def test_every_message_passes_as_it_was(status, headers, chunks, unknown):
    """With and without the middleware a server gets the same messages: order, duplicates, chunk boundaries, unknown ones."""

    async def app(scope_, receive, send):
        if unknown is not None:
            await send(dict(unknown))
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body"})

    bare = asyncio.run(drive(app))
    through = asyncio.run(drive(FlagsMiddleware(app, flags=rolling(), context=lambda scope: "u1")))

    assert through == bare


# -- a request by hand ------------------------------------------------------------------------------------------------


def request(headers=()):
    return {"type": "http", "method": "GET", "path": "/", "scheme": "http", "headers": list(headers), "query_string": b""}


async def nothing_comes():
    return {"type": "http.request", "body": b"", "more_body": False}


async def drive(app, headers=()):
    sent = []

    async def send(message):
        sent.append(message)

    await app(request(headers), nothing_comes, send)
    return sent


async def respond(send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
