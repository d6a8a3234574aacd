"""Proof: that a request comes from somebody who may, and was not sent before."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

__all__ = ["Proof", "Unproven"]

_OURS: Final = "x-progflags-signature"
_GRAFANA: Final = ("x-grafana-alerting-signature", "x-grafana-alerting-timestamp")
_PAGERDUTY: Final = "x-pagerduty-signature"
_LONGEST: Final = 1_024  # characters of a header that are looked at


class Unproven(Exception):  # noqa: N818 - an answer on its way out
    """The request is nobody's who may. What is said of it helps whoever sets the sender up, and tells nothing of the secret."""


@dataclass(frozen=True, slots=True)
class Proof:
    """
    A shared `secret`, with which bodies are signed, or a bearer `token`, or both: then either will do. `window`: seconds that a
    signature counts for, before and after.

    Raises:
        ValueError: neither, or a `window` that is not above 0.
    """

    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    window: float = 300.0

    def __post_init__(self) -> None:
        if not self.secret and not self.token:
            raise ValueError("a hook that rolls back wants a secret or a token: without either, anybody could")
        if not self.window > 0:
            raise ValueError("window is a number of seconds above 0")

    def check(self, headers: Mapping[str, str], body: bytes, now: float) -> bool:
        """
        Whether the time of the request is proven too; of PagerDuty's signature it is not, and what it signs has to say when it was.

        `headers` have lower-case names.

        Raises:
            Unproven: no signature and no token, a wrong one, or one from another time.
        """
        if self.token and self._bears(headers):
            return True
        if self.secret:
            if _OURS in headers:
                return self._ours(headers[_OURS][:_LONGEST], body, now)
            if _GRAFANA[0] in headers:
                return self._grafana(headers[_GRAFANA[0]][:_LONGEST], headers.get(_GRAFANA[1], "")[:_LONGEST], body, now)
            if _PAGERDUTY in headers:
                return self._pagerduty(headers[_PAGERDUTY][:_LONGEST], body)
        raise Unproven("credentials are needed: a signature of the body, or Authorization: Bearer with the token")

    def fresh(self, at: float, now: float) -> None:
        """
        Raises:
            Unproven: it was signed too long ago, or will be.
        """
        if not abs(now - at) <= self.window:
            raise Unproven(f"it was signed at another time: {abs(now - at):.0f} s from now, and {self.window:g} are allowed")

    def _bears(self, headers: Mapping[str, str]) -> bool:
        kind, _, given = headers.get("authorization", "")[:_LONGEST].partition(" ")
        same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self.token.encode("utf-8", "replace"))
        return same and kind.lower() == "bearer"

    def _ours(self, header: str, body: bytes, now: float) -> bool:
        at, _, signed = header.removeprefix("t=").partition(",v1=")
        self._signed(at.encode("utf-8", "replace") + b"." + body, (signed,))
        self.fresh(_seconds(at), now)
        return True

    def _grafana(self, signed: str, at: str, body: bytes, now: float) -> bool:
        if not at:
            raise Unproven(f"Grafana's signature wants its time: set the timestamp header to {_GRAFANA[1]}")
        self._signed(at.encode("utf-8", "replace") + b":" + body, (signed,))
        self.fresh(_seconds(at), now)
        return True

    def _pagerduty(self, header: str, body: bytes) -> bool:
        """Several signatures while its secret is changed."""
        self._signed(body, [one.strip().removeprefix("v1=") for one in header.split(",")])
        return False

    def _signed(self, what: bytes, given: tuple[str, ...] | list[str]) -> None:
        expected = hmac.new(self.secret.encode("utf-8", "surrogatepass"), what, sha256).hexdigest().encode()
        same = [hmac.compare_digest(one.encode("utf-8", "replace"), expected) for one in given]  # each is looked at, whichever fits
        if not any(same):
            raise Unproven("the signature does not fit the body: another secret, or another body")


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("inf")
