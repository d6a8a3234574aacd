"""In a real browser: no text is ever a script, everything is reachable and readable, and nothing needs JavaScript."""

import itertools
import json
from pathlib import Path

import axe_core_python
import pytest

import progflags as pf
from progflags.testing import ManualClock
from support.browser import browsing, served
from support.patience import until
from support.sizes import size

AXE = Path(axe_core_python.__file__).with_name("axe.min.js").read_text()
SCRIPTS = (
    "<script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    '"><svg onload=window.hit=1>',
    "' autofocus onfocus=window.hit=1 x='",
    "javascript:window.hit=1",
    "</textarea><script>window.hit=1</script>",
    "</title></style><script>window.hit=1</script>",
    "<iframe srcdoc='<script>parent.hit=1</script>'>",
    "{{ 7 * 7 }}{% raw %}<b id=new>",
    "<a href='javascript:window.hit=1' id=new>x</a>",
    "<details open ontoggle=window.hit=1>",
    "&lt;script&gt;window.hit=1&lt;/script&gt;<math><mtext></mtext><script>window.hit=1</script>",
    "<form action=//evil.example id=new><button>x",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "\u202e<script>window.hit=2</script>\u2028",
    "]]><script>window.hit=1</script><!--",
    "<style>@import '//evil.example'</style>",
    "\x00<script>window.hit=3</script>",
    "<object data='data:text/html,<script>parent.hit=1</script>'>",
)
AROUND = ("{}", "'{}", '"{}', "-->{}", "`{}`", "\\{}", "{}\n{}", "é{}", "</td></tr></table>{}", "x" * 150 + "{}")


def strings(count):
    return [around.replace("{}", script) for around, script in itertools.islice(itertools.product(AROUND, SCRIPTS), count)]


@pytest.fixture(scope="module")
def browser():
    with browsing() as found:
        yield found


@pytest.fixture
def context(browser):
    made = browser.new_context()
    yield made
    made.close()


def name(text):
    """As much of it as a name may have."""
    return "".join(c for c in text if c.isprintable()).strip()[:240]


def hostile(texts):
    """Every text that a file, a person or a process may choose, chosen badly."""
    named = {name(text) for text in texts}
    flags = {
        key: {
            "owner": key,
            "tags": [key],
            "description": key,
            "ticket": key,
            "variants": {"off": key, key: key},
            "default": "off",
            "safe": "off",
            "rules": [{"name": key, "when": f"country == {json.dumps(key)}", "serve": key}],
        }
        for key in named
    }
    rolled = {f"roll {key}": {"owner": key, "description": key, "rollout": {"profile": "standard"}} for key in named}
    return {"flags": {**flags, **rolled, "shadowed": {"percent": 100}}}


@pytest.mark.sized
def test_no_text_is_ever_a_script(context):
    """In every field that somebody fills, on every page: nothing runs, and nothing is there that we did not write."""
    texts = strings(size(len(SCRIPTS), full=200))
    with pf.connect(hostile(texts), clock=ManualClock(1_800_000_000.0)) as flags:

        def seen(text):
            return {text: "new"} if len(text) % 2 else 1 / 0

        launched = pf.dark_launch("shadowed", candidate=seen, flags=flags, executor="inline")(lambda text: {text: text})
        for text in texts:
            flags.rollouts.start(f"roll {name(text)}", by=text, reason=text)
            flags.rollouts.rollback(f"roll {name(text)}", by="eve", reason=text)
            flags.kill(name(text), reason=text, by=text)
            launched(text)
        flags.rollouts.publish(at_once=True)
        app = pf.console(flags, auth=lambda asked: pf.Viewer(texts[0], ("operator", "approver")))
        with served(app) as url:
            page = context.new_page()
            met = []
            page.on("dialog", lambda dialog: met.append(f"dialog {dialog.message}") or dialog.dismiss())
            page.on("request", lambda request: None if request.url.startswith((url, "data:")) else met.append(request.url))

            def look(path, **query):
                from urllib.parse import urlencode

                page.goto(f"{url}/{path}?{urlencode(query)}")
                found = page.evaluate(
                    """() => ({hit: window.hit, moved: location.host,
                    elements: [...document.querySelectorAll('script:not([src$="/console.js"]),style,iframe,img,object,embed,base,math,#new,meta[http-equiv]')].map(e => e.outerHTML),
                    handlers: [...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames().filter(a => a.startsWith('on') || a === 'style' || ['href', 'src', 'action'].includes(a) && e.getAttribute(a).trim().toLowerCase().startsWith('javascript:')))})"""
                )
                assert not found.get("hit"), (path, query)
                assert found["elements"] == [], (path, query)
                assert found["handlers"] == [], (path, query)

            look("")
            look("changes")
            look("dark-launches")
            look("fleet")
            for text in texts:
                look("flags", q=text, kind=text, page=text)
                look("flag", flag=name(text), key=text, attributes=text)
                look("flag", flag=name(text), at=text)
                look("rollout", flag=f"roll {name(text)}")
                look("changes", flag=name(text), person=text, since=text)
                look("dark-launch", flag="shadowed", page=text)
            assert met == []


