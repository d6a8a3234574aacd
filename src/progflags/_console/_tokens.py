"""Tokens, and the sessions of browsers that showed one: compared in constant time."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from progflags._clock import Clock
from progflags._console._viewer import Role, Viewer

__all__ = ["Tokens", "fresh"]

_LEAST: Final = 16  # characters of a token: fewer could be tried
_SESSION: Final = 12 * 3600.0  # seconds


class Tokens:
    """
    Who has which token. One token alone is everybody's: an operator and an approver, named `token` in the history.

    Raises:
        ValueError: a token is shorter than 16 characters.
    """

    def __init__(self, tokens: str | Mapping[str, Viewer], clock: Clock) -> None:
        given = {tokens: Viewer("token", (Role.OPERATOR, Role.APPROVER))} if isinstance(tokens, str) else dict(tokens)
        short = sum(len(token) < _LEAST for token in given)
        if short or not given:
            raise ValueError(
                f"a token has at least {_LEAST} characters (secrets.token_urlsafe() makes one), and {short or 'none'} are shorter"
            )
        self._viewers = [(_hash(token), viewer) for token, viewer in given.items()]
        self._clock = clock
        self.secret = _hash("\0".join(sorted(given)))  # the same in every worker, and another once a token is another

    def holder(self, token: str) -> Viewer | None:
        """Whose token it is. Every one there is is compared, so that how long it takes says nothing."""
        asked, found = _hash(token), None
        for known, viewer in self._viewers:
            if hmac.compare_digest(asked, known):
                found = viewer
        return found

    def session(self, token: str) -> str:
        """What a browser keeps instead of a token that is somebody's: which one it was, and until when, signed."""
        asked = _hash(token)
        body = json.dumps({"who": base64.b85encode(asked[:12]).decode(), "until": self._clock.now() + _SESSION}).encode()
        return f"{base64.urlsafe_b64encode(body).decode()}.{self._sign(body)}"

    def of_session(self, cookie: str) -> Viewer | None:
        """Whose session it is; None where it is over, forged, or of a token that is no more."""
        text, _, signed = cookie.partition(".")
        try:
            body = base64.urlsafe_b64decode(text.encode())
            if not hmac.compare_digest(self._sign(body).encode(), signed.encode()):
                return None
            said = json.loads(body)
            who, until = base64.b85decode(said["who"]), float(said["until"])
        except (ValueError, KeyError, TypeError):
            return None
        if until < self._clock.now():
            return None
        return next((viewer for known, viewer in self._viewers if hmac.compare_digest(known[:12], who)), None)

    def _sign(self, body: bytes) -> str:
        return hmac.new(self.secret, b"session" + body, sha256).hexdigest()


def _hash(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def fresh() -> str:
    """Something nobody can guess."""
    return secrets.token_urlsafe(24)
