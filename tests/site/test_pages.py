"""Every page of the built site, as search engines, small screens, slow connections and browsers without scripts have it."""

import re

LIGHT = 700_000  # bytes of a page with all that it loads: the heaviest has two of the console's pictures


def looked(site, pages, tab, what):
    """What a script says of each page, where it says anything."""
    found = {}
    for page in pages:
        tab.goto((site / f"{page}.html").as_uri())
        if said := tab.evaluate(what):
            found[page] = said
    return found


HEAD = """() => {
    const wrong = [], one = (css) => document.querySelectorAll(css).length === 1
    if (!/^[a-z]{2}/.test(document.documentElement.lang)) wrong.push('no language')
    if (document.title.trim().length < 8) wrong.push('no title')
    if (!one('h1')) wrong.push('not one h1')
    if (!document.querySelector('meta[name=viewport]')) wrong.push('no viewport')
    const said = document.querySelector('meta[name=description]')?.content ?? ''
    if (said.length < 30 || said.length > 320) wrong.push(`a description of ${said.length} characters`)
    for (const image of document.querySelectorAll('article img')) {
        if (!image.alt) wrong.push(`no alt: ${image.src}`)
        if (!image.getAttribute('width') || !image.getAttribute('height')) wrong.push(`no size: ${image.src}`)
        if (!image.complete || image.naturalWidth === 0) wrong.push(`not there: ${image.src}`)
    }
    return wrong.length ? wrong : null
}"""


def test_every_page_has_a_head_and_sized_pictures(site, pages, shown):
    """A language, a title, a description, one heading of the first level; pictures with words, and room kept for them."""
    assert looked(site, pages, shown, HEAD) == {}


def test_titles_and_descriptions_tell_pages_apart(site, pages):
    for pattern in (r"<title>(.*?)</title>", r'<meta content="([^"]*)" name="description"'):
        said = [re.search(pattern, (site / f"{page}.html").read_text(), re.S)[1] for page in pages]

        assert len(set(said)) == len(pages), [each for each in said if said.count(each) > 1]


def test_pages_open_without_an_error_and_are_light(site, pages, browser):
    """Nothing in the browser's console, nothing from elsewhere, and no page that takes long on a telephone."""
    tab, trouble, asked = browser.new_page(), [], []
    tab.on("console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    wrong = {}
    for page in pages:
        trouble.clear(), asked.clear()
        tab.goto((site / f"{page}.html").as_uri(), wait_until="load")
        files = {url.partition("#")[0].partition("?")[0] for url in asked}
        foreign = sorted(url for url in files if not url.startswith(("file:", "data:")))
        weight = sum((site / url.partition(f"{site.as_uri()}/")[2]).stat().st_size for url in files if url.startswith("file:"))
        if trouble or foreign or weight > LIGHT:
            wrong[page] = [*trouble, *foreign, weight]

    assert wrong == {}


SIDEWAYS = "document.documentElement.scrollWidth > 360 ? document.documentElement.scrollWidth : null"


def test_nothing_is_scrolled_sideways_on_a_telephone(site, pages, browser):
    """At 360 px. A wide table or block scrolls in itself."""
    tab = browser.new_page(viewport={"width": 360, "height": 740})

    assert looked(site, pages, tab, SIDEWAYS) == {}


UNSCRIPTED = """() => {
    const seen = (css) => document.querySelector(css)?.checkVisibility?.() ?? false
    return seen('article h1') && seen('.sidebar-tree a') ? null : 'not seen'
}"""


def test_pages_are_read_without_javascript(site, pages, browser):
    """The text, and the way to the others."""
    tab = browser.new_context(java_script_enabled=False, viewport={"width": 1250, "height": 900}).new_page()
    for page in pages:
        tab.goto((site / f"{page}.html").as_uri())

        assert tab.locator("article h1").is_visible(), page
        assert tab.locator(".sidebar-tree a").first.is_visible(), page
        assert len(tab.locator("article").inner_text()) > 300, page


PAPER = "getComputedStyle(document.body).backgroundColor"


def test_there_is_a_day_and_a_night(site, browser):
    """By what the reader's system says."""
    tab, found = browser.new_page(), {}
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        tab.goto((site / "index.html").as_uri())
        found[scheme] = sum(map(int, re.findall(r"\d+", tab.evaluate(PAPER))[:3]))

    assert found["light"] > 600
    assert found["dark"] < 200
