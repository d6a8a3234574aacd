"""The panic switch of one process, `PROGFLAGS_PANIC`: a word, or a file that is there or not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["PanicSwitch"]

_OFF: Final = frozenset({"", "0", "false", "off", "no"})


class PanicSwitch:
    """Looks whether it is thrown, and says so to `turn`: a word (1, true, on, yes) for good, a file for as long as it is there."""

    def __init__(self, turn: Callable[[bool], object]) -> None:
        self._turn = turn
        self._there = False  # the file, when it was last looked for

    def look(self) -> None:
        said = os.environ.get("PROGFLAGS_PANIC", "")
        if os.sep in said:
            there = Path(said).exists()
            if there is not self._there:
                self._there = there
                self._turn(there)
        elif said.lower() not in _OFF:
            self._turn(True)
