"""Nobody looks or acts who was not let in; what a browser may do with the answers; what is refused, and how."""

import re

import pytest

import progflags as pf
from console.conftest import TOKENS, asking
from progflags._trouble import counts
from progflags.errors import ProgflagsError, StoreError

VIEWER, OPERATOR, APPROVER = TOKENS
OPEN = {("/login", "GET"), ("/login", "POST"), ("/static/{name}", "GET")}


def filled(path):
    return path.replace("{verb}", "rollback").replace("{name}", "console.css")


def test_it_is_not_made_without_saying_who_may(flags):
    with pytest.raises(ProgflagsError, match="auth= or token="):
        pf.console(flags)
    with pytest.raises(ProgflagsError, match="at least 16"):
        pf.console(flags, token="short")
    with pytest.raises(ProgflagsError, match="at least 16"):
        pf.console(flags, token={})


async def test_every_route_is_refused_without_credentials(app, flags):
    """All there are: a route that is added is in the list by itself."""
    before = flags.rollouts.status("checkout")
    async with asking(app) as nobody, asking(app, "wrong-0123456789abcdef") as wrong:
        for path, method in app.routes:
            for client in (nobody, wrong):
                answer = await client.request(method, filled(path), data={"flag": "checkout", "reason": "x"} if method == "POST" else None)
                if (path, method) in OPEN:
                    assert answer.status_code in (200, 403), path
                else:
                    assert answer.status_code in (401, 303, 429), (method, path, answer.text)
                    assert answer.status_code != 303 or answer.headers["location"] == "/login"
                assert "checkout" not in answer.text or path.startswith("/static")
    assert len(app.routes) > 20
    assert flags.rollouts.status("checkout") == before


async def test_no_get_changes_anything(app, flags):
    before = flags.changes()
    async with asking(app, APPROVER) as client:
        for path, _ in app.routes:
            await client.get(filled(path), params={"flag": "checkout", "reason": "x", "seen": "1.1."})

    assert flags.changes() == before


@pytest.mark.parametrize("path", ["/", "/rollout?flag=checkout", "/api/now", "/nothing", "/act/rollback", "/static/console.css", "/login"])
async def test_every_answer_ties_the_browsers_hands(app, path):
    async with asking(app, OPERATOR) as client:
        answer = await client.get(path)
    policy = answer.headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers
    assert not re.search(r"<script(?! src=)|<style|\son\w+=|\sstyle=", answer.text)


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "localhost:80@evil.example", "127.0.0.1.evil.example", "a b"]
)
async def test_another_host_is_refused(flags, host):
    """A name that was made to lead here is not one of ours, even where everybody may look."""
    async with asking(pf.console(flags, insecure=True)) as client:
        assert (await client.get("/", headers={"host": host})).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:80", "ops.example.com", "OPS.example.com:443"])
async def test_hosts_that_are_named_are_taken(flags, host):
    async with asking(pf.console(flags, insecure=True, hosts=("ops.example.com",))) as client:
        assert (await client.get("/", headers={"host": host})).status_code == 200


async def test_wrong_tokens_are_few_in_a_minute(flags, clock):
    """The eleventh is not looked at, nor is the right one; another address is not held up."""
    app = pf.console(flags, token=TOKENS)
    async with (
        asking(app, "guess-0123456789abcdef") as guesser,
        asking(app, VIEWER) as same,
        asking(app, VIEWER, client=("10.0.0.9", 1)) as other,
    ):
        codes = [(await guesser.get("/api/now")).status_code for _ in range(12)]
        held = await same.get("/api/now")
        free = await other.get("/api/now")
        clock.advance(61)
        later = await same.get("/api/now")

    assert codes == [401] * 10 + [429] * 2
    assert (held.status_code, free.status_code, later.status_code) == (429, 200, 200)
    assert int(held.headers["retry-after"]) > 50


async def signed_in(app, token=OPERATOR, **options):
    browser = asking(app, **options)
    form = re.search(r'name="csrf" value="(\w+)"', (await browser.get("/login")).text)[1]
    answer = await browser.post("/login", data={"token": token, "csrf": form})
    return browser, answer


async def test_a_browser_signs_in_once(app, clock):
    browser, answer = await signed_in(app)
    cookie = next(value for value in answer.headers.get_list("set-cookie") if value.startswith("progflags_session"))

    assert answer.status_code == 303
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert OPERATOR not in cookie
    assert "otto" in (await browser.get("/")).text

    clock.advance("13h")
    assert (await browser.get("/")).status_code == 303


async def test_a_session_that_was_touched_is_none(app, flags):
    browser, _ = await signed_in(app)
    good = browser.cookies["progflags_session"]
    for bad in (good[:-1] + ("0" if good[-1] != "0" else "1"), good[4:], "x", "", "é", good.replace(".", "..")):
        async with asking(app, headers={"cookie": f"progflags_session={bad}".encode()}) as forger:
            assert (await forger.get("/api/now")).status_code == 401
    other = pf.console(flags, token={"another-0123456789abcdef": pf.Viewer("otto", ("operator",))})
    async with asking(other, headers={"cookie": f"progflags_session={good}"}) as stranger:
        assert (await stranger.get("/api/now")).status_code == 401


async def rolled_back(browser, **changes):
    page = (await browser.get("/rollout?flag=checkout")).text
    form = {name: value for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)}
    return await browser.post("/act/rollback", data={**form, "reason": "it is bad", **changes.pop("form", {})}, **changes)


