"""The version stands in three places, and is one."""

import re
import tomllib
from pathlib import Path

import progflags

ROOT = Path(__file__).parents[2]


def test_package_project_and_citation_name_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    (cited,) = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M)

    assert progflags.__version__ == project == cited
