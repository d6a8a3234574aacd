"""Networks that are none, among good ones: refused, or named and left out where the file says `lenient = true`."""

from __future__ import annotations

from progflags.flags._problems import Path, Problems
from progflags.flags.conditions import Node, left_out

__all__ = ["without"]


def without(problems: Problems, path: Path, when: Node) -> bool:
    """Tell of what the condition at `path` can only serve without; whether it may serve so."""
    before = len(problems.found)
    for wrong in left_out(when):
        if problems.lenient:
            problems.warnings.append(problems.at(path, f"{wrong}, and is left out", "correct it, or take it out"))
        else:
            hint = "correct it, or write lenient = true at the top of the file: the others count then, and this one is a warning"
            problems.add(path, wrong, hint)
    return len(problems.found) == before
