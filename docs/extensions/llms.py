"""`llms.txt` (https://llmstxt.org): every page in reading order with its first sentence, and `llms-full.txt`, their text in one file."""

import re
from pathlib import Path

INTRODUCTION = "Feature flags, dark launches, staged rollouts and canary verdicts inside a Python process; no server, no sidecar."


def write(app, failed):
    if failed or app.builder.format != "html":
        return
    pages = [("", app.config.root_doc), *contents(app.env)]
    lines, whole = [f"# {app.config.project}", "", f"> {INTRODUCTION}"], []
    for caption, page in pages:
        text = Path(app.env.doc2path(page)).read_text(encoding="utf-8")
        if caption and f"## {caption}" not in lines:
            lines += ["", f"## {caption}", ""]
        if caption:
            lines.append(f"- [{app.env.titles[page].astext()}]({app.builder.get_target_uri(page)}): {opening(text)}")
        whole.append(text)
    out = Path(app.outdir)
    (out / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (out / "llms-full.txt").write_text("\n\n".join(whole), encoding="utf-8")


def contents(env):
    """`caption, page` in the order of the first page's contents."""
    from sphinx.addnodes import toctree

    for tree in env.get_doctree(env.config.root_doc).findall(toctree):
        for _, page in tree["entries"]:
            yield tree["caption"], page


def opening(text):
    """The first line that is a sentence, without its links."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    line = next((line for line in prose.splitlines() if re.match(r"[A-Z`*\[]", line)), "")
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line)


def setup(app):
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
