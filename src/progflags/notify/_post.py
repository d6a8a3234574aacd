"""POST: one JSON document to one URL, the answers that matter told apart. By the standard library: nothing is installed for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from progflags._json import loads
from progflags._printed import json_text, printable, quoted
from progflags.notify._channel import Busy, Refused

__all__ = ["must_be_url", "post"]

_ANSWER: Final = 4_096  # bytes of an answer that are read
_REFUSED: Final = frozenset({400, 405, 406, 411, 413, 414, 415, 422})  # about the message; 401, 403, 404, 410 are about the address
_LATEST: Final = 3_600.0  # seconds that a Retry-After is honoured


def must_be_url(url: str, what: str) -> None:
    """
    Raises:
        ValueError: not an http or https URL.
    """
    if not url.startswith(("https://", "http://")):
        kind = f"{url.partition(':')[0][:16]}:…" if ":" in url else "something else"  # the rest may be a secret
        raise ValueError(f"{what} begins with https:// or http://, not {quoted(kind)}")


def post(url: str, document: Mapping[str, Any], headers: Mapping[str, str], timeout: float) -> Any:
    """
    Send `document`; what was answered, where that is JSON. Any 2xx is a receipt; redirects are not followed.

    `timeout` is for each wait at the socket. Errors never quote the URL, which may be a secret.

    Raises:
        Refused: an answer that says the message itself is wrong.
        Busy: 429, or 503 that says until when.
        ConnectionError: every other answer, and none.
    """
    return post_bytes(url, json_text(dict(document)).encode(), {"Content-Type": "application/json", **headers}, timeout)


def post_bytes(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Any:
    """`post`, of what was written already."""
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    request = urllib.request.Request(url, data=body, headers={"User-Agent": "progflags", **headers}, method="POST")  # noqa: S310 - the scheme was checked
    try:
        with urllib.request.build_opener(_no_redirects()).open(request, timeout=timeout) as answer:
            return _read(answer.read(_ANSWER))
    except urllib.error.HTTPError as error:
        with error:
            raise _answered(error.code, error.headers.get("Retry-After"), error.read(_ANSWER)) from None
    except (urllib.error.URLError, HTTPException) as error:
        raise ConnectionError(f"not reached: {printable(getattr(error, 'reason', error), 240)}") from None


def _read(raw: bytes) -> Any:
    try:
        return loads(raw)
    except ValueError:
        return None


def _answered(code: int, after: str | None, raw: bytes) -> Exception:
    said = printable(raw.decode("utf-8", "replace"), 160)
    message = f"was answered with {code}" + (f": {said}" if said else "")
    if code in _REFUSED:
        return Refused(message)
    if code == 429 or (code == 503 and after):
        return Busy(message, _seconds(after))
    return ConnectionError(message)


def _seconds(after: str | None) -> float:
    try:
        return min(_LATEST, max(0.0, float(after or 0.0)))
    except ValueError:  # a date, which needs a clock that agrees with theirs: the usual back-off will do
        return 0.0


def _no_redirects() -> Any:
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any, **__: Any) -> None:
            return None

    return Stay()
