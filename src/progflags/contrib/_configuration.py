"""What a client's answers are made from, as one short word: two processes that have the same word answer everybody alike."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from progflags._json import digest
from progflags.flags import Client

__all__ = ["Configurations"]

_KEPT: Final = 100  # words that are known to have been
_UNTOUCHED: Final = (None, None, False, False, 0, False)


class Configurations:
    """Definitions, shares, kills, pins and panics of clients. Worked out once after each change."""

    def __init__(self) -> None:
        self._last: tuple[object, str] = (None, "")
        self._been: OrderedDict[str, None] = OrderedDict()

    def word(self, client: Client) -> str:
        """That of what serves now; the same in another process, and after a restart."""
        serving, word = self._last
        if serving is not client.serving:
            serving = client.serving  # before it is read: a change in the middle is another word with the next question
            word = _word(client)
            self._last = serving, word
            self._been[word] = None
            while len(self._been) > _KEPT:
                self._been.popitem(last=False)
        return word

    def behind(self, client: Client, word: str) -> bool:
        """Whether somebody has seen `word` and this process has not."""
        return word != self.word(client) and word not in self._been


def _word(client: Client) -> str:
    """Revisions, reasons and names are left out: nobody's answer is another for them, and a kill is the same before it is stored."""
    snapshot = client.definitions
    flags = {} if snapshot is None else snapshot.flags
    told: dict[str, Any] = {"definitions": "" if snapshot is None else snapshot.digest, "panic": client.panicking}
    for key in flags:
        live = client.live(key)
        edit = live.edit
        state = (live.share, live.variant, live.killed is not None, live.counting, live.run, client.pinned(key) is not None)
        if state != _UNTOUCHED:
            told[f"flag/{key}"] = list(state) if edit is None else [*state, edit.digest, edit.salt, edit.landed, edit.share, edit.variant]
    return digest(told)[:24]
