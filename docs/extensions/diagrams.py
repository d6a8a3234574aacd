"""Mermaid blocks become pictures while the site is built: readers load no script, and where repositories draw Mermaid they still do."""

import re
from html import escape

import mmdr
from docutils import nodes


def draw(app, doctree):
    for number, block in enumerate(list(doctree.findall(nodes.literal_block))):
        if block.get("language") == "mermaid":
            picture = mmdr.render(block.astext()).svg().replace("merman", f"diagram-{number}")  # identifiers are the whole page's
            picture = re.sub(r' (role|aria-roledescription)="[^"]*"', "", picture, count=2)  # the frame around it is the one picture
            html = f'<div class="diagram" role="img" aria-label="{escape(heading(block))}">{picture}</div>'
            block.replace_self(nodes.raw("", html, format="html"))


def heading(node):
    """What stands over it, for who can't see it."""
    while not isinstance(node, nodes.section):
        node = node.parent
    return node.next_node(nodes.title).astext()


def setup(app):
    app.connect("doctree-read", draw)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
