"""The ASGI door: the client gets the application's response, byte for byte; the candidate gets the same request afterwards."""

import asyncio
import json
import types

import pytest

from progflags.asgi import DarkLaunchMiddleware, FlagsMiddleware
from progflags.darklaunch import ignore, shadow
from progflags.flags import force


def json_app(value, *, status=200, headers=(), background=None):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            return
        answer = value(scope) if callable(value) else value
        body = json.dumps(answer).encode()
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json"), *headers]})
        await send({"type": "http.response.body", "body": body})
        if background is not None:
            await background.wait()

    return app


def scope(method="GET", path="/", headers=(), **more):
    given = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "headers": list(headers)}
    return {**given, **more}


async def ask(app, request=None, messages=()):
    """Drive an application as a server does; returns the messages it sent."""
    inbox = list(messages) or [{"type": "http.request", "body": b"", "more_body": False}]
    sent = []

    async def receive():
        if inbox:
            return inbox.pop(0)
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    await app(request or scope(), receive, send)
    return sent


@pytest.fixture
def launched(flags, engine):
    def make(app, candidate, flag="on", **options):
        return DarkLaunchMiddleware(app, flag=flag, candidate=candidate, flags=flags, **options)

    return make


async def test_the_client_gets_the_applications_messages_and_the_shadow_runs_after_the_last(launched):
    order = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1"), (b"x-a", b"2")]})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})
        order.append("answered")
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)

    async def candidate(scope, receive, send):
        order.append("shadow")
        await app(scope, receive, send)

    middleware = launched(app, candidate)
    bare, dressed = await ask(app), await ask(middleware)

    assert await middleware.dark_launch.adrain()
    assert dressed == bare
    assert order[1:3] == ["answered", "shadow"]
    assert middleware.dark_launch.stats().outcomes["match"] == 1


async def test_a_difference_in_the_body_is_named_by_its_path(launched):
    middleware = launched(
        json_app({"items": [{"price": 1}], "at": 1}), json_app({"items": [{"price": 2}], "at": 2}), rules=[ignore("$.at")]
    )
    await ask(middleware)

    assert await middleware.dark_launch.adrain()
    assert middleware.dark_launch.stats().mismatches == {"$.body.items[*].price": 1}


async def test_reduce_gets_the_parts_of_both_responses(launched):
    def items(parts):
        return parts["body"]["items"] if parts["status"] == 200 else parts["status"]

    noisy = iter(range(100))
    same = launched(*[json_app(lambda _: {"items": [1, 2], "at": next(noisy)})] * 2, reduce=items)
    other = launched(json_app({"items": [1, 2]}), json_app({"items": [1, 3]}), reduce=items)
    failing = launched(json_app({"items": [1]}), json_app({}), reduce=items)
    for middleware in (same, other, failing):
        await ask(middleware)
        assert await middleware.dark_launch.adrain()

    assert same.dark_launch.stats().outcomes["match"] == 1
    assert other.dark_launch.stats().mismatches == {"$[*]": 1}
    assert failing.dark_launch.stats().outcomes["compare_error"] == 1


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": ["http.response.start"]},
        {"type": "http.response.start", "status": 200, "headers": [("content-type", "text")]},
        {"type": "http.response.start", "status": 200, "headers": None},
        {"type": "http.response.body", "body": "text", "more_body": True},
        {"type": "http.response.body", "body": "text"},
        {"type": "http.response.body", "body": b"before any start"},
    ],
    ids=str,
)
async def test_what_is_no_answer_is_the_servers_to_refuse(message, launched):
    """The application sees the server's own exception, or none, and never one of ours."""
    seen = []

    class RefusedError(Exception):
        pass

    async def refuses(_):
        raise RefusedError

    async def takes(_):
        return None

    async def receive():
        return {"type": "http.request", "body": None}

    async def app(scope, receive, send):
        await receive()
        try:
            await send(message)
        except BaseException as error:
            seen.append(error)
            raise

    middleware = launched(app, json_app(1))
    with pytest.raises(RefusedError):
        await middleware(scope(), receive, refuses)
    await middleware(scope(), receive, takes)

    assert [type(error) for error in seen] == [RefusedError]
    assert await middleware.dark_launch.adrain()
    stats = middleware.dark_launch.stats()
    assert stats.calls == 2 == sum(stats.outcomes.values())
    assert stats.outcomes["match"] == stats.outcomes["mismatch"] == 0


