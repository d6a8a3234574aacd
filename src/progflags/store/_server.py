"""What the stores on a server have in common: an address with a namespace, a revision that only grows, and looking until it has."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final
from urllib.parse import unquote_plus, urlsplit

from progflags._json import loads
from progflags.errors import StoreError, WentBackError
from progflags.store._address import printable
from progflags.store._contract import Board

__all__ = ["ServerStore"]

_LOOK: Final = 0.02  # seconds between two looks while waiting


class ServerStore(ABC):
    """
    The part of a store that is the same on any server. A subclass talks to its own, and has `revision`.

    `?namespace=` in the address keeps programs apart, `progflags` without it. Because a failover, a flush or a restored backup
    can take a server back, the highest revision this process has met is kept, and anything older is refused.
    """

    _went_back: ClassVar[str] = ""  # why this kind of server would

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        options = [option.partition("=") for option in parts.query.split("&") if option]
        self._namespace = unquote_plus(next((value for name, _, value in options if name == "namespace"), "")) or "progflags"
        # The driver's own options go on letter for letter: each has an idea of its own of what a plus sign means.
        self._address = parts._replace(query="&".join("".join(option) for option in options if option[0] != "namespace")).geturl()
        self._url = printable(url)
        self._highest = 0
        self._closed = False
        self._board: Board

    @property
    def url(self) -> str:
        return self._url

    @property
    def board(self) -> Board:
        return self._board

    @abstractmethod
    def revision(self) -> int:
        """See Store."""

    def wait(self, revision: int, timeout: float) -> int:
        until = time.monotonic() + timeout
        while (now := self.revision()) <= revision and (left := until - time.monotonic()) > 0:
            time.sleep(min(_LOOK, left))
        return now

    def accept(self) -> None:
        """Go on with a server that went back: whoever calls this has looked at what was lost."""
        self._highest = 0

    def _met(self, revision: Any, before: int) -> int:
        """The revision, if it is not below what this process had met `before` it asked."""
        number = int(revision)
        if number < before:
            raise WentBackError(
                f"{self.url} went back from revision {before} to {number}: {self._went_back};"
                " look at the rollouts, then restart every program that uses it"
            )
        self._highest = max(self._highest, number)
        return number

    def _body(self, text: str | bytes) -> Any:
        try:
            return loads(text)
        except ValueError as error:
            raise StoreError(f"{self.url} holds something progflags did not write ({error}): give it a namespace of its own") from None
