"""Docstrings as readers of the reference need them."""

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


def without_constructor(app, what, name, value, options, signature, returns):
    return ("", None) if name in MADE_FOR_YOU else None


def sentence(app, what, name, value, options, lines):
    """A property's first words are no type, though napoleon takes what stands before a colon for one."""
    if what == "property" and lines:
        lines[0] = lines[0].replace(": ", " – ", 1)


def setup(app):
    app.connect("autodoc-process-signature", without_constructor)
    app.connect("autodoc-process-docstring", sentence, priority=400)  # before napoleon's 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