async def test_a_client_that_went_away_is_no_failure_of_the_applications(launched):
    """The server's send raises in the middle of an answer: nothing to compare, whoever of the two notices it."""

    async def gone(_):
        raise OSError("the client is gone")

    async def receive():
        return {"type": "http.request", "body": b""}

    middleware = launched(json_app(1), json_app(1))
    with pytest.raises(OSError, match="gone"):
        await middleware(scope(), receive, gone)

    assert middleware.dark_launch.stats().outcomes["incomplete"] == 1


async def test_status_and_chosen_headers_are_compared_and_other_headers_are_not(launched):
    app = json_app({}, headers=[(b"date", b"today"), (b"x-version", b"1")])
    other = json_app({}, status=201, headers=[(b"date", b"tomorrow"), (b"x-version", b"2")])
    middleware = launched(app, other, headers=["X-Version"])
    await ask(middleware)

    assert await middleware.dark_launch.adrain()
    assert middleware.dark_launch.stats().mismatches == {"$.status": 1, "$.headers.x-version": 1}


async def test_a_forced_flag_runs_the_same_application_with_it(launched, flags):
    """`pf.force`: no second deployment, no second function; and no other request sees the forced variant."""
    app = json_app(lambda _: {"variant": flags.is_enabled("variant", "u")})
    middleware = launched(app, force("variant", "on"))

    sent = await ask(middleware)

    assert await middleware.dark_launch.adrain()
    assert json.loads(sent[1]["body"]) == {"variant": False}
    assert middleware.dark_launch.stats().mismatches == {"$.body.variant": 1}
    assert flags.is_enabled("variant", "u") is False


async def test_unsafe_methods_are_not_shadowed_unless_asked_for(launched):
    ran = []
    candidate = json_app(lambda scope: ran.append(scope["method"]))
    cautious, bold = launched(json_app(None), candidate), launched(json_app(None), candidate, methods=["POST"])

    for method in ("POST", "PUT", "PATCH", "DELETE"):
        await ask(cautious, scope(method))
    assert ran == []
    assert cautious.dark_launch.stats().outcomes["not_sampled"] == 4

    await ask(bold, scope("POST"))
    assert await bold.dark_launch.adrain()
    assert ran == ["POST"]


