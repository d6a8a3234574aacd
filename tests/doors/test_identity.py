"""Who is asking is found out when something needs to know: a page that asks no flag is the page it would be without us."""

import asyncio
import gc
import io
import threading
import weakref
from contextvars import copy_context
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

import progflags as pf
from progflags import asgi, wsgi
from progflags._trouble import counts
from progflags.context import NOBODY, Scope, begin, bind, current, scope
from progflags.contrib._carry import pack
from progflags.events import Served
from support.web import uvicorn_server, wsgi_server

SECRET = "a-secret-that-is-long-enough"
DOCUMENT = {"flags": {"half": {"percent": 50}, "kill-switch": {"percent": 100}, "new-checkout": {"rollout": {"stages": [{"percent": 50}]}}}}


@pytest.fixture
def flags():
    with pf.connect(DOCUMENT, poll=None) as client:
        client.rollouts.start("new-checkout")
        client.rollouts.tick()
        yield client


def asgi_pages(flags):
    def plain(ask):
        async def view(request):
            return PlainTextResponse(str(ask()), headers={"Cache-Control": "public, max-age=60"})

        return view

    async def streamed(request):
        async def pieces():
            yield "first "
            yield str(flags.is_enabled("half"))

        return StreamingResponse(pieces())

    async def threaded(request):
        return PlainTextResponse(str(await run_in_threadpool(flags.is_enabled, "half")))

    return Starlette(
        routes=[
            *(Route(path, plain(ask)) for path, ask in asks(flags).items()),
            Route("/streamed", streamed),
            Route("/threaded", threaded),
        ]
    )


def wsgi_pages(flags):
    asked = asks(flags)

    def app(environ, start_response):
        path = environ["PATH_INFO"]
        # As plain applications do: the head is given before anything is asked.
        start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "public, max-age=60")])
        if path == "/streamed":
            return (piece() for piece in (lambda: b"first ", lambda: str(flags.is_enabled("half")).encode()))
        return [str(asked[path]()).encode()]

    return validator(app)


def asks(flags):
    return {
        "/style.css": lambda: "body {}",
        "/fixed": lambda: flags.is_enabled("kill-switch"),
        "/unknown": lambda: flags.is_enabled("no-such-flag"),
        "/explicit": lambda: flags.is_enabled("half", "somebody"),
        "/half": lambda: flags.is_enabled("half"),
        "/get": lambda: flags.get("half", False),
        "/evaluate": lambda: flags.evaluate("half").value,
        "/typed": pf.Flag("half", default=False).bind(flags),
        "/all": lambda: len(flags.evaluate_all()),
        "/explain": lambda: flags.explain("half").evaluation.reason,
        "/track": lambda: flags.track("conversion"),
        "/key": lambda: scope().context.key,
    }


DOORS = {
    "asgi": (asgi.FlagsMiddleware, asgi_pages, uvicorn_server),
    "wsgi": (wsgi.FlagsMiddleware, wsgi_pages, wsgi_server),
}
NEEDLESS = ("/style.css", "/fixed", "/unknown", "/explicit")
NEEDED = ("/half", "/get", "/evaluate", "/typed", "/all", "/explain", "/track", "/key")


@pytest.fixture(params=DOORS)
def door(request):
    return DOORS[request.param]


def without(headers):
    return {name: value for name, value in headers.items() if name not in ("date",)}


def test_a_page_that_needs_nobody_is_as_it_would_be_without_us(door, flags):
    """Asking no flag, or one that says the same to all, or about somebody named: same headers, and the application is not asked."""
    middleware, pages, server = door
    asked = []
    wrapped = middleware(pages(flags), flags=flags, context=asked.append, anonymous=SECRET)

    with server(wrapped) as address, server(pages(flags)) as bare:
        for path in NEEDLESS:
            assert without(httpx.get(address + path).headers) == without(httpx.get(bare + path).headers), path

    assert asked == []


def test_a_page_that_needs_to_know_says_so(door, flags):
    """The cookie, `Vary: Cookie`, and no public cache for the answer that brings a new id; later only `Vary`."""
    middleware, pages, server = door

    with server(middleware(pages(flags), flags=flags, anonymous=SECRET)) as address:
        for path in NEEDED:
            with httpx.Client(base_url=address) as browser:
                first, again = browser.get(path), browser.get(path)
            assert first.headers["vary"] == again.headers["vary"] == "Cookie", path
            assert "progflags_id" in first.headers["set-cookie"], path
            assert first.headers["cache-control"] == "max-age=60, private", path
            assert "set-cookie" not in again.headers, path
            assert again.headers["cache-control"] == "public, max-age=60", path
            assert first.text == again.text, path