async def test_a_form_of_ours_acts_in_the_name_of_who_signed_in(app, flags):
    browser, _ = await signed_in(app)
    answer = await rolled_back(browser)

    assert (answer.status_code, answer.headers["location"]) == (303, "/rollout?flag=checkout")
    assert flags.rollouts.history("checkout")[-1].actor in ("otto", "controller")
    assert [(step.actor, step.reason) for step in flags.rollouts.history("checkout") if step.target == "rolling_back"] == [
        ("otto", "it is bad")
    ]


@pytest.mark.parametrize(
    "forged",
    [
        {"form": {"csrf": ""}},
        {"form": {"csrf": "0" * 64}},
        {"headers": {"origin": "http://evil.example"}},
        {"headers": {"origin": "null"}},
        {"headers": {"sec-fetch-site": "cross-site"}},
        {"headers": {"sec-fetch-site": "same-site"}},
    ],
)
async def test_a_form_of_anybody_elses_does_nothing(app, flags, forged):
    browser, _ = await signed_in(app)
    answer = await rolled_back(browser, **forged)

    assert answer.status_code == 403
    assert flags.rollouts.status("checkout").state == "ramping"


async def test_a_form_made_for_one_is_not_anothers(app, flags):
    """Two people at one browser: the second does not send what was made for the first."""
    browser, _ = await signed_in(app)
    form = re.search(r'name="csrf" value="(\w+)"', (await browser.get("/")).text)[1]
    page = (await browser.get("/login")).text
    await browser.post("/login", data={"token": APPROVER, "csrf": re.search(r'name="csrf" value="(\w+)"', page)[1]})

    assert (await browser.post("/act/kill", data={"flag": "banner", "reason": "x", "csrf": form})).status_code == 403


async def test_a_hook_says_who_it_is(flags):
    async def auth(asked):
        return pf.Viewer(asked.headers["x-name"], ("operator",)) if "x-name" in asked.headers else None

    app = pf.console(flags, auth=auth)
    async with asking(app) as nobody, asking(app, headers={"x-name": "ida"}) as ida:
        assert (await nobody.get("/")).status_code == 401
        assert "ida" in (await ida.get("/")).text
        assert (await ida.post("/api/act/kill", json={"flag": "banner", "reason": "x"})).status_code == 403  # no program's token, no form


@pytest.mark.parametrize("broken", [lambda asked: 1 / 0, lambda asked: "ida", lambda asked: True])
async def test_a_hook_that_fails_lets_nobody_in(flags, broken):
    async with asking(pf.console(flags, auth=broken)) as client:
        assert (await client.get("/")).status_code == 401


async def test_a_proxys_header_is_believed_from_the_proxy_only(flags):
    auth = pf.Viewer.from_header("X-Auth-User", addresses=["10.1.0.0/16", "::1"], roles={"ida": ["operator"]}, others=["viewer"])
    app = pf.console(flags, auth=auth)

    async def seen(address, name):
        async with asking(app, client=(address, 1), headers={"x-auth-user": name}) as client:
            return (await client.get("/api/now")).status_code

    assert await seen("10.1.2.3", "ida") == 200
    assert await seen("10.1.2.3", "nobody-we-know") == 200
    assert await seen("10.2.2.3", "ida") == 401
    assert await seen("::ffff:10.1.2.3", "ida") == 200
    assert await seen("testclient", "ida") == 401
    assert await seen("10.1.2.3", "") == 401


def test_a_proxy_has_an_address():
    with pytest.raises(ValueError, match="addresses="):
        pf.Viewer.from_header("x", addresses=[], roles={})
    with pytest.raises(ValueError):
        pf.Viewer.from_header("x", addresses=["proxy.example"], roles={})
    with pytest.raises(ValueError):
        pf.Viewer("ida", ["king"])


async def test_a_body_that_is_too_large_is_not_read(app):
    async with asking(app, OPERATOR) as client:
        assert (await client.post("/api/act/kill", content=b"x" * 70_000)).status_code == 413
        assert (await client.post("/api/act/kill", content=b"\xff\xfe")).status_code == 400
        assert (await client.post("/api/act/kill", content=b"[]", headers={"content-type": "application/json"})).status_code == 400
        assert (await client.post("/api/act/kill", content=b"[" * 60_000, headers={"content-type": "application/json"})).status_code == 400


async def test_what_goes_wrong_inside_is_answered_counted_and_logged_once(app, flags, monkeypatch, caplog):
    """The application it is mounted in sees an answer, and no exception; a fault that comes again fills neither log nor memory."""

    def broken(*_, **__):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(flags, "status", broken)
    before = counts()
    async with asking(app, VIEWER) as client:
        answers = [await client.get("/fleet") for _ in range(5)]

    assert {answer.status_code for answer in answers} == {500}
    assert "secret" not in answers[0].text
    assert "a ZeroDivisionError of the console" in answers[0].text
    assert {name: n - before.get(name, 0) for name, n in counts().items() if n != before.get(name, 0)} == {"console": 5}
    assert [record.message for record in caplog.records if "ZeroDivisionError" in record.message] == [
        "console: ZeroDivisionError: secret detail"
    ]


async def test_a_store_out_of_reach_is_said_and_no_more(app, flags, monkeypatch):
    def away(*_, **__):
        raise StoreError("away")

    monkeypatch.setattr(flags.rollouts, "dark_launches", away)
    async with asking(app, VIEWER) as client:
        now, launches = await client.get("/api/now"), await client.get("/dark-launches")

    assert (now.status_code, now.json()["troubles"][0]["kind"]) == (200, "store")
    assert launches.status_code == 503
