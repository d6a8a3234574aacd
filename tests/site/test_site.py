"""The built site: no warning, no dead link, a search that finds, code that is read without scrolling, nothing that axe objects to."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import axe_core_python
import pytest

THEMES = ("landmark-unique", "region")  # of its own two sidebars and three buttons; not ours to mend
AXE = Path(axe_core_python.__file__).with_name("axe.min.js").read_text()


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.to, self.names = [], set()

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.names |= {named[key] for key in ("id", "name") if key in named}
        self.to += [named[key] for key in ("href", "src") if named.get(key)]


def test_every_link_leads_somewhere(site, pages):
    """Within the site: the file is there, and so is the anchor."""
    read = {}
    for page in site.rglob("*.html"):
        read[page] = Links()
        read[page].feed(page.read_text())
    dead = []
    for page in pages:
        here = site / f"{page}.html"
        for link in read[here].to:
            if re.match(r"[a-z]+:|//|#?$", link):
                continue
            path, anchor = urldefrag(unquote(link))
            there = (here.parent / path.split("?")[0]).resolve() if path else here
            if not there.exists() or (anchor and there in read and anchor not in read[there].names):
                dead.append(f"{page}: {link}")

    assert dead == []


@pytest.mark.parametrize(("words", "page"), [("rollback", "tutorial/bad-release"), ("kill", "how-to/kill-switch"), ("Mann-Whitney", None)])
def test_search_finds(site, words, page):
    index = json.loads((site / "searchindex.js").read_text().removeprefix("Search.setIndex(").removesuffix(")"))
    found = []
    for word in re.findall(r"\w+", words.lower()):
        hits = index["terms"].get(word, index["titleterms"].get(word, []))
        found.append({index["docnames"][hit] for hit in ([hits] if isinstance(hits, int) else hits)})
    together = set.intersection(*found)

    assert together if page is None else page in together


def test_llms_txt_names_every_page(site, pages):
    said = (site / "llms.txt").read_text()

    assert [page for page in pages if page != "index" and f"({page}.html): " not in said] == []


def test_the_reference_shows_what_it_names(site, pages):
    """A class that is public under another name than its own is no mere alias."""
    assert [page for page in pages if "alias of" in (site / f"{page}.html").read_text()] == []


def test_code_is_read_without_scrolling(visited):
    wide = {page: [max(text.splitlines(), key=len) for text in told["code"]] for page, told in visited.items() if told["code"]}

    assert wide == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["index", "tutorial/first-flag", "how-to/console", "reference/rollout-states", "reference/flag-file"])
def test_axe_objects_to_nothing(site, shown, page, scheme):
    """One page of each kind, by day and by night: the theme is the same for all."""
    shown.emulate_media(color_scheme=scheme)
    shown.goto((site / f"{page}.html").as_uri())
    shown.evaluate(AXE)
    objections = shown.evaluate("rules => axe.run({rules})", {rule: {"enabled": False} for rule in THEMES})["violations"]

    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in objections] == []
