"""FastAPI: flags as dependencies, overridden in tests, the client's life tied to the application's."""

import json
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI, Request, WebSocket

import progflags as pf
from progflags.asgi import FlagsMiddleware
from progflags.contrib.fastapi import flag, lifespan
from progflags.flags import given, set_default
from support.web import uvicorn_server

DOCUMENT = {
    "flags": {
        "new-search": {"percent": 25},
        "checkout-flow": {
            "variants": {"classic": "classic", "fast": "fast"},
            "default": "classic",
            "rules": [{"split": {"classic": 1, "fast": 1}}],
        },
    }
}
CHECKOUT = pf.Flag("checkout-flow", default="classic")


@pytest.fixture
def flags():
    with pf.connect(DOCUMENT, poll=None) as client:
        yield client


def an_app(flags, **options):
    app = FastAPI(**options)
    app.add_middleware(FlagsMiddleware, flags=flags, context=lambda scope: dict(scope["headers"])[b"x-user"].decode())

    @app.get("/async")
    async def in_async(search: Annotated[bool, Depends(flag("new-search"))], flow: Annotated[str, Depends(flag(CHECKOUT))]):
        return [search, flow]

    @app.get("/sync")
    def in_sync(search: Annotated[bool, Depends(flag("new-search"))], flow: Annotated[str, Depends(flag("checkout-flow", "classic"))]):
        return [search, flow]

    @app.get("/unknown")
    def unknown(value: Annotated[int, Depends(flag("no-such-flag", 3))]):
        return value

    @app.websocket("/talk")
    async def talk(socket: WebSocket, search: Annotated[bool, Depends(flag("new-search"))]):
        await socket.accept()
        await socket.send_json(search)
        await socket.close()

    return app


def test_a_dependency_is_the_users_value(flags):
    """Async and sync handlers, by key, by typed flag and with a default: what `flags` itself would answer."""
    with uvicorn_server(an_app(flags, lifespan=lifespan(flags))) as address, httpx.Client(base_url=address) as browser:
        for path in ("/async", "/sync"):
            for user in (f"u{i}" for i in range(20)):
                expected = [flags.is_enabled("new-search", user), flags.get("checkout-flow", "classic", user)]
                assert browser.get(path, headers={"x-user": user}).json() == expected
        assert browser.get("/unknown", headers={"x-user": "u"}).json() == 3


def test_a_websocket_may_depend_on_a_flag(flags):
    from websockets.sync.client import connect

    with uvicorn_server(an_app(flags, lifespan=lifespan(flags))) as address:
        with connect(address.replace("http", "ws") + "/talk", additional_headers={"x-user": "u1"}) as socket:
            assert json.loads(socket.recv()) is flags.is_enabled("new-search", "u1")


def test_dependency_overrides_replace_a_flag_wherever_it_is_used(flags):
    """Two `flag("new-search")` are equal, so the override needs no shared name; other flags keep their answers."""
    app = an_app(flags, lifespan=lifespan(flags))
    out = next(user for user in (f"u{i}" for i in range(100)) if not flags.is_enabled("new-search", user))
    app.dependency_overrides[flag("new-search")] = lambda: True

    with uvicorn_server(app) as address:
        answers = [httpx.get(address + path, headers={"x-user": out}).json() for path in ("/async", "/sync")]

    assert answers == [[True, flags.get("checkout-flow", "classic", out)]] * 2
    assert flag("new-search") != flag("new-search", True)


def test_the_lifespan_makes_the_client_its_home_and_its_end(flags):
    """`app.state.progflags` and `pf.default()` while the app runs; closed after it; the inner lifespan's state is handed on."""
    seen = []

    @asynccontextmanager
    async def inner(app):
        seen.append(given(None))
        yield {"pool": "ready"}
        seen.append("inner down")

    made = []

    def make():
        made.append(pf.connect(DOCUMENT, poll=None))
        return made[0]

    set_default(flags)
    app = FastAPI(lifespan=lifespan(make, inner))

    @app.get("/")
    def state(request: Request):
        return [request.state.pool, request.app.state.progflags is made[0], given(None) is made[0]]

    try:
        with uvicorn_server(app) as address:
            assert httpx.get(address).json() == ["ready", True, True]
        assert seen == [made[0], "inner down"]
        assert given(None) is flags
        with pytest.raises(pf.ProgflagsError):
            made[0].rollouts.start("new-search")
    finally:
        set_default(None)


def test_without_any_client_a_dependency_is_its_default():
    """Nothing connected: the default, no error."""
    app = FastAPI()

    @app.get("/")
    def view(search: Annotated[bool, Depends(flag("new-search", True))]):
        return search

    with uvicorn_server(app) as address:
        assert httpx.get(address).json() is True


async def test_defaults_that_python_calls_equal_are_not_one_dependency():
    """0, False and 0.0 are equal; FastAPI asks equal dependencies once and gives each the same value."""
    document = {"flags": {"limit": {"variants": {"some": 7}, "default": "some"}}}
    with pf.connect(document, poll=None) as flags:
        app = FastAPI()
        app.add_middleware(FlagsMiddleware, flags=flags)

        @app.get("/")
        async def both(on: Annotated[bool, Depends(flag("limit"))], limit: Annotated[int, Depends(flag("limit", 0))]):
            return [on, limit]

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as http:
            assert (await http.get("/")).json() == [False, 7]

    assert flag("limit", 1) != flag("limit", True)
    assert flag("limit", 1) == flag("limit", 1)
