"""The sticky anonymous id: the same browser keeps its buckets, and nobody can choose them."""

import asyncio
import io
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

import progflags as pf
from progflags import asgi, wsgi
from progflags.asgi import AnonymousId
from progflags.context import scope
from support.clients import rolling
from support.web import uvicorn_server, wsgi_server

SECRET = "a-secret-that-is-long-enough"


def asgi_shop(**options):
    async def view(request):
        response = JSONResponse({"key": scope().context.key, "plan": scope().context.attributes.get("plan")})
        response.set_cookie("session", "s1")
        return response

    return asgi.FlagsMiddleware(Starlette(routes=[Route("/", view)]), flags=rolling(), **options)


def wsgi_shop(**options):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "application/json"), ("Set-Cookie", "session=s1")])
        key, plan = scope().context.key, scope().context.attributes.get("plan")
        return [(f'{{"key": "{key}", "plan": {"null" if plan is None else chr(34) + plan + chr(34)}}}').encode()]

    return validator(wsgi.FlagsMiddleware(validator(app), flags=rolling(), **options))


DOORS = {"asgi": (asgi_shop, uvicorn_server), "wsgi": (wsgi_shop, wsgi_server)}


@pytest.mark.parametrize("door", DOORS)
def test_a_browser_keeps_its_id_and_another_gets_another(door):
    """Given once, sent back, believed, not given again; the application's own cookie is still there."""
    shop, server = DOORS[door]

    with server(shop(anonymous=SECRET)) as address:
        with httpx.Client(base_url=address) as one, httpx.Client(base_url=address) as other:
            first, second, stranger = one.get("/"), one.get("/"), other.get("/")

    assert first.json()["key"] == second.json()["key"] != stranger.json()["key"]
    assert [cookie.split("=")[0] for cookie in first.headers.get_list("set-cookie")] == ["session", "progflags_id"]
    assert [cookie.split("=")[0] for cookie in second.headers.get_list("set-cookie")] == ["session"]
    assert "HttpOnly" in first.headers.get_list("set-cookie")[1]


@pytest.mark.parametrize("door", DOORS)
def test_who_has_a_key_gets_no_cookie_and_who_has_only_attributes_keeps_them(door):
    shop, server = DOORS[door]

    with server(shop(anonymous=SECRET, context=lambda _: "ann")) as address:
        signed_in = httpx.get(address)
    with server(shop(anonymous=SECRET, context=lambda _: pf.Context(None, {"plan": "pro"}))) as address:
        visitor = httpx.get(address)

    assert signed_in.json()["key"] == "ann"
    assert "progflags_id" not in str(signed_in.headers)
    assert len(visitor.json()["key"]) == 22
    assert visitor.json()["plan"] == "pro"


@given(st.text(max_size=60))
def test_no_cookie_but_a_signed_one_is_believed(text):
    """Whatever a client sends, it does not get to choose its id."""
    anonymous = AnonymousId(SECRET)

    context, cookie = anonymous.identify(None, f"a=b; progflags_id={text}; c=d", https=True)

    assert cookie is not None
    assert context.key != text.partition(".")[0]


@given(st.integers(0, 200), st.sampled_from("abcXYZ019_-."))
def test_changing_one_letter_of_the_cookie_makes_a_stranger(place, letter):
    """Neither the id nor its signature can be edited."""
    anonymous = AnonymousId(SECRET)
    context, cookie = anonymous.identify(None, "", https=False)
    value = cookie.split(";")[0].partition("=")[2]
    place %= len(value)
    edited = value[:place] + letter + value[place + 1 :]

    again, _ = anonymous.identify(None, f"progflags_id={edited}", https=False)

    # The last letter of base64 carries unused bits, but the signature is compared as text: another letter is another text.
    assert (again.key == context.key) is (edited == value)


def test_another_secret_does_not_read_it_and_a_rotated_one_renews_it():
    """The old secret is still believed behind the new one, and the cookie comes back signed with the new one."""
    first, cookie = AnonymousId(SECRET).identify(None, "", https=False)
    sent = cookie.split(";")[0]
    new = "another-secret-of-good-length"

    stranger, _ = AnonymousId(new).identify(None, sent, https=False)
    same, renewed = AnonymousId([new, SECRET]).identify(None, sent, https=False)
    settled, nothing = AnonymousId([new, SECRET]).identify(None, renewed.split(";")[0], https=False)

    assert stranger.key != first.key == same.key == settled.key
    assert nothing is None


def test_the_right_one_of_several_cookies_is_found():
    """A browser may hold a stale one for another path; the signed one counts, quoted or not."""
    first, cookie = AnonymousId(SECRET).identify(None, "", https=False)
    good = cookie.split(";")[0].partition("=")[2]

    again, nothing = AnonymousId(SECRET).identify(None, f'progflags_id=stale; x=1; progflags_id="{good}"', https=False)

    assert (again.key, nothing) == (first.key, None)


def test_https_and_options_shape_the_cookie():
    https = AnonymousId(SECRET).identify(None, "", https=True)[1]
    http = AnonymousId(SECRET).identify(None, "", https=False)[1]
    own = AnonymousId(SECRET, cookie="visitor", max_age=60, path="/shop", domain="example.com", secure=True, same_site="Strict")

    assert https.endswith("; HttpOnly; Secure")
    assert "Secure" not in http
    shaped = own.identify(None, "", https=False)[1]
    assert shaped.startswith("visitor=")
    assert shaped.endswith("; Max-Age=60; Path=/shop; Domain=example.com; SameSite=Strict; HttpOnly; Secure")


@pytest.mark.parametrize(
    "wrong",
    [{"secret": "short"}, {"secret": []}, {"cookie": "a b"}, {"cookie": ""}, {"path": "/; Domain=evil"}, {"domain": "a\r\nSet-Cookie: x"}],
    ids=str,
)
def test_what_could_be_guessed_or_would_break_the_header_is_refused(wrong):
    options = {"secret": SECRET} | wrong

    with pytest.raises(ValueError):
        AnonymousId(options.pop("secret"), **options)


def test_a_websocket_gets_its_cookie_with_the_handshake():
    sent = []

    async def app(scope_, receive, send):
        await send({"type": "websocket.accept"})

    async def send(message):
        sent.append(message)

    middleware = asgi.FlagsMiddleware(app, flags=rolling(), anonymous=SECRET)
    asyncio.run(middleware({"type": "websocket", "headers": [], "scheme": "wss", "path": "/"}, None, send))

    assert [name for name, _ in sent[0]["headers"]] == [b"set-cookie"]
    assert sent[0]["headers"][0][1].endswith(b"Secure")


def test_an_error_page_started_twice_still_carries_the_cookie():
    """PEP 3333 lets an application start over with exc_info; the headers are then new ones, the cookie among them."""
    import sys

    def app(environ, start_response):
        start_response("200 OK", [])
        scope().context  # noqa: B018 - the id is needed
        try:
            raise ValueError
        except ValueError:
            start_response("500 Internal Server Error", [], sys.exc_info())
        return [b""]

    environ, started = {"wsgi.input": io.BytesIO()}, []
    setup_testing_defaults(environ)
    wsgi.FlagsMiddleware(app, flags=rolling(), anonymous=SECRET)(environ, lambda *given: started.append(given))

    ((status, headers, error),) = started
    assert (status, error[0]) == ("500 Internal Server Error", ValueError)
    assert [name for name, _ in headers] == ["Vary", "Cache-Control", "Set-Cookie"]
