"""Words that are known to be written wrongly: in the pages, in what stands beside them, and in the docstrings that the reference is made of."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("codespell_lib", reason="codespell is not installed: make .venv/.tests installs it")
ROOT = Path(__file__).parents[2]
READ = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "src", "examples")


def misspelled(*paths):
    """What codespell finds, by the words that pyproject.toml allows."""
    return subprocess.run([sys.executable, "-m", "codespell_lib", *paths], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()


def test_words_are_written_as_they_are():
    assert misspelled(*READ) == []


def test_a_word_that_is_not_is_found(tmp_path):
    """The check is one."""
    (tmp_path / "page.md").write_text("How to recieve a verdict")

    assert misspelled(tmp_path) == [f"{tmp_path}/page.md:1: recieve ==> receive"]
