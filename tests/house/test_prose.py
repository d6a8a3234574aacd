"""Every code block in the README and the documentation runs, and what users read is in their words."""

import ast
import contextlib
import gc
import importlib
import inspect
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from progflags._connect import Flags
from progflags.flags import set_default
from support.public import WHOLE, members, named

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(?P<language>[\w{}-]+)[^\n]*\n(?P<body>.*?)^```$", re.M | re.S)
NOT_CODE = {
    "text",
    "mermaid",
    "{toctree}",
    "{note}",
    "{warning}",
    "{glossary}",
    "{automodule}",
    "{autoclass}",
    "{autofunction}",
    "{eval-rst}",
    "json",
}


#: words of ours that nobody who uses the library knows; the page on how it is built explains its own
OURS = re.compile(r"\b(?:house|ppm)\b|\b(?:room|floor)s?\b", re.I)
BUILT = ROOT / "docs" / "explanation" / "architecture.md"


def blocks(page: Path):
    for match in BLOCK.finditer(page.read_text()):
        yield match["language"], match["body"], page.read_text()[: match.start()].count("\n") + 1


@pytest.mark.parametrize("page", [page for page in PAGES if page != BUILT], ids=lambda page: str(page.relative_to(ROOT)))
def test_this_page_has_its_readers_words(page):
    """Shares are percentages there, and parts have the names they are imported by."""
    said = [line for line in page.read_text().splitlines() if OURS.search(line)]

    assert not said


def test_every_page_is_found_from_the_first_once():
    """In an order somebody chose."""
    docs = ROOT / "docs"
    listed = re.findall(r"^[\w-]+/[\w-]+$", (docs / "index.md").read_text(), re.M)

    assert sorted(listed) == sorted(str(page.relative_to(docs).with_suffix("")) for page in docs.glob("*/*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_on_this_page_runs(page, tmp_path, monkeypatch):
    """
    Python blocks run in order, in one namespace and an empty folder.

    A TOML block whose first line is `# NAME` becomes that file. A console block's `$ progflags …` lines run and must
    succeed; its `$ make …` lines are the two commands that continuous integration runs anyway.
    """
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "page"}
    try:
        for language, body, line in blocks(page):
            if language == "python":
                code = compile("\n" * line + body, str(page), "exec")
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(code, namespace)
            elif language == "toml":
                name = re.match(r"# (\S+\.toml)\b", body)
                if name:
                    Path(name[1]).write_text(body)
            elif language == "console":
                for command in re.findall(r"^\$ (progflags .*)$", body, re.M):
                    result = subprocess.run(
                        [sys.executable, "-m", *shlex.split(command)],
                        capture_output=True,
                        text=True,
                        timeout=120,
                        env={**os.environ, "NO_COLOR": "1"},
                    )
                    assert result.returncode == 0, f"{page}:{line}: {command}\n{result.stdout}{result.stderr}"
            else:
                assert language in NOT_CODE, f"{page}:{line}: a {language} block runs nowhere; mark it text if it is an illustration"
    finally:
        set_default(None)  # a page may have made its client everybody's
        for value in namespace.values():
            close = getattr(value, "close", None)
            if callable(close) and type(value).__module__.startswith("progflags"):
                close()
        # Clients in a function's closure or a view's module too: a thread of theirs that first needs a module while another
        # test runs would change what Hypothesis draws from, which is what modules are there.
        for client in [value for value in gc.get_objects() if issubclass(type(value), Flags)]:
            client.close()


OURS = re.compile(r"\b(house|rooms?|floors?|doors?|hatch(es)?|ppm)\b", re.I)
"""How the package speaks of itself, and how it counts: of no use to who uses it. docs/explanation/architecture.md may."""


def said(lines):
    return [line.strip() for line in lines if OURS.search(line)]


def test_pages_are_in_the_users_words():
    assert {page.name: found for page in PAGES if page.name != "architecture.md" and (found := said(page.read_text().splitlines()))} == {}


def test_docstrings_of_public_names_are_in_the_users_words():
    texts = {name: importlib.import_module(name).__doc__ for name in WHOLE}
    for dotted, value in named():
        texts[dotted] = inspect.getdoc(value)
        if inspect.isclass(value):
            texts |= {f"{dotted}.{name}": inspect.getdoc(getattr(value, name)) for name, _ in members(value) if hasattr(value, name)}

    assert len(texts) > 500
    assert {name: found for name, text in texts.items() if (found := said((text or "").splitlines()))} == {}


def literals(source: str):
    """The texts of a module that are no docstring and no word alone: what it says to somebody."""
    tree = ast.parse(source)
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip() and id(node) not in silent:
            yield node.value


def test_messages_are_in_the_users_words():
    files = sorted((ROOT / "src").rglob("*.py"))

    assert len(files) > 300
    assert {str(file.relative_to(ROOT)): found for file in files if (found := said(literals(file.read_text())))} == {}
