"""What a page is in one sentence, for search engines and previews; and the size of each picture, so that nothing jumps while it loads."""

import re
import struct
from html import escape
from pathlib import Path

from llms import opening

LONGEST = 300


def describe(app, page, template, context, doctree):
    if doctree is None:  # a page that the builder made
        return
    said = plain(opening(Path(app.env.doc2path(page)).read_text(encoding="utf-8")))
    context["metatags"] = context.get("metatags", "") + f'<meta content="{escape(said)}" name="description">\n'
    context["body"] = re.sub(r'<img(?![^>]*\bwidth=)[^>]*\bsrc="([^"]+\.(?:png|svg))"', lambda found: sized(app, page, found), context["body"])


def plain(text):
    """Without marks, and cut at a word."""
    text = re.sub(r"[*`]", "", text)
    return text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0] + " …"


def sized(app, page, found):
    name = Path(found[1]).name
    source = next(Path(app.srcdir, path) for path, (_, kept) in app.env.images.items() if kept == name)
    width, height = size_of(source)
    return f'{found[0]} width="{width}" height="{height}"'


def size_of(picture):
    """Of a PNG by its header, of a drawing by the box it is drawn in."""
    if picture.suffix == ".svg":
        box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', picture.read_text(encoding="utf-8"))
        return round(float(box[1])), round(float(box[2]))
    return struct.unpack(">II", picture.read_bytes()[16:24])


def setup(app):
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
