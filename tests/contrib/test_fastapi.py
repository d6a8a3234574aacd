"""FastAPI: flags as dependencies, overridden in tests, the client's life tied to the application's."""

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI, Request, Response, WebSocket

import progflags as pf
from progflags._trouble import counts
from progflags.asgi import FlagsMiddleware
from progflags.context import current, scope
from progflags.contrib.fastapi import flag, identify, lifespan
from progflags.events import Served
from progflags.flags import given, set_default
from support.patience import until
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


def with_sign_in(flags, *, middleware=True, **options):
    """An application whose user is known to a dependency only, as most are."""

    async def current_user(request: Request):
        await asyncio.sleep(0)
        return request.headers.get("x-user")

    def of_user(user: Annotated[str | None, Depends(current_user)]):
        return None if user is None else pf.Context(user, {"plan": "pro"})

    async def asked_in_a_dependency():
        return flags.is_enabled("new-search")

    def asked_in_a_plain_one():
        return flags.is_enabled("new-search")

    app = FastAPI(dependencies=[Depends(identify(of_user))])
    app.state.progflags = flags
    app.state.of_user = of_user
    if middleware:
        app.add_middleware(FlagsMiddleware, flags=flags, **options)

    def facts():
        return [scope().context.key, scope().context.attributes.get("plan"), flags.is_enabled("new-search")]

    Asked = Annotated[bool, Depends(asked_in_a_dependency)]
    Plain = Annotated[bool, Depends(asked_in_a_plain_one)]
    Flag = Annotated[bool, Depends(flag("new-search"))]

    @app.get("/async")
    async def in_async(one: Asked, two: Plain, three: Flag):
        return [*facts(), one, two, three]

    @app.get("/sync")
    def in_sync(one: Asked, two: Plain, three: Flag):
        return [*facts(), one, two, three]

    @app.get("/style.css")
    def style():
        return Response("body {}", media_type="text/css")

    return app


@pytest.mark.parametrize("middleware", [True, False])
def test_a_user_only_a_dependency_knows_is_who_flags_are_asked_for(flags, middleware):
    """In `async def` and `def`, dependencies and endpoints, `flag(…)` and the client itself; with FlagsMiddleware and without."""
    with uvicorn_server(with_sign_in(flags, middleware=middleware)) as address, httpx.Client(base_url=address) as browser:
        for path in ("/async", "/sync"):
            for user in (f"u{i}" for i in range(20)):
                on = flags.is_enabled("new-search", user)
                assert browser.get(path, headers={"x-user": user}).json() == [user, "pro", on, on, on, on]
        assert current() is None


def test_requests_count_for_the_user_of_the_dependency():
    told = []
    with pf.connect({"flags": {"new-search": {"kind": "experiment", "percent": 50}}}, poll=None) as flags:
        flags.bus.listen(Served, told.append)
        with uvicorn_server(with_sign_in(flags)) as address:
            httpx.get(f"{address}/sync", headers={"x-user": "ann"})
            until(lambda: told)

    assert [event.unit for event in told] == [b"ann"]


def test_whom_the_dependency_does_not_know_keeps_the_sticky_id(flags):
    """And gets it only on pages that ask; the stylesheet stays everybody's."""
    app = with_sign_in(flags, anonymous="a-secret-that-is-long-enough")

    with uvicorn_server(app) as address, httpx.Client(base_url=address) as browser:
        style = browser.get("/style.css")
        first, again = browser.get("/async"), browser.get("/sync")
        signed_in = httpx.get(f"{address}/async", headers={"x-user": "ann"})

    assert not {"vary", "set-cookie"} & {*style.headers, *signed_in.headers}
    assert first.json() == again.json()
    assert len(first.json()[0]) == 22
    assert (first.headers["vary"], "set-cookie" in first.headers, "set-cookie" in again.headers) == ("Cookie", True, False)


def test_a_dependency_that_answers_no_context_is_counted(flags):
    app = with_sign_in(flags)
    app.dependency_overrides[app.state.of_user] = lambda: ["no", "context"]
    before = counts().get("FastAPI identify", 0)

    with uvicorn_server(app) as address:
        assert httpx.get(f"{address}/sync").json()[0] is None

    assert counts()["FastAPI identify"] == before + 1


def test_identify_is_overridden_by_its_name_or_by_what_it_asks(flags):
    app = with_sign_in(flags)
    app.dependency_overrides[identify(app.state.of_user)] = lambda: None

    with uvicorn_server(app) as address:
        assert httpx.get(f"{address}/sync", headers={"x-user": "ann"}).json()[0] is None
        app.dependency_overrides = {app.state.of_user: lambda: "bob"}
        assert httpx.get(f"{address}/sync", headers={"x-user": "ann"}).json()[0] == "bob"


async def test_a_dependency_lets_into_the_console():
    """Other dependencies below it, overrides, and what raises."""
    from fastapi import Header, HTTPException

    from progflags.contrib.fastapi import let_in

    async def current_user(x_session: Annotated[str, Header()] = ""):
        if x_session == "stolen":
            raise HTTPException(403)
        return x_session

    def viewer(user: Annotated[str, Depends(current_user)]):
        return pf.Viewer(user, ("operator",)) if user else None

    with pf.connect({"flags": {"banner": {"percent": 50}}}, poll=None) as flags:
        app = FastAPI()
        app.mount("/ops", pf.console(flags, auth=let_in(viewer)))

        async def seen(session):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers={"x-session": session}) as client:
                answer = await client.get("/ops/")
                return answer.status_code, "ann" in answer.text

        assert [await seen(session) for session in ("ann", "", "stolen")] == [(200, True), (401, False), (401, False)]
        app.dependency_overrides[current_user] = lambda: "ann"
        assert await seen("") == (200, True)
