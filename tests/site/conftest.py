"""The site, built once, and a browser to look at it with."""

import fcntl
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.browser import browsing

ROOT = Path(__file__).parents[2]
DESK, TELEPHONE = {"width": 1250, "height": 900}, {"width": 360, "height": 740}

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
CODE = "[...document.querySelectorAll('pre')].filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)"
SIDEWAYS = "document.documentElement.scrollWidth > 360 ? document.documentElement.scrollWidth : null"


@pytest.fixture(scope="session")
def common(tmp_path_factory):
    """A folder of all workers of a run."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@contextmanager
def first(made):
    """Whether it is for this worker to make it; the others wait meanwhile."""
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not made.exists()


@pytest.fixture(scope="session")
def site(common):
    """The folder it is in, one for all workers of a run. A warning of the build is an error."""
    pytest.importorskip("furo", reason="the documentation's tools are not installed: make .venv/.tests installs them")
    with first(common / "site") as mine:
        if mine:
            build(common / "half")
            (common / "half").rename(common / "site")
    return common / "site"


def build(out):
    words = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", ROOT / "docs", out]
    built = subprocess.run(words, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr


@pytest.fixture(scope="session")
def pages():
    """Those that somebody wrote, by name."""
    return [str(page.relative_to(ROOT / "docs").with_suffix("")) for page in sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="module")
def browser():
    with browsing() as found:
        yield found


@pytest.fixture(scope="module")
def shown(browser):
    """A page of a browser, 1,250 px wide."""
    return browser.new_page(viewport=DESK)


@pytest.fixture(scope="module")
def visited(site, pages, browser, common):
    """What a browser says of each page, which it opens once for all that is asked of it: see `visit`."""
    with first(common / "visited.json") as mine:
        if mine:
            (common / "half.json").write_text(json.dumps(visit(site, pages, browser)))
            (common / "half.json").rename(common / "visited.json")
    return json.loads((common / "visited.json").read_text())


def visit(site, pages, browser):
    """By page: what the scripts below say at a desk and on a telephone, what it `asked` for, and the `trouble` it had."""
    tab, trouble, asked, said = browser.new_page(viewport=DESK), [], [], {}
    tab.on("console", lambda message: trouble.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    for page in pages:
        trouble.clear(), asked.clear()
        tab.goto((site / f"{page}.html").as_uri(), wait_until="load")
        said[page] = {"head": tab.evaluate(HEAD), "code": tab.evaluate(CODE), "asked": list(asked)}
        tab.set_viewport_size(TELEPHONE)
        said[page] |= {"sideways": tab.evaluate(SIDEWAYS), "trouble": list(trouble)}
        tab.set_viewport_size(DESK)
    tab.close()
    return said
