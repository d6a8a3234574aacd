"""Sphinx: Markdown by MyST, four drawers (tutorial, how-to, explanation, reference), and what lies in extensions/."""

import sys
from pathlib import Path

from progflags import __version__

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "progflags"
author = "the progflags maintainers"
copyright = "the progflags maintainers, Apache-2.0"
release = version = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_argparse_cli",
    "sphinx_design",
    "captions",
    "described",
    "diagrams",
    "docstrings",
    "llms",
]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]
suppress_warnings = ["myst.xref_missing"]  # links to files outside docs/ are for readers of the repository
html_theme = "furo"
html_title = f"progflags {version}"
language = "en"
html_static_path = ["static"]
html_css_files = ["site.css"]
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
maximum_signature_line_length = 90  # longer ones have a parameter a line, with its type and default
python_use_unqualified_type_names = True
napoleon_use_rtype = False
default_role = "literal"  # docstrings write code in single backticks
exclude_patterns = ["_build"]
nitpicky = False
