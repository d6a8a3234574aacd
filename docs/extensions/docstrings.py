"""Docstrings as readers of the reference need them."""

import inspect

import progflags

#: Functions of ours make them, or a decorator does: what their constructors take is nobody else's affair.
MADE_FOR_YOU = {
    "progflags.Flags",
    "progflags.CanaryReport",
    "progflags.canary.Recorder",
    "progflags.contrib.celery.Tasks",
    "progflags.contrib.fastapi.FlagDependency",
    "progflags.contrib.fastapi.Identified",
    "progflags.darklaunch.Experiment",
    "progflags.rollout.Rollouts",
    "progflags.telemetry.ChangeLog",
    "progflags.telemetry.Instrumentation",
    "progflags.testing.Pinned",
}


def by_public_name(app):
    """A class whose public name is not its own is shown as what it is; autodoc would say of what it is an alias, and no more."""
    for name in progflags.__all__:
        value = getattr(progflags, name)
        if inspect.isclass(value) and value.__name__ != name:
            value.__name__ = name  # by `__qualname__` it finds what is said of members


def without_constructor(app, what, name, value, options, signature, returns):
    return ("", None) if name in MADE_FOR_YOU else None


def sentence(app, what, name, value, options, lines):
    """A property's first words are no type, though napoleon takes what stands before a colon for one."""
    if what == "property" and lines:
        lines[0] = lines[0].replace(": ", " – ", 1)


def examples(app, what, name, value, options, lines):
    """A block that is indented after a blank line is code, as it reads in the source; reST would take it for a quotation."""
    for at in range(len(lines) - 1, -1, -1):
        outer = next((line for line in reversed(lines[: max(at - 1, 0)]) if line.strip()), "")
        begins = lines[at].startswith("    ") and at > 1 and not lines[at - 1].strip()
        if begins and outer and not outer.startswith(" "):
            lines[at:at] = [".. code-block:: python", ""]


def setup(app):
    app.connect("builder-inited", by_public_name)
    app.connect("autodoc-process-signature", without_constructor)
    app.connect("autodoc-process-docstring", sentence, priority=400)  # before napoleon's 500
    app.connect("autodoc-process-docstring", examples, priority=401)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
