"""Tickets: what a browser may open a stream with, for its EventSource sends no header that could say who it is."""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import Final

__all__ = ["Tickets"]

_SLOT: Final = 3600.0  # seconds that the same ticket is given out: a page whose address stays the same stays connected
_GOOD: Final = 12  # such spans that it is good for after its own


class Tickets:
    """
    Given to who was authorised; good for 12 to 13 hours, and for nothing but opening a stream.

    `secret` signs them: the same one in every process that serves, or a stream is opened only where its ticket is from.
    """

    def __init__(self, secret: str | None) -> None:
        self.shared = bool(secret)
        self._key = sha256(secret.encode("utf-8", "surrogatepass")).digest() if secret else secrets.token_bytes(32)

    def ticket(self, now: float) -> str:
        """Today's (`now`: wall time)."""
        return self._of(int(now // _SLOT))

    def good(self, ticket: str, now: float) -> bool:
        """Whether it is one of ours that is not over yet."""
        slot = ticket.partition(".")[0]
        if not (slot.isascii() and slot.isdecimal() and len(slot) < 20):
            return False
        ours = hmac.compare_digest(self._of(int(slot)).encode(), ticket.encode("utf-8", "surrogatepass"))
        return ours and 0 <= int(now // _SLOT) - int(slot) <= _GOOD

    def _of(self, slot: int) -> str:
        return f"{slot}.{hmac.new(self._key, f'stream {slot}'.encode(), sha256).hexdigest()[:32]}"
