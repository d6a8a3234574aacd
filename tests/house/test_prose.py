"""Every code block in the README and the documentation runs."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

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


def blocks(page: Path):
    for match in BLOCK.finditer(page.read_text()):
        yield match["language"], match["body"], page.read_text()[: match.start()].count("\n") + 1


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
        for value in namespace.values():
            close = getattr(value, "close", None)
            if callable(close) and type(value).__module__.startswith("progflags"):
                close()
