"""Sphinx: Markdown by MyST, four drawers (tutorial, how-to, explanation, reference)."""

from progflags import __version__

project = "progflags"
author = "the progflags maintainers"
copyright = "the progflags maintainers, Apache-2.0"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
suppress_warnings = ["myst.xref_missing"]  # links to files outside docs/ are for readers of the repository
html_theme = "furo"
html_title = f"progflags {version}"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_use_rtype = False
default_role = "literal"  # docstrings write code in single backticks
exclude_patterns = ["_build"]
nitpicky = False


def setup(app):
    """State diagrams are mermaid: repositories draw them, here they are shown as text."""
    from pygments.lexers.special import TextLexer

    app.add_lexer("mermaid", TextLexer)
