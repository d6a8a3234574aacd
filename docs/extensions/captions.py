"""What the theme says to who can't see it, put right: the captions of its contents are headings of a level."""


def level(app, page, template, context, doctree):
    tree = context.get("furo_navigation_tree")
    if tree:
        context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')


def setup(app):
    app.connect("html-page-context", level, priority=900)  # after the theme has made them
    return {"parallel_read_safe": True, "parallel_write_safe": True}
