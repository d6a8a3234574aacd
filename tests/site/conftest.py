"""The site, built once, and a browser to look at it with."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.browser import browsing

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder it is in, one for all workers of a run. A warning of the build is an error."""
    pytest.importorskip("furo", reason="the documentation's tools are not installed: make .venv/.tests installs them")
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with (folder / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "site").exists():
            build(folder / "half")
            (folder / "half").rename(folder / "site")
    return folder / "site"


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
    return browser.new_page(viewport={"width": 1250, "height": 900})
