"""Words: kill switches as they were thrown in this process, from that moment until the live state that is read has them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from progflags.flags.serving import Killed, Live

__all__ = ["EVERYTHING", "Word", "heeded", "told"]

EVERYTHING: Final = ""
"""The switch of all flags at once is that of a flag without a name: panic is its kill."""


@dataclass(frozen=True, slots=True)
class Word:
    """What this process says of a switch: thrown (by whom, why) or not. It yields to live state of revision `until` or later."""

    killed: Killed | None
    until: float = math.inf


def heeded(words: Mapping[str, Word], read: Mapping[str, Live]) -> dict[str, Word]:
    """The words that what was `read` has not caught up with."""
    return {key: word for key, word in words.items() if key not in read or read[key].revision < word.until}


def told(read: Mapping[str, Live], words: Mapping[str, Word]) -> Mapping[str, Live]:
    """The live state that serves: what was read, and what was said here since."""
    if not words:
        return read
    return {**read, **{key: replace(read.get(key) or Live(key), killed=word.killed) for key, word in words.items()}}
