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


def test_what_the_front_page_says_in_a_line_is_what_the_project_says():
    """No badge that asks a service: each word is one of the package's own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = [one.rpartition(" ")[2] for one in project["classifiers"] if re.fullmatch(r".*Python :: 3\.\d+", one)]
    (status,) = [one.rpartition(" ")[2].lower() for one in project["classifiers"] if one.startswith("Development Status")]
    assert "Typing :: Typed" in project["classifiers"]
    assert Path(progflags.__file__).with_name("py.typed").exists()

    assert f"\n`{project['license']}` · `Python {' · '.join(pythons)}` · `typed` · `{status}`\n" in (ROOT / "README.md").read_text()