def test_who_is_known_otherwise_gets_no_cookie_and_no_vary_of_ours(door, flags):
    middleware, pages, server = door

    with server(middleware(pages(flags), flags=flags, context=lambda _: "ann", anonymous=SECRET)) as address:
        answer = httpx.get(f"{address}/half")

    assert answer.text == str(flags.is_enabled("half", "ann"))
    assert not {"set-cookie", "vary"} & set(answer.headers)


def test_the_application_is_asked_once_and_not_before_a_flag_is(door, flags):
    middleware, _, _ = door
    asked = []

    def ask():
        before = len(asked)
        answers = [flags.is_enabled("half") for _ in range(3)]
        return before, len(asked), set(answers)

    before, after, answers = in_request(middleware, flags, ask, context=lambda request: asked.append(request) or "ann")

    assert (before, after) == (0, 1)
    assert answers == {flags.is_enabled("half", "ann")}


def in_request(middleware, flags, ask, **options):
    """What `ask()` answers inside a request."""
    found = []
    if middleware is asgi.FlagsMiddleware:

        async def app(scope_, receive, send):
            found.append(ask())
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async def send(message):
            pass

        asyncio.run(middleware(app, flags=flags, **options)({"type": "http", "headers": [], "path": "/"}, None, send))
    else:

        def app(environ, start_response):
            found.append(ask())
            start_response("200 OK", [])
            return [b""]

        environ = {"wsgi.input": io.BytesIO()}
        setup_testing_defaults(environ)
        list(middleware(app, flags=flags, **options)(environ, lambda *_: None))
    return found[0]


def test_an_error_in_finding_out_is_counted_and_the_request_is_nobodys(door, flags):
    """A visitor nobody could name keeps a sticky id all the same, where there is one to keep."""
    middleware, _, _ = door
    before = counts().get("FlagsMiddleware context", 0)

    nobody = in_request(middleware, flags, current, context=lambda _: 1 / 0)
    no_context = in_request(middleware, flags, current, context=lambda _: object())
    sticky = in_request(middleware, flags, current, context=lambda _: 1 / 0, anonymous=SECRET)

    assert nobody == no_context == NOBODY
    assert len(sticky.key) == 22
    assert counts()["FlagsMiddleware context"] == before + 3


def test_what_finds_out_who_is_asking_may_ask_for_flags_as_nobody(door, flags):
    middleware, _, _ = door
    seen = []

    answer = in_request(
        middleware,
        flags,
        lambda: flags.is_enabled("half"),
        context=lambda _: seen.append(flags.evaluate("half", False).error_code) or "ann",
    )

    assert answer == flags.is_enabled("half", "ann")
    assert seen == ["TARGETING_KEY_MISSING"]


def test_a_visitors_request_goes_with_its_end(flags):
    """Without the collector: nothing that was made for it holds itself."""
    kept = []

    async def app(around, receive, send):
        flags.is_enabled("half")
        kept.append(weakref.ref(scope()))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    async def send(message):
        pass

    serving = asgi.FlagsMiddleware(app, flags=flags, anonymous=SECRET)({"type": "http", "headers": []}, None, send)
    gc.disable()
    try:
        with pytest.raises(StopIteration):
            copy_context().run(serving.send, None)
        assert kept[0]() is None
    finally:
        gc.enable()


