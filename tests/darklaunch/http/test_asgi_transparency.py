"""Whatever an application does with ASGI, a client can't tell whether the middleware is there."""

import asyncio
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from darklaunch.conftest import make_client
from progflags.asgi import DarkLaunchMiddleware
from progflags.darklaunch import Engine
from progflags.darklaunch.lanes import _engine

from .test_asgi import scope

FLAGS = make_client()
HEADER = st.tuples(st.sampled_from([b"x-a", b"x-b", b"content-type", b"set-cookie"]), st.binary(max_size=8))
CHUNK = st.binary(max_size=20)
STEP = st.one_of(
    st.just(("receive",)),
    st.tuples(st.just("start"), st.integers(200, 599), st.lists(HEADER, max_size=4)),
    st.tuples(st.just("body"), CHUNK, st.booleans()),
    st.tuples(
        st.just("other"), st.sampled_from(["http.response.trailers", "http.response.pathsend", "http.response.early_hint", "x.unknown"])
    ),
    st.just(("raise",)),
    st.just(("yield",)),
)


class Failed(Exception):
    pass


def application(steps, received):
    async def app(scope, receive, send):
        for step in steps:
            if step[0] == "receive":
                message = await receive()
                if received is not None and scope.get("outer"):
                    received.append(message)
            elif step[0] == "start":
                await send({"type": "http.response.start", "status": step[1], "headers": step[2]})
            elif step[0] == "body":
                await send({"type": "http.response.body", "body": step[1], "more_body": step[2]})
            elif step[0] == "other":
                await send({"type": step[1], "path": "/x", "headers": [], "more_trailers": False})
            elif step[0] == "raise":
                raise Failed
            else:
                await asyncio.sleep(0)

    return app


async def _drive(app, request, inbox):
    inbox, sent = list(inbox), []

    async def receive():
        return inbox.pop(0) if inbox else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    try:
        await app(request, receive, send)
    except Failed:
        sent.append("raised")
    return sent, inbox


@settings(max_examples=300, deadline=None)
@given(
    st.lists(STEP, max_size=8),
    st.lists(CHUNK, max_size=4),
    st.sampled_from(["GET", "HEAD", "OPTIONS"]),
    st.sampled_from(["inline", "auto"]),
    st.integers(1, 40),
)
def test_the_same_messages_in_the_same_order_and_nothing_more_is_read(steps, chunks, method, executor, most):
    async def main():
        bodies = [{"type": "http.request", "body": chunk, "more_body": n + 1 < len(chunks)} for n, chunk in enumerate(chunks)]
        headers = [(b"content-length", str(sum(map(len, chunks))).encode())]
        bare_seen, dressed_seen = [], []
        bare = await _drive(application(steps, bare_seen), scope(method, headers=headers, outer=True), bodies)
        app = application(steps, dressed_seen)

        async def candidate(scope, receive, send):
            scope["outer"] = False
            await application(steps, None)(scope, receive, send)

        middleware = DarkLaunchMiddleware(app, flag="on", candidate=candidate, flags=FLAGS, executor=executor, max_body=most, deadline=0.2)
        dressed = await _drive(middleware, scope(method, headers=headers, outer=True), bodies)
        assert await middleware.dark_launch.adrain()
        assert dressed == bare
        assert dressed_seen == bare_seen
        stats = middleware.dark_launch.stats()
        assert stats.calls == sum(stats.outcomes.values()) == 1

    _engine._engine = Engine(cpu=1000.0, burst=1000.0)
    asyncio.run(main())


def test_a_large_stream_both_ways_keeps_memory_flat_and_its_first_byte_is_not_held_back():
    """Each chunk is on its way before the next is asked for; what is kept ends at max_body."""
    total, chunk = 2_000, b"x" * 65_536
    progress = {"asked": 0, "sent": 0, "worst": 0}

    async def echo(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})

    async def receive():
        progress["asked"] += 1
        progress["worst"] = max(progress["worst"], progress["asked"] - progress["sent"])
        return {"type": "http.request", "body": chunk, "more_body": progress["asked"] < total}

    async def send(message):
        if message["type"] == "http.response.body":
            progress["sent"] += 1

    middleware = DarkLaunchMiddleware(echo, flag="on", candidate=echo, flags=FLAGS, methods=["POST"])
    tracemalloc.start()
    asyncio.run(middleware(scope("POST", headers=[(b"transfer-encoding", b"chunked")]), receive, send))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert progress["sent"] == total
    assert progress["worst"] == 1
    assert peak < 2 << 20
    assert middleware.dark_launch.stats().shed == {"request_body": 1}


def test_a_client_that_leaves_at_any_moment_leaves_no_task_behind():
    """Cancelled after every number of steps of the loop: the request ends, its outcome is counted, no task outlives it."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await asyncio.sleep(0)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        await asyncio.sleep(0)

    async def main():
        middleware = DarkLaunchMiddleware(app, flag="on", candidate=app, flags=FLAGS)
        for steps in range(60):
            request = asyncio.ensure_future(_drive(middleware, scope(), []))
            for _ in range(steps % 12):
                await asyncio.sleep(0)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
        assert await middleware.dark_launch.adrain()
        stats = middleware.dark_launch.stats()
        assert sum(stats.outcomes.values()) == stats.calls > 40
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    _engine._engine = Engine(cpu=1000.0, burst=1000.0)
    asyncio.run(main())