async def test_the_candidate_reads_what_the_application_read_and_then_waits(launched):
    """A synthetic disconnect would make Django answer nothing and cut Starlette's streams."""
    seen = {}

    async def app(scope, receive, send):
        chunks, more = [], True
        while more:
            message = await receive()
            chunks.append(message["body"])
            more = message["more_body"]
        name = "candidate" if shadow.active() else "control"
        seen[name] = chunks
        if name == "candidate":
            waiting = asyncio.ensure_future(receive())
            done, _ = await asyncio.wait({waiting}, timeout=0.05)
            seen["waits"] = not done
            waiting.cancel()
        await json_app({})(scope, receive, send)

    middleware = launched(app, app, methods=["POST"])
    messages = [{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.request", "body": b"b", "more_body": False}]
    await ask(middleware, scope("POST", headers=[(b"content-length", b"2")]), messages)

    assert await middleware.dark_launch.adrain()
    assert seen == {"control": [b"a", b"b"], "candidate": [b"a", b"b"], "waits": True}
    assert middleware.dark_launch.stats().outcomes["match"] == 1


async def test_a_body_the_application_did_not_read_is_not_read_for_it(launched):
    """An early answer (401, 413): the shadow would get half a request, so there is none."""
    asked = []

    async def receive():
        asked.append(1)
        return {"type": "http.request", "body": b"x", "more_body": False}

    async def send(_):
        pass

    middleware = launched(json_app({}, status=413), json_app({}), methods=["POST"])
    await middleware(scope("POST", headers=[(b"content-length", b"1")]), receive, send)

    assert asked == []
    assert middleware.dark_launch.stats().outcomes["incomplete"] == 1


async def test_large_bodies_flow_through_and_are_not_kept(launched):
    async def echo(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})

    middleware = launched(echo, echo, methods=["POST"], max_body=1000)
    chunks = [{"type": "http.request", "body": b"x" * 600, "more_body": i < 3} for i in range(4)]
    sent = await ask(middleware, scope("POST", headers=[(b"transfer-encoding", b"chunked")]), chunks)

    assert [len(message["body"]) for message in sent[1:]] == [600] * 4
    assert middleware.dark_launch.stats().shed == {"request_body": 1}


async def test_streams_websockets_paths_and_lifespans_pass_untouched(launched):
    """An event stream is not captured, a sent path is not compared, a websocket is not ours."""

    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            return await send({"type": "websocket.accept"})
        kind = scope["path"]
        if kind == "/sse":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
            return await send({"type": "http.response.body", "body": b"data: 1\n\n"})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": "/x"})

    middleware = launched(app, app)
    for request in (scope(path="/sse"), scope(path="/file"), {"type": "websocket", "path": "/", "headers": []}):
        assert await ask(middleware, request) == await ask(app, request)

    stats = middleware.dark_launch.stats()
    assert stats.shed == {"response_body": 1}
    assert stats.outcomes["incomplete"] == 1
    assert stats.calls == sum(stats.outcomes.values()) == 2


@pytest.mark.parametrize("header", [(b"range", b"bytes=0-1"), (b"upgrade", b"h2c"), (b"accept", b"text/event-stream")])
async def test_ranges_upgrades_and_event_streams_are_left_out(header, launched):
    middleware = launched(json_app({}), json_app({}))
    await ask(middleware, scope(headers=[header]))

    assert middleware.dark_launch.stats().outcomes["not_sampled"] == 1


async def test_an_exception_reaches_the_server_and_the_candidates_does_not(launched):
    class Error(Exception):
        pass

    error = Error()

    async def failing(scope, receive, send):
        raise error

    middleware = launched(failing, failing)
    with pytest.raises(Error) as caught:
        await ask(middleware)
    assert caught.value is error
    assert await middleware.dark_launch.adrain()
    assert middleware.dark_launch.stats().outcomes["control_error_match"] == 1

    quiet = launched(json_app({}), failing)
    await ask(quiet)
    assert await quiet.dark_launch.adrain()
    assert quiet.dark_launch.stats().outcomes["candidate_error"] == 1


@pytest.mark.parametrize("trust_marker", [False, True])
async def test_a_request_that_is_a_shadow_elsewhere_is_not_shadowed_again(launched, trust_marker):
    """A candidate in another deployment has the same middleware: its shadows of our shadows would never end."""
    runs = []

    async def app(scope, receive, send):
        runs.append(scope)
        await json_app({})(scope, receive, send)

    middleware = launched(app, app, trust_marker=trust_marker)
    await ask(middleware, scope(headers=[(b"progflags-shadow", b"on;1")]))

    assert await middleware.dark_launch.adrain()
    assert len(runs) == 1
    assert middleware.dark_launch.stats().outcomes["not_sampled"] == 1


async def test_a_strangers_marker_is_stripped_and_a_shadow_carries_ours(launched):
    """Whoever could send it could switch off the writes of code that heeds it."""
    seen = []

    async def app(scope, receive, send):
        seen.append([value for name, value in scope["headers"] if name == b"progflags-shadow"])
        await json_app({})(scope, receive, send)

    middleware = launched(app, app)
    await ask(middleware, scope(headers=[(b"progflags-shadow", b"forged;1")]))
    await ask(middleware)

    assert await middleware.dark_launch.adrain()
    assert seen[:2] == [[], []]
    assert len(seen[2]) == 1
    assert seen[2][0].startswith(b"on;")


async def test_a_shadow_through_flags_middleware_counts_for_nobody(flags, engine):
    """The application run once more inside the shadow tells no Served, notes no exposure; it asks as the same user."""
    from progflags.events import Served

    served, users = [], []
    flags.bus.listen(Served, served.append)

    async def app(scope, receive, send):
        from progflags.context import current

        users.append(current().key)
        await json_app({})(scope, receive, send)

    inner = FlagsMiddleware(app, flags=flags, context=lambda _: "user-1")
    outermost = DarkLaunchMiddleware(inner, flag="on", candidate=inner, flags=flags)
    innermost = FlagsMiddleware(DarkLaunchMiddleware(app, flag="on", candidate=app, flags=flags), flags=flags, context=lambda _: "user-2")

    await ask(outermost)
    assert await outermost.dark_launch.adrain()
    await ask(innermost)
    assert await innermost.app.dark_launch.adrain()

    assert users == ["user-1", "user-1", "user-2", "user-2"]
    assert served == []


async def test_a_cancelled_request_ends_as_one_outcome(launched):
    async def slow(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(10)

    middleware = launched(slow, slow)
    task = asyncio.ensure_future(ask(middleware))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    stats = middleware.dark_launch.stats()
    assert stats.calls == sum(stats.outcomes.values()) == 1


async def test_background_work_of_the_control_does_not_delay_the_shadow(launched):
    let_go = asyncio.Event()
    middleware = launched(json_app({}, background=let_go), json_app({}))
    request = asyncio.ensure_future(ask(middleware))
    while not middleware.dark_launch.stats().outcomes["match"]:
        await asyncio.sleep(0.005)
        assert not request.done()
    let_go.set()
    await request


async def test_inline_runs_the_candidate_before_the_request_ends(launched):
    middleware = launched(json_app(1), json_app(1), executor="inline")
    await ask(middleware)

    assert middleware.dark_launch.stats().outcomes["match"] == 1


async def test_compressed_bodies_are_compared_by_what_they_say(launched):
    import gzip

    async def zipped(scope, receive, send):
        level = 9 if shadow.active() else 1
        body = gzip.compress(json.dumps({"a": list(range(100))}).encode(), level, mtime=level)
        headers = [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    middleware = launched(zipped, zipped)
    await ask(middleware)

    assert await middleware.dark_launch.adrain()
    assert middleware.dark_launch.stats().outcomes["match"] == 1


async def test_starlette_streams_and_base_http_middleware_keep_working(launched):
    """Inside and outside a BaseHTTPMiddleware, with a stream, a background task and a route's template as the endpoint."""
    starlette = pytest.importorskip("starlette")  # noqa: F841
    import httpx
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route

    ran = []

    async def stream(request):
        async def parts():
            for part in (b"a", b"b", b"c"):
                yield part

        return StreamingResponse(parts(), media_type="text/plain", background=BackgroundTask(ran.append, shadow.active()))

    async def item(request):
        return JSONResponse({"id": request.path_params["id"], "shadow": shadow.active()})

    async def passing(request, call_next):
        return await call_next(request)

    inside = Starlette(routes=[Route("/stream", stream), Route("/items/{id}", item)])
    inside.add_middleware(BaseHTTPMiddleware, dispatch=passing)
    middleware = launched(inside, inside)
    outside = BaseHTTPMiddleware(middleware, dispatch=passing)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(outside), base_url="http://test") as client:
        assert (await client.get("/stream")).text == "abc"
        assert (await client.get("/items/7")).json() == {"id": "7", "shadow": False}

    assert await middleware.dark_launch.adrain()
    stats = middleware.dark_launch.stats()
    assert stats.outcomes["match"] == 1
    assert stats.mismatches == {"$.body.shadow": 1}
    assert sorted(ran) == [False, True]  # once each; which of them first is up to the loop


@pytest.mark.parametrize(
    ("route", "endpoint"),
    [
        (types.SimpleNamespace(path="/items/{id}"), "/items/{id}"),
        ("/items/7?card=4111", ""),
        (types.SimpleNamespace(path=7), ""),
        (None, ""),
    ],
)
async def test_causes_are_told_apart_by_the_routes_template_and_never_by_the_path(launched, route, endpoint):
    async def app(scope, receive, send):
        scope["route"] = route
        await json_app({"n": 1})(scope, receive, send)

    middleware = launched(app, json_app({"n": 2}))
    await ask(middleware, scope(path="/items/7"))

    assert await middleware.dark_launch.adrain()
    assert [cause["endpoint"] for cause in middleware.dark_launch.report()["causes"]] == [endpoint]


async def test_noise_is_learned_by_asking_the_application_twice(launched):
    import itertools

    ids = itertools.count()
    middleware = launched(json_app(lambda _: {"id": next(ids), "a": 1}), json_app({"id": -1, "a": 1}), aa_rate=1.0)
    for _ in range(6):
        await ask(middleware)
        assert await middleware.dark_launch.adrain()

    assert [proposal.path for proposal in middleware.dark_launch.proposals()] == ["$.body.id"]
    middleware.dark_launch.approve("$.body.id")
    assert str(middleware.dark_launch.comparer.rules[0]).startswith("tolerance('$.body.id'")


async def test_raise_on_mismatch_raises_out_of_the_request(launched):
    from progflags.darklaunch import DarkLaunchMismatch

    middleware = launched(json_app({"a": 1}), json_app({"a": 2}), raise_on_mismatch=True)
    with pytest.raises(DarkLaunchMismatch, match=r"\$\.body\.a"):
        await ask(middleware)
