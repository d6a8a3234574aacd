"""A verdict for people: text, JSON, and a page with plots."""

from progflags.canary.report._outcome import CanaryReport, figures, stylesheet

__all__ = [
    "CanaryReport",
    "figures",
    "stylesheet",
]