@pytest.fixture
def busy(fallen):
    shadowed = pf.dark_launch("banner", candidate=lambda n: {"total": n + n % 3}, flags=fallen, executor="inline")(lambda n: {"total": n})
    for n in range(40):
        with fallen.override({"banner": "on"}):
            shadowed(n)
    fallen.rollouts.publish(at_once=True)
    fallen.kill("banner", by="bob", reason="it flickers")
    return fallen


PAGES = (
    "/",
    "/rollout?flag=checkout",
    "/flags",
    "/flag?flag=colour",
    "/changes",
    "/dark-launches",
    "/dark-launch?flag=banner",
    "/fleet",
    "/rollout?flag=nothing",
)


@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1200)])
def test_everybody_can_read_and_reach_it(browser, busy, scheme, width):
    """What axe finds: contrast, labels, names, order. And nothing is wider than the screen."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    with served(pf.console(busy, token="a-token-0123456789")) as url:
        page = context.new_page()
        page.goto(url)
        wrong = violations(page, "/login")
        page.fill("[name=token]", "a-token-0123456789")
        page.click("button")
        for path in PAGES:
            page.goto(url + path)
            for one in page.query_selector_all("details"):
                one.evaluate("one => one.open = true")
            wrong += violations(page, path)
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            wrong += [f"{path}: {wide} px wider than the screen"] if wide > 0 else []
    context.close()

    assert wrong == []


def violations(page, path):
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{path}: {one['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for one in found["violations"]
        for node in one["nodes"][:3]
    ]


def test_without_javascript_everything_can_be_done(browser, busy):
    context = browser.new_context(java_script_enabled=False)
    with served(pf.console(busy, token={"a-token-0123456789": pf.Viewer("otto", ("operator",))})) as url:
        page = context.new_page()
        page.goto(url)
        page.fill("[name=token]", "a-token-0123456789")
        page.click("button")
        page.click("nav a:has-text('Flags')")
        page.fill("[name=q]", "banner")
        page.click("main button:has-text('Search')")
        page.click("main a:has-text('banner')")
        page.click("summary:has-text('Take the kill back')")
        page.fill("details [name=reason]", "it is mended")
        page.click("details button")
        page.wait_for_load_state()
        assert busy.live("banner").killed is None
        page.fill("[name=key]", "user-7")
        page.click("button:has-text('Explain')")
        assert "bucket" in page.inner_text(".answer")
    context.close()


def test_a_page_follows_what_happens(context, busy):
    """Without a reload, without the page jumping; and the buttons are those that are possible by then."""
    with served(pf.console(busy, insecure=True)) as url:
        page = context.new_page()
        page.goto(f"{url}/rollout?flag=search")
        assert page.locator("summary:has-text('Start')").count() == 1
        page.evaluate(
            "new PerformanceObserver(list => { window.shifted = (window.shifted || 0) + list.getEntries().reduce((sum, one) => sum + one.value, 0) })"
            ".observe({type: 'layout-shift', buffered: true})"
        )
        busy.rollouts.start("search", by="ann", reason="go")
        busy.rollouts.tick()
        page.locator(".pill:has-text('awaiting approval')").wait_for(timeout=60_000)
        page.locator("summary:has-text('Approve')").wait_for(timeout=60_000)
        assert page.locator("summary:has-text('Start')").count() == 0

        other = context.new_page()
        other.goto(url)
        before = other.evaluate("document.querySelector('.rollouts').getBoundingClientRect().top")
        other.evaluate(
            "new PerformanceObserver(list => { window.shifted = (window.shifted || 0) + list.getEntries().reduce((sum, one) => sum + one.value, 0) })"
            ".observe({type: 'layout-shift', buffered: false})"
        )
        busy.rollouts.pause("search", by="bob", reason="lunch")
        other.locator(".pill:has-text('paused')").wait_for(timeout=60_000)
        assert other.evaluate("document.querySelector('.rollouts').getBoundingClientRect().top") == before
        assert (other.evaluate("window.shifted") or 0) < 0.01
        until(lambda: other.inner_text("#live") == "live")
