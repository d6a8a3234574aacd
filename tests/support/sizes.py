"""
How much of a promise to try. `make test` tries enough to catch a broken one; `make soak` tries the sizes the promises name.

A test asks `size(150, full=500)`: the same test, the same checks, more of it.
"""

import os
from typing import Final

FULL: Final = os.environ.get("PROGFLAGS_SOAK", "") == "1"


def size(usual: int, *, full: int) -> int:
    """`usual` in `make test`, `full` in `make soak`."""
    return full if FULL else usual
