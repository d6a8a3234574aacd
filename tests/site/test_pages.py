"""Every page of the built site, as search engines, small screens, slow connections and browsers without scripts have it."""

import re

LIGHT = 700_000  # bytes of a page with all that it loads: the heaviest has two of the console's pictures


def said(visited, what):
    return {page: told[what] for page, told in visited.items() if told[what]}


def test_every_page_has_a_head_and_sized_pictures(visited):
    """A language, a title, a description, one heading of the first level; pictures with words, and room kept for them."""
    assert said(visited, "head") == {}


def test_titles_and_descriptions_tell_pages_apart(site, pages):
    for pattern in (r"<title>(.*?)</title>", r'<meta content="([^"]*)" name="description"'):
        said = [re.search(pattern, (site / f"{page}.html").read_text(), re.S)[1] for page in pages]

        assert len(set(said)) == len(pages), [each for each in said if said.count(each) > 1]


def test_pages_open_without_an_error_and_are_light(site, visited):
    """Nothing in the browser's console, nothing from elsewhere, and no page that takes long on a telephone."""
    wrong = {}
    for page, told in visited.items():
        files = {url.partition("#")[0].partition("?")[0] for url in told["asked"]}
        foreign = sorted(url for url in files if not url.startswith(("file:", "data:")))
        weight = sum((site / url.partition(f"{site.as_uri()}/")[2]).stat().st_size for url in files if url.startswith("file:"))
        if told["trouble"] or foreign or weight > LIGHT:
            wrong[page] = [*told["trouble"], *foreign, weight]

    assert wrong == {}


def test_nothing_is_scrolled_sideways_on_a_telephone(visited):
    """At 360 px. A wide table or block scrolls in itself."""
    assert said(visited, "sideways") == {}


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