def test_threads_that_ask_at_once_are_told_the_same(door, flags):
    """A new visitor has one id, however many threads were first; it is the one in the cookie."""
    middleware, _, _ = door

    def ask():
        together = threading.Barrier(8)
        keys = []

        def one():
            together.wait()
            keys.append(current().key)

        threads = [threading.Thread(target=copy_context().run, args=(one,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return keys, scope().context.key

    keys, own = in_request(middleware, flags, ask, anonymous=SECRET)

    assert set(keys) == {own}


def test_what_runs_on_after_the_request_is_nobodys(door, flags):
    """It finds out nothing any more, and the application is not asked about a request that is over."""
    middleware, _, _ = door
    asked = []

    here = in_request(middleware, flags, scope, context=asked.append)

    assert here.context is NOBODY
    assert asked == []


def test_a_stream_that_asks_too_late_gives_no_id_and_who_has_one_keeps_it(door, flags):
    """The head is out: a new visitor has no key for once, which is said in the log; nothing is drawn by lot."""
    middleware, pages, server = door

    with server(middleware(pages(flags), flags=flags, anonymous=SECRET)) as address, httpx.Client(base_url=address) as browser:
        late = browser.get("/streamed")
        key = browser.get("/key").text
        known = browser.get("/streamed")

    assert late.text == "first False"
    assert "set-cookie" not in late.headers
    assert known.text == f"first {flags.is_enabled('half', key)}"


def test_a_request_counts_for_whom_it_was_asked_about(door, flags):
    """By the ambient identity, or without finding it out by the context a flag was asked with; also in a thread."""
    middleware, _, _ = door
    told, asked = [], []
    flags.bus.listen(Served, told.append)

    def context(_):
        asked.append(1)
        return "ann"

    def in_thread():
        thread = threading.Thread(target=copy_context().run, args=(flags.is_enabled, "new-checkout"))
        thread.start()
        thread.join()

    in_request(middleware, flags, lambda: flags.is_enabled("new-checkout"), context=context)
    in_request(middleware, flags, in_thread, context=context)
    asked.clear()
    in_request(middleware, flags, lambda: flags.is_enabled("new-checkout", "bob"), context=context)

    assert [event.unit for event in told] == [b"ann", b"ann", b"bob"]
    assert asked == []


def test_a_task_takes_the_user_along(door, flags):
    middleware, _, _ = door

    header = in_request(middleware, flags, pack, context=lambda _: "ann")

    assert header == {"v": 1, "key": "ann"}


def test_a_bound_context_is_asked_before_the_requests(door, flags):
    middleware, _, _ = door
    asked = []

    def ask():
        with bind("bob"):
            return current().key, flags.is_enabled("half")

    assert in_request(middleware, flags, ask, context=asked.append) == ("bob", flags.is_enabled("half", "bob"))
    assert asked == []


def test_an_async_context_is_awaited_before_and_one_that_only_looks_plain_is_taken_if_it_need_not_wait(flags):
    """An evaluation cannot wait. `async def`, a callable object and a partial of one are seen to be async."""
    before = counts().get("FlagsMiddleware context", 0)

    async def waits(_):
        await asyncio.sleep(0)
        return "ann"

    class Asks:
        async def __call__(self, _):
            return await waits(_)

    async def at_once(_):
        return "bob"

    keys = [
        in_request(asgi.FlagsMiddleware, flags, current, context=context).key
        for context in (waits, Asks(), lambda _: at_once(_), lambda _: waits(_))
    ]

    assert keys == ["ann", "ann", "bob", None]
    assert counts()["FlagsMiddleware context"] == before + 1


def test_a_request_that_asks_nothing_allocates_no_more_than_one_that_is_told_who_asks():
    """The scope is one object either way; who is asking is not made unless it is needed."""
    made = []

    def take(here):
        made.append(here)
        return pf.Context("ann")

    here = begin(None, take=take)
    assert here.unit is None
    here.end()
    assert (made, here.context) == ([], NOBODY)

    here = begin(None, take=take)
    assert (here.context.key, here.context.key, here.unit, made) == ("ann", "ann", b"ann", [here])
    here.end()
    assert isinstance(here, Scope)


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ({}, {"vary": "Cookie", "cache-control": "private"}),
        ({"vary": "Accept"}, {"vary": "Accept, Cookie", "cache-control": "private"}),
        ({"vary": "accept, COOKIE"}, {"vary": "accept, COOKIE", "cache-control": "private"}),
        ({"vary": "*"}, {"vary": "*", "cache-control": "private"}),
        ({"cache-control": "no-store"}, {"vary": "Cookie", "cache-control": "no-store"}),
        ({"cache-control": "private, max-age=5"}, {"vary": "Cookie", "cache-control": "private, max-age=5"}),
        ({"cache-control": "public"}, {"vary": "Cookie", "cache-control": "private"}),
    ],
    ids=str,
)
def test_what_the_application_said_of_caching_is_kept(given, becomes):
    from progflags._identity import Found, head

    said = head(list(given.items()), Found(NOBODY, sticky=True, cookie="progflags_id=x"))

    assert {name.lower(): value for name, value in said if name != "Set-Cookie"} == becomes
    assert said[-1] == ("Set-Cookie", "progflags_id=x")
