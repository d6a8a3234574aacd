"""Beside trio: the control's answer is the caller's, whatever a shadow would need asyncio for."""

import pytest

from progflags import asgi
from progflags.darklaunch import dark_launch

from .conftest import make_client

trio = pytest.importorskip("trio")


@pytest.mark.parametrize("executor", ["auto", "inline", "task", "thread"])
def test_a_coroutine_is_its_own_under_trio(executor):
    """Its value, its exception; what cannot run without an asyncio loop is left out and counted, the rest is compared."""
    flags = make_client()

    async def control(value):
        await trio.sleep(0)
        if value is None:
            raise KeyError("the control's own")
        return value

    launched = dark_launch("on", candidate=control, flags=flags, executor=executor)(control)

    async def main():
        with pytest.raises(KeyError, match="own"):
            await launched(None)
        return await launched(7)

    assert trio.run(main) == 7
    launched.dark_launch.drain(20)
    stats = launched.dark_launch.stats()
    assert stats.calls == sum(stats.outcomes.values()) == 2
    assert stats.shed == ({} if executor == "thread" else {"no_loop": 2})  # a thread has an asyncio loop, and no trio


@pytest.mark.parametrize("executor", ["auto", "inline", "thread"])
def test_an_async_generator_is_its_own_under_trio(executor):
    async def control():
        for value in range(3):
            await trio.sleep(0)
            yield value

    launched = dark_launch("on", candidate=control, flags=make_client(), executor=executor)(control)

    async def main():
        return [value async for value in launched()]

    assert trio.run(main) == [0, 1, 2]


def test_a_plain_function_is_compared_under_trio():
    launched = dark_launch("on", candidate=lambda: 1, flags=make_client(), executor="inline")(lambda: 1)

    async def main():
        return launched()

    assert trio.run(main) == 1
    assert launched.dark_launch.stats().outcomes["match"] == 1


def test_an_application_with_a_candidate_starts_serves_and_stops_under_trio():
    """Its lifespan is the control's; the candidate's needs asyncio, so it is not begun and there are no shadows."""

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            for _ in range(2):
                await send({"type": (await receive())["type"] + ".complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"control"})

    flags = make_client()
    door = asgi.FlagsMiddleware(asgi.DarkLaunchMiddleware(app, flag="on", candidate=app, flags=flags), flags=flags)

    async def drive(scope, *messages):
        sent, coming = [], iter(messages)

        async def receive():
            return next(coming)

        async def send(message):
            sent.append(message)

        await door(scope, receive, send)
        return sent

    async def main():
        life = await drive({"type": "lifespan", "asgi": {}}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
        request = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "scheme": "http"}
        return life, await drive(request, {"type": "http.request", "body": b""})

    life, answer = trio.run(main)

    assert [message["type"] for message in life] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert answer[1]["body"] == b"control"
